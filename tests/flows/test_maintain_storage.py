"""The daily care of the tables as a flow, on a real Prefect server."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
import sqlalchemy as sa
import yaml

from flows.maintain_storage import maintain_storage
from tasks import maintain_storage as tasks
from tasks.settings import Settings
from tasks.stores import retention, usage
from tests.loaded_days import DAY, NOW, TODAY, daily, execute, scalar


@pytest.fixture
def _keeping(prefect_api: str, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Settings that keep 35 days."""
    file = tmp_path / "settings.yaml"
    file.write_text(yaml.safe_dump({"storage": {"keep_events_days": 35, "ahead_days": 2}}))
    monkeypatch.setenv("WATCHKEEPER_CONFIG", str(file))


def run() -> Any:
    return maintain_storage(as_of=NOW, return_state=True)


def days_of(engine: sa.Engine) -> list[datetime]:
    with engine.connect() as connection:
        return usage.partition_midnights(connection)


def page(api: str) -> str:
    query = {"artifacts": {"key": {"any_": ["storage"]}}, "sort": "CREATED_DESC", "limit": 1}
    found: str = httpx.post(f"{api}/artifacts/filter", json=query).raise_for_status().json()[0]["data"]
    return found


@pytest.mark.usefixtures("_keeping")
def test_flow_makes_drops_deletes_and_shows(engine: sa.Engine, prefect_api: str) -> None:
    daily(engine, 38)  # with today: 35 whole days before it, and two that go
    execute(
        engine,
        "INSERT INTO watchkeeper.embedding_cache VALUES ('default', 'm', 1, 'h', '', false, :w, :w)",
        w=NOW - DAY,
    )
    state = run()
    assert state.is_completed()
    assert state.message == "2 days dropped; 1 vectors deleted"
    assert (days_of(engine)[0], days_of(engine)[-1]) == (TODAY - 35 * DAY, TODAY + 2 * DAY)
    shown = page(prefect_api)
    assert "| oldest day of events | 2026-01-29 |" in shown
    assert "| dropped before | 2026-01-29 |" in shown
    assert f"| partitions | {35 + 1 + 2} of at most 400 |" in shown
    assert run().message == "0 days dropped"


@pytest.mark.usefixtures("_keeping")
def test_flow_does_the_rest_when_days_cannot_be_dropped_and_fails(
    engine: sa.Engine, prefect_api: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "LOCK_TIMEOUT", "10ms")
    monkeypatch.setattr(tasks.drop_old_days, "retries", 0)
    daily(engine, 37)
    tasks.make_partitions.fn(engine, Settings(), NOW)  # else it would wait to attach one
    with engine.begin() as reader:
        reader.execute(sa.text("SELECT FROM watchkeeper.usage_events"))
        state = run()
    assert state.is_failed()
    assert state.message == (
        "0 days dropped; days not dropped: usage_events is unavailable: in use for more than 10ms on end"
    )
    assert scalar(engine, "SELECT count(*) FROM pg_stats WHERE tablename = 'usage_events_20260304'") > 0
    assert "| dropped before | nothing was dropped |" in page(prefect_api)


def test_flow_on_an_empty_database_is_no_error(prefect_api: str, settings: Settings, engine: sa.Engine) -> None:
    state = run()
    assert (state.name, state.message) == ("Completed", "0 days dropped")
    assert days_of(engine) == [TODAY + number * DAY for number in range(8)]
