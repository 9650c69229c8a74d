from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from ops.monitoring.data_quality import SUITES
from ops.usage import MAX_TOKENS
from tasks.check_quality import check_quality
from tasks.settings import Settings, Source
from tasks.stores import source_states, usage
from tasks.stores.tables import usage_events
from tests.checked_month import bring, check, copied, let_faults_in, outcomes
from tests.hand_made import HOUR, MIDNIGHT, MINUTE, NOW, event, insert, load
from tests.loaded_days import execute

CLEAN = 40  # sound events beside each faulty one


def test_checks_that_cannot_be_evaluated_are_errors_not_failures(engine: sa.Engine) -> None:
    load(engine, [event(HOUR)])
    execute(engine, "ALTER TABLE watchkeeper.usage_events RENAME latency_ms TO gone")
    execute(engine, "ALTER TABLE watchkeeper.usage_events ADD latency_ms text")
    execute(engine, "ALTER TABLE watchkeeper.scores RENAME TO gone")
    results = check(engine, "events")
    assert outcomes(results) == {
        "events: latency_ms within 0 to 86400000": "errored", "events: no score is older than its event": "errored"
    }  # fmt: skip
    assert results[-1].detail == '(psycopg.errors.UndefinedTable) relation "watchkeeper.scores" does not exist'


def test_checks_leave_no_connection_open(engine: sa.Engine) -> None:
    check(engine, "events")
    engine.dispose()
    others = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        # A backend that was told to end may take a moment.
        assert any(connection.execute(sa.text(others)).scalar() == 0 for _ in range(500))


def test_checks_keep_to_a_tenant_whose_name_has_a_colon(engine: sa.Engine, settings: Settings) -> None:
    load(engine, [event(HOUR)], tenant="a:b/c-d")
    results = check_quality.fn(engine, settings.model_copy(update={"tenant": "a:b/c-d"}), NOW)
    assert (results[0].observed, outcomes(results)) == ("1", {})


def test_checks_take_a_source_whose_name_looks_like_a_parameter(engine: sa.Engine) -> None:
    with engine.begin() as connection:
        source_states.watch(connection, "default", [Source(name=":log", kind="jsonl", path="x")], NOW)
    bring(engine, ":log", [event(HOUR)])
    assert outcomes(check(engine, "traffic")) == {}


# Faults of single rows


@pytest.fixture(scope="module")
def lax(server_url: str, template: str) -> Iterator[sa.Engine]:
    """A database without the constraints of `usage_events`."""
    with copied(server_url, template) as engine:
        let_faults_in(engine)
        usage.ensure_partitions(engine, [MIDNIGHT.date()])
        yield engine


def row(number: int, **changes: Any) -> dict[str, Any]:
    usual = {
        "event_id": str(number), "occurred_at": NOW - MINUTE, "source": "log",
        "vendor": "openai", "model": "gpt-4o-mini", "operation": "chat", "status": "success", "error_type": None,
        "input_tokens": 10, "cached_tokens": 5, "output_tokens": 3, "reasoning_tokens": 1, "latency_ms": 100.0,
        "ttft_ms": 50.0, "cost_usd": None,
    }  # fmt: skip
    return {**usual, **changes}


@pytest.mark.parametrize(
    ("fault", "named"),
    [
        *(
            pytest.param({column: None}, f"{column} is known", id=f"{column} is missing")
            for column in ("event_id", "vendor", "status")
        ),
        pytest.param({"status": "perhaps"}, "status is a name we know", id="an unknown status"),
        pytest.param({"operation": "dance"}, "operation is a name we know", id="an unknown operation"),
        pytest.param({"error_type": "gremlin"}, "error_type is a name we know", id="an unknown error"),
        pytest.param({"latency_ms": -1}, "latency_ms within 0 to 86400000", id="latency below zero"),
        pytest.param({"output_tokens": MAX_TOKENS + 1}, f"output_tokens within 0 to {MAX_TOKENS}", id="endless output"),
        pytest.param({"cached_tokens": 11}, "cached tokens are part of the input", id="more cached than sent"),
        pytest.param({"reasoning_tokens": 4}, "reasoning tokens are part of the output", id="more thought than said"),
    ],
)
def test_fault_of_a_row_fails_the_check_that_names_it_alone(
    lax: sa.Engine, request: pytest.FixtureRequest, fault: dict[str, Any], named: str
) -> None:
    tenant = request.node.callspec.id.replace(" ", "-")
    rows = [row(number) for number in range(CLEAN)] + [row(-number, **fault) for number in range(1, 4)]
    insert(lax, usage_events, [{**each, "tenant_id": tenant} for each in rows])
    assert outcomes(check(lax, "events", tenant=tenant)) == {f"events: {named}": "failed"}


def test_docs_are_pages_with_every_check(engine: sa.Engine, settings: Settings, tmp_path: Path) -> None:
    load(engine, [event(HOUR)])
    check_quality.fn(engine, settings, NOW, ["rollups"], docs=tmp_path / "site")
    pages = list((tmp_path / "site" / "validations").rglob("*.html"))
    assert (tmp_path / "site" / "index.html").is_file()
    assert len(pages) == 1
    assert [check.name for check in SUITES["rollups"].checks if check.name not in pages[0].read_text()] == []


def test_docs_need_nothing_from_elsewhere(engine: sa.Engine, settings: Settings, tmp_path: Path) -> None:
    load(engine, [event(HOUR, event_id="twice"), event(2 * HOUR, event_id="twice")])
    check_quality.fn(engine, settings, NOW, ["events", "traffic"], docs=tmp_path)
    pages = {page.relative_to(tmp_path): page.read_text() for page in tmp_path.rglob("*.html")}
    assert len(pages) == 1 + 2 + 2  # the index, what is promised and what came of it
    found = [address for text in pages.values() for address in re.findall(r"(?:https?:)?//[\w.-]+", text)]
    assert (found, [name for name, text in pages.items() if "<script" in text]) == ([], [])
    for name, text in pages.items():
        linked = re.findall(r'href="([^#"]+)"', text)
        assert (linked != [], [link for link in linked if not (tmp_path / name.parent / link).is_file()]) == (True, [])


def test_docs_hold_no_text_of_rows(lax: sa.Engine, settings: Settings, tmp_path: Path) -> None:
    """Anybody may have written it: as HTML it would run in the reader's browser."""
    script, tenant = "<img src=x onerror=alert(1)>", "hostile"
    rows = [row(number, event_id=script, operation=script, error_type=script) for number in range(3)]
    insert(lax, usage_events, [{**each, "tenant_id": tenant} for each in rows])
    hostile = settings.model_copy(update={"tenant": tenant})
    results = check_quality.fn(lax, hostile, NOW, ["events"], docs=tmp_path)
    assert len(outcomes(results)) == 3  # its operation, its error, and that it is there three times
    assert [page.name for page in tmp_path.rglob("*.html") if "<img src=x" in page.read_text()] == []
