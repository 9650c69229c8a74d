"""The past by Prefect: each part a task, in threads or in Dask workers."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
import sqlalchemy as sa
import yaml

from flows.backfill_usage import backfill_usage
from tasks.settings import Settings
from tasks.stores.tables import usage_events
from tests.api_server import Fault
from tests.polled_vendor import Vendor, row, vendor
from tests.recount import differences

NOW = datetime(2026, 3, 5, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
START, END = "2026-03-05T06:00", "2026-03-05T10:00"
AWAY = Fault(503, {"retry-after": "999"})
Run = Callable[..., Any]


@pytest.fixture
def run(prefect_api: str, settings: Settings) -> Run:
    """Run the flow for the span as of NOW, and return its final state."""
    usual = {"start": START, "end": END, "workers": 2}
    return lambda **changes: backfill_usage(as_of=NOW, return_state=True, **{**usual, **changes})


def configure(monkeypatch: pytest.MonkeyPatch, folder: Path, *sources: dict[str, Any]) -> None:
    file = folder / "settings.yaml"
    file.write_text(yaml.safe_dump({"sources": list(sources)}))
    monkeypatch.setenv("WATCHKEEPER_CONFIG", str(file))


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Vendor]:
    """A configured API with one row an hour."""
    with vendor(monkeypatch) as served:
        served.rows = [row(f"e{n}", NOW - n * HOUR) for n in range(1, 9)]
        source = {"name": "vendor", "kind": "vendor", "url": served.server.url, "api_key": "k"}
        configure(monkeypatch, tmp_path, {**source, "requests_per_minute": 100_000})
        yield served


@pytest.fixture
def logs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Three configured logs of four hours each, one event an hour; the span is what the last two hold of it."""
    for number in range(3):
        at = [NOW - (12 - 4 * number - n) * HOUR for n in range(4)]
        rows = [{"event_id": f"{when:%H}", "occurred_at": when.isoformat()} for when in at]
        (tmp_path / f"{number}.jsonl").write_text("".join(json.dumps(one) + "\n" for one in rows))
    fixed = {"vendor": "openai", "model": "gpt-4o"}
    configure(monkeypatch, tmp_path, {"name": "logs", "kind": "jsonl", "path": f"{tmp_path}/*.jsonl*", "values": fixed})
    return tmp_path


def ids(engine: sa.Engine) -> list[str]:
    with engine.connect() as connection:
        return sorted(connection.execute(sa.select(usage_events.c.event_id)).scalars())


def task_runs(api: str, state: Any) -> dict[str, str]:
    query = {"task_runs": {"flow_run_id": {"any_": [str(state.state_details.flow_run_id)]}}}
    found = httpx.post(f"{api}/task_runs/filter", json=query).raise_for_status().json()
    return {one["name"]: one["state_name"] for one in found}


def test_each_window_is_a_task_of_its_name(run: Run, api: Vendor, engine: sa.Engine, prefect_api: str) -> None:
    state = run(source="vendor")
    assert state.message == "4 new events in 4 of 4 parts, 0 done before"
    assert ids(engine) == ["e3", "e4", "e5", "e6"]
    assert task_runs(prefect_api, state) == {
        f"2026-03-05 {hour:02}:00 to 2026-03-05 {hour + 1:02}:00 UTC": "Completed" for hour in range(6, 10)
    }
    assert run(source="vendor").message == "0 new events in 0 of 4 parts, 4 done before"
    assert run(source="vendor", again=True).message == "0 new events in 4 of 4 parts, 0 done before"
    assert differences(engine) == []


def test_part_that_fails_once_is_tried_again(run: Run, api: Vendor, engine: sa.Engine) -> None:
    api.server.faults = [AWAY]
    assert run(source="vendor", workers=1).is_completed()
    assert len(ids(engine)) == 4


def test_part_that_fails_twice_is_named_and_the_others_go_on(
    run: Run, api: Vendor, engine: sa.Engine, prefect_api: str
) -> None:
    api.refused = {NOW - 5 * HOUR: 403}
    state = run(source="vendor")
    assert state.is_failed()
    name = "2026-03-05 07:00 to 2026-03-05 08:00 UTC"
    assert state.message == f"3 new events in 3 of 4 parts, 0 done before; failed: {name}"
    assert task_runs(prefect_api, state)[name] == "Failed"
    query = {"artifacts": {"key": {"any_": ["backfill-usage"]}}, "sort": "CREATED_DESC", "limit": 1}
    [artifact] = httpx.post(f"{prefect_api}/artifacts/filter", json=query).raise_for_status().json()
    [shown] = json.loads(artifact["data"])
    assert shown["part"] == name
    assert "refused: 403" in shown["error"]
    api.refused = {}
    assert run(source="vendor").message == "1 new events in 1 of 4 parts, 3 done before"


@pytest.mark.usefixtures("uncounted_processes")
def test_dask_workers_load_the_same_as_threads(
    run: Run, logs: Path, engine: sa.Engine, prefect_api: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("prefect_dask")
    monkeypatch.setenv("PREFECT_API_URL", prefect_api)  # for the workers, which are processes of their own
    (logs / "3.jsonl.gz").write_bytes(b"no gzip")
    state = run(source="logs", runner="dask")
    assert state.message == f"4 new events in 3 of 4 parts, 0 done before; failed: {logs}/3.jsonl.gz"
    assert ids(engine) == ["06", "07", "08", "09"]
    (logs / "3.jsonl.gz").unlink()
    assert run(source="logs").message == "0 new events in 0 of 3 parts, 3 done before"
    assert differences(engine) == []


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        pytest.param({}, "source: '' is not one of logs", id="no source"),
        pytest.param({"source": "log"}, "source: 'log' is not one of logs", id="a source that is not configured"),
        pytest.param({"source": "logs", "start": None}, "start: None is not a time such as", id="no beginning"),
        pytest.param({"source": "logs", "runner": "ray"}, "runner: 'ray' is not one of dask, threads", id="a runner"),
    ],
)
def test_wrong_parameter_fails_before_anything_is_loaded(
    changes: dict[str, Any], text: str, run: Run, logs: Path, engine: sa.Engine
) -> None:
    state = run(**changes)
    assert state.is_failed()
    assert text in state.message
    assert ids(engine) == []
