from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import sqlalchemy as sa

from ops.monitoring.quality import EVENT_CHECKS
from ops.usage import MAX_TOKENS
from ops.window import Window, floor_day
from tasks.check_quality import Checked, check_quality, report_markdown
from tasks.load_file import load_file
from tasks.log_file import LogFile
from tasks.resources import administration, drop_database
from tasks.settings import Settings, Source
from tasks.simulate_traffic import simulate
from tasks.simulator import Traffic
from tasks.stores import usage
from tasks.stores.tables import quality_checks, usage_events
from tasks.write_usage import Target
from tests.hand_made import DAY, HOUR, MINUTE, MOMENT, NOW, event, load, rows_of

TODAY = floor_day(NOW)
CLEAN = 40  # sound events beside each faulty one
_REQUIRED = ("event_id", "vendor", "status")


def outcomes(results: list[Checked]) -> dict[str, str]:
    """Return what did not pass."""
    return {result.name: result.outcome for result in results if result.outcome != "passed"}


def test_checks_all_pass_on_a_clean_simulated_day(engine: sa.Engine, settings: Settings, tmp_path: Path) -> None:
    written = simulate(Traffic(seed=2, requests_per_hour=40), Window(TODAY - DAY, TODAY), tmp_path)
    source = Source(name="gateway", path=str(written.usage))
    load_file(Target(engine, settings.tenant), source, LogFile(str(written.usage)), NOW)
    results = check_quality.fn(engine, settings, TODAY)
    assert [result.name for result in results] == [check.name for check in EVENT_CHECKS]
    assert outcomes(results) == {}
    assert results[0].observed == str(written.requests)
    stored = rows_of(engine, quality_checks)
    assert {row.name: (row.as_of, row.outcome, row.severity) for row in stored} == {
        result.name: (TODAY, "passed", result.severity) for result in results
    }


def test_checks_of_an_empty_window_miss_the_rows_alone(engine: sa.Engine, settings: Settings) -> None:
    outside = [event(timedelta(0)), event(DAY + MOMENT)]
    load(engine, outside)
    load(engine, [event(HOUR)], tenant="other")
    results = check_quality.fn(engine, settings, NOW)
    assert outcomes(results) == {"there are rows": "failed"}
    assert results[0].severity == "critical"


def test_checks_see_the_first_moment_of_their_window(engine: sa.Engine, settings: Settings) -> None:
    load(engine, [event(DAY), event(MOMENT)])
    assert check_quality.fn(engine, settings, NOW)[0].observed == "2"


def test_checks_that_cannot_be_evaluated_are_errors_not_failures(engine: sa.Engine, settings: Settings) -> None:
    load(engine, [event(HOUR)])
    with engine.begin() as connection:
        connection.execute(sa.text("ALTER TABLE watchkeeper.usage_events RENAME latency_ms TO gone"))
        connection.execute(sa.text("ALTER TABLE watchkeeper.usage_events ADD latency_ms text"))
    found = outcomes(check_quality.fn(engine, settings, NOW))
    assert found == {"latency_ms within 0 to 86400000": "errored"}


def test_checks_leave_no_connection_open(engine: sa.Engine, settings: Settings) -> None:
    check_quality.fn(engine, settings, NOW)
    engine.dispose()
    others = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        # A backend that was told to end may take a moment.
        assert any(connection.execute(sa.text(others)).scalar() == 0 for _ in range(500))


def test_checks_repeated_are_stored_once_per_time(engine: sa.Engine, settings: Settings) -> None:
    for _ in range(2):
        check_quality.fn(engine, settings, NOW)
    load(engine, [event(MINUTE)])
    check_quality.fn(engine, settings, NOW, span=HOUR)
    rows = rows_of(engine, quality_checks, quality_checks.c.name == "there are rows")
    assert [(row.as_of, row.outcome, row.observed) for row in rows] == [(NOW, "passed", "1")]
    assert len(rows_of(engine, quality_checks)) == len(EVENT_CHECKS)


def test_checks_keep_to_a_tenant_whose_name_has_a_colon(engine: sa.Engine, settings: Settings) -> None:
    load(engine, [event(HOUR)], tenant="a:b/c-d")
    results = check_quality.fn(engine, settings.model_copy(update={"tenant": "a:b/c-d"}), NOW)
    assert outcomes(results) == {}


# Faults, in a database that lets them in


@pytest.fixture(scope="module")
def lax(server_url: str, template: str) -> Iterator[sa.Engine]:
    """A database without the constraints of `usage_events`, for the faults that they would refuse."""
    name = f"wk_lax_{uuid4().hex[:8]}"
    with administration(server_url) as connection:
        connection.execute(sa.text(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY file_copy"))
    engine = sa.create_engine(sa.make_url(server_url).set(database=name))
    with engine.begin() as connection:
        constraints = "SELECT conname FROM pg_constraint WHERE conrelid = 'watchkeeper.usage_events'::regclass"
        kinds = " AND contype IN ('c', 'p')"
        drops = [f"DROP CONSTRAINT {row.conname}" for row in connection.execute(sa.text(constraints + kinds))]
        drops += [f"ALTER {column} DROP NOT NULL" for column in _REQUIRED]
        connection.execute(sa.text(f"ALTER TABLE watchkeeper.usage_events {', '.join(drops)}"))
    usage.ensure_partitions(engine, [TODAY.date()])
    yield engine
    engine.dispose()
    drop_database(server_url, name)


@pytest.fixture(scope="module")
def hours() -> Iterator[datetime]:
    """Times whose last hour is nobody else's."""
    return iter([TODAY + number * HOUR for number in range(1, 25)])


def row(at: datetime, number: int, **changes: Any) -> dict[str, Any]:
    usual = {
        "tenant_id": "default", "event_id": f"{at:%H}-{number}", "occurred_at": at - MINUTE, "source": "log",
        "vendor": "openai", "model": "gpt-4o-mini", "operation": "chat", "status": "success", "error_type": None,
        "input_tokens": 10, "cached_tokens": 5, "output_tokens": 1, "latency_ms": 100.0, "ttft_ms": 50.0,
        "cost_usd": Decimal("0.01"),
    }  # fmt: skip
    return {**usual, **changes}


@pytest.mark.parametrize(
    ("fault", "check"),
    [
        *(pytest.param({column: None}, f"{column} is known", id=f"{column} is missing") for column in _REQUIRED),
        pytest.param({"event_id": "twice"}, "an event is stored once", id="an event is there twice"),
        pytest.param({"status": "perhaps"}, "status is a name we know", id="an unknown status"),
        pytest.param({"operation": "dance"}, "operation is a name we know", id="an unknown operation"),
        pytest.param({"error_type": "gremlin"}, "error_type is a name we know", id="an unknown error"),
        *(
            pytest.param({"cached_tokens": None, column: -1}, f"{column} within 0 to {most}", id=f"{column} below zero")
            for column, most in (
                ("input_tokens", MAX_TOKENS),
                ("latency_ms", 86_400_000),
                ("cost_usd", 1000),
            )
        ),
        pytest.param({"output_tokens": MAX_TOKENS + 1}, f"output_tokens within 0 to {MAX_TOKENS}", id="endless output"),
        pytest.param({"cost_usd": Decimal("1000.01")}, "cost_usd within 0 to 1000", id="a request for $1,000.01"),
        pytest.param({"cost_usd": None}, "at least 95 % of events are priced", id="three of 43 without a price"),
        pytest.param({"cached_tokens": 11}, "cached tokens are part of the input", id="more cached than sent"),
    ],
)
def test_fault_fails_the_check_that_names_it_alone(
    lax: sa.Engine, hours: Iterator[datetime], fault: dict[str, Any], check: str
) -> None:
    now = next(hours)
    with lax.begin() as connection:
        sound = [row(now, number) for number in range(CLEAN)]
        connection.execute(sa.insert(usage_events), sound + [row(now, -number, **fault) for number in range(1, 4)])
    results = check_quality.fn(lax, Settings(tenant="default"), now, span=HOUR)
    assert outcomes(results) == {check: "failed"}


# What people see


def test_report_shows_what_failed_first() -> None:
    passed = Checked("there are rows", "critical", "passed", "5", None)
    errored = replace(passed, name="odd", outcome="errored", observed=None, detail="no result")
    failed = replace(passed, name="bad", outcome="failed", severity="warning", detail="3 rows break it")
    lines = report_markdown([passed, errored, failed], NOW).splitlines()
    assert lines[0] == "# Data quality, as of 2026-03-05 12:00 UTC"
    assert lines[4:] == [
        "| ❌ failed | warning | bad | 5 | 3 rows break it |",
        "| ⚠️ errored | critical | odd |  | no result |",
        "| ✅ passed | critical | there are rows | 5 |  |",
    ]
    assert Counter(line.count("|") for line in lines[2:]) == {6: 5}
