"""Every source is a task of its own that people see, and one that fails stops no other."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Barrier
from typing import Any

import httpx
import pytest
import sqlalchemy as sa
import yaml

from flows.ingest_usage import ingest_usage
from tasks.settings import Settings
from tasks.stores import source_states
from tasks.stores.tables import usage_events
from tests.api_server import Fault
from tests.polled_vendor import Vendor, row, vendor

NOW = datetime(2026, 3, 3, tzinfo=UTC)
HOUR = timedelta(hours=1)
LINE = '{"id":"%s","startTime":1772452800,"model":"gpt-4o","status":"success"}\n'
Run = Callable[..., Any]


@pytest.fixture
def run(prefect_api: str, settings: Settings) -> Run:
    """Run the flow as of NOW and return its final state."""
    return lambda **parameters: ingest_usage(as_of=NOW, return_state=True, **parameters)


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch) -> Iterator[Vendor]:
    with vendor(monkeypatch) as served:
        served.rows = [row("polled", NOW - HOUR)]
        yield served


@pytest.fixture
def configure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Write the settings: a source by name is a log of one line; None is one whose log is not there."""

    def write(*polled: dict[str, Any], **logs: str | None) -> None:
        sources = list(polled)
        for name, event in logs.items():
            path = tmp_path / f"{name}.jsonl"
            if event is not None:
                path.write_text(LINE % event)
            sources.append({"name": name, "kind": "litellm", "path": str(path)})
        file = tmp_path / "settings.yaml"
        file.write_text(yaml.safe_dump({"sources": sources}))
        monkeypatch.setenv("WATCHKEEPER_CONFIG", str(file))

    return write


def polled(api: Vendor, name: str = "vendor", **changes: Any) -> dict[str, Any]:
    usual = {"kind": "vendor", "url": api.server.url, "api_key": "k", "requests_per_minute": 100_000}
    return {"name": name, **usual, "since": (NOW - 2 * HOUR).isoformat(), **changes}


def ids(engine: sa.Engine) -> list[str]:
    with engine.connect() as connection:
        return sorted(connection.execute(sa.select(usage_events.c.event_id)).scalars())


def asked_of(api: str, what: str, query: dict[str, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = httpx.post(f"{api}/{what}/filter", json=query).raise_for_status().json()
    return found


def table(api: str) -> dict[str, dict[str, Any]]:
    """The rows of the artifact, by source."""
    query = {"artifacts": {"key": {"any_": ["ingest-usage"]}}, "sort": "CREATED_DESC", "limit": 1}
    [artifact] = asked_of(api, "artifacts", query)
    return {shown["source"]: shown for shown in json.loads(artifact["data"])}


def task_runs(api: str, flow_run_id: Any) -> dict[str, str]:
    """The name and the final state of every task of a run."""
    query = {"task_runs": {"flow_run_id": {"any_": [str(flow_run_id)]}}}
    return {found["name"]: found["state_name"] for found in asked_of(api, "task_runs", query)}


def test_each_source_is_a_task_of_its_name_and_a_row_of_the_table(
    run: Run, configure: Callable[..., None], api: Vendor, engine: sa.Engine, prefect_api: str
) -> None:
    configure(polled(api), gateway="a", gone=None)
    state = run()
    assert state.is_failed()
    assert state.message.startswith("2 new events, 0 lines rejected; failed: gone: source gone: file ")
    assert ids(engine) == ["a", "polled"]
    assert task_runs(prefect_api, state.state_details.flow_run_id) == {
        "vendor": "Completed", "gateway": "Completed", "gone": "Failed",
    }  # fmt: skip
    rows = table(prefect_api)
    assert [(name, shown["state"], shown["inserted"], shown["lag"]) for name, shown in rows.items()] == [
        ("vendor", "loaded", 1, "1:00:00"),
        ("gateway", "loaded", 1, "12:00:00"),
        ("gone", "failed", None, None),
    ]
    assert rows["gateway"]["last success"] == "2026-03-03 00:00 UTC"
    assert rows["gone"]["error"].startswith("source gone: file ")


def test_every_failed_source_is_named(run: Run, configure: Callable[..., None], api: Vendor) -> None:
    configure(polled(api, api_key="wrong"), gateway="a", gone=None)
    message = run().message
    assert message.startswith("1 new events, 0 lines rejected; failed: vendor: 127.0.0.1/rows refused: 401 ")
    assert "; gone: source gone: file " in message


def test_source_that_waits_does_not_hold_another(
    run: Run, configure: Callable[..., None], api: Vendor, engine: sa.Engine
) -> None:
    both = Barrier(2, timeout=30)  # neither is answered before the other has asked
    api.before_answer = lambda: both.wait()
    configure(*(polled(api, name, since=(NOW - HOUR).isoformat()) for name in ("one", "two")))
    assert run().is_completed()
    assert len(api.server.asked) == 2
    assert ids(engine) == ["polled"]


def test_only_the_sources_that_are_asked_for_are_loaded(
    run: Run, configure: Callable[..., None], engine: sa.Engine, prefect_api: str
) -> None:
    configure(gateway="a", feedback="b", other="c")
    assert run(sources=["feedback"]).message == "1 new events, 0 lines rejected"
    assert ids(engine) == ["b"]
    assert list(table(prefect_api)) == ["feedback"]


def test_unknown_source_fails_and_lists_the_known_ones(
    run: Run, configure: Callable[..., None], engine: sa.Engine
) -> None:
    configure(gateway="a", feedback="b")
    state = run(sources=["gatewy"])
    assert state.is_failed()
    assert "sources: 'gatewy' is not one of feedback, gateway" in state.message
    assert ids(engine) == []


def test_shards_together_load_every_source_once(run: Run, configure: Callable[..., None], engine: sa.Engine) -> None:
    names = {f"source_{number}": f"e{number}" for number in range(6)}
    configure(**names)
    messages = [run(shard=f"{number}/2").message for number in (1, 2)]
    assert ids(engine) == sorted(names.values())
    assert sum(int(message.split()[0]) for message in messages) == 6
    configure(gateway="a")
    assert sorted(run(shard=f"{number}/2").name for number in (1, 2)) == ["Completed", "Skipped"]


def test_every_configured_source_is_watched_whoever_loads_it(
    run: Run, configure: Callable[..., None], engine: sa.Engine
) -> None:
    configure(gateway="a", feedback="b")
    run(sources=["gateway"])
    configure(gateway="a")
    with engine.connect() as connection:
        watched = source_states.states(connection, "default")
    assert {name: found.silent_after_minutes for name, found in watched.items()} == {"gateway": 60, "feedback": 60}
    run()
    configure()
    assert run().name == "Skipped"
    with engine.connect() as connection:
        watched = source_states.states(connection, "default")
    assert {name: found.silent_after_minutes for name, found in watched.items()} == {"gateway": None, "feedback": None}


def test_vendor_that_is_away_for_a_moment_fails_nothing(
    run: Run, configure: Callable[..., None], api: Vendor, engine: sa.Engine
) -> None:
    api.server.faults = [Fault(500, {"retry-after": "0"})]
    configure(polled(api))
    assert run().is_completed()
    assert ids(engine) == ["polled"]
