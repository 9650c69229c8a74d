from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

import pytest
import sqlalchemy as sa

from ops.window import Window
from tasks.settings import Settings
from tasks.simulate_traffic import simulate
from tasks.simulator import Traffic
from tests.recount import differences
from tests.waiting import are_waiting, comes_true

MONDAY = datetime(2025, 11, 3, tzinfo=UTC)
Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """A log of some 30,000 lines, which are several blocks."""
    written = simulate(Traffic(requests_per_hour=1100), Window(MONDAY, MONDAY + timedelta(days=1)), tmp_path / "logs")
    assert written.requests > 25_000
    return written.usage


@pytest.fixture
def start(log: Path, settings: Settings) -> Start:
    def started(*options: str, tenant: str = "default") -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "cli.main", "ingest", str(log), "--json", *options]
        root = str(Path(__file__).parents[2])
        environment = {**os.environ, "WATCHKEEPER_TENANT": tenant, "PYTHONPATH": root}
        return subprocess.Popen(command, stdout=subprocess.PIPE, env=environment, text=True)

    return started


def summary(process: subprocess.Popen[str]) -> dict[str, Any]:
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 0
    found: dict[str, Any] = json.loads(output)
    return found


def kill_while_waiting_for(table: str, start: Start, engine: sa.Engine, url: str, *, after_first_block: bool) -> None:
    """Kill a loader inside a transaction, for certain: it waits for a lock that we hold."""
    begun = "SELECT count(*) > 0 FROM watchkeeper.ingest_files"
    with engine.connect() as holder:
        process = None
        if after_first_block:
            process = start()
            assert comes_true(url, begun)
        holder.execute(sa.text(f"LOCK TABLE watchkeeper.{table} IN EXCLUSIVE MODE"))
        process = process or start()
        assert are_waiting(url, 1)
        process.kill()
        process.communicate()


def kill_after(seconds: float, process: subprocess.Popen[str]) -> None:
    with suppress(subprocess.TimeoutExpired):
        process.communicate(timeout=seconds)
    process.kill()
    process.communicate()


def contents(engine: sa.Engine, tenant: str) -> list[Any]:
    """Return everything that a load leaves, but for the tenant and the times of loading."""
    tables = {"usage_events": " - 'ingested_at'", "usage_hourly": "", "latency_hourly": "", "usage_rejects": ""}
    with engine.connect() as connection:
        return [
            connection.execute(
                sa.text(
                    f"SELECT count(*), md5(string_agg(row, '' ORDER BY row)) FROM ("  # noqa: S608  names from above
                    f"SELECT (to_jsonb(t) - 'tenant_id' - 'rejected_at'{without})\\:\\:text AS row "
                    f"FROM watchkeeper.{table} AS t WHERE tenant_id = :tenant) AS rows"
                ),
                {"tenant": tenant},
            ).one()
            for table, without in tables.items()
        ]


def committed(engine: sa.Engine) -> tuple[int, int]:
    with engine.connect() as connection:
        return tuple(  # type: ignore[return-value]
            connection.execute(sa.text(query)).scalar_one()
            for query in (
                "SELECT count(*) FROM watchkeeper.usage_events",
                "SELECT coalesce(max(lines), 0) FROM watchkeeper.ingest_files",
            )
        )


def test_load_killed_anywhere_and_run_again_equals_an_undisturbed_one(
    start: Start, engine: sa.Engine, database_url: str
) -> None:
    stops = [("usage_events", False), ("ingest_files", False), ("usage_hourly", True)]
    states = []
    for table, after_first_block in stops:
        kill_while_waiting_for(table, start, engine, database_url, after_first_block=after_first_block)
        assert differences(engine) == []
        states.append(committed(engine))
    assert states[:2] == [(0, 0), (0, 0)]
    assert states[2][0] == states[2][1] > 0
    luck = Random()  # noqa: S311  another point in time with each run of the tests
    for options in ([], ["--resume"]):
        kill_after(luck.uniform(0.8, 2.0), start(*options))
        assert differences(engine) == []
        events, lines = committed(engine)
        assert events == lines
    again, undisturbed = summary(start()), summary(start(tenant="undisturbed"))
    assert again["inserted"] + again["duplicates"] == again["read"] == undisturbed["inserted"] == undisturbed["read"]
    assert again["duplicates"] == events
    assert contents(engine, "default") == contents(engine, "undisturbed")
