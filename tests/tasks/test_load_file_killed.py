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

import psutil
import pytest
import sqlalchemy as sa

from ops.window import Window
from tasks.embedded_postgres import Cluster
from tasks.settings import Settings
from tasks.simulate_traffic import simulate
from tasks.simulator import Traffic
from tests.recount import differences
from tests.waiting import are_waiting, comes_true

MONDAY = datetime(2025, 11, 3, tzinfo=UTC)
Start = Callable[..., "subprocess.Popen[str]"]
FAULT_POINTS = int(os.environ.get("FAULT_POINTS", "2"))  # `make faults` takes 30


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
    tables = {
        "usage_events": " - 'ingested_at'",
        "usage_hourly": "",
        "latency_hourly": "",
        "usage_daily_users": "",
        "usage_rejects": "",
    }
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
    for number in range(FAULT_POINTS):
        kill_after(luck.uniform(0.6, 1.8), start(*[["--resume"], []][number % 2]))
        assert differences(engine) == []
        events, lines = committed(engine)
        assert events == lines
    again, undisturbed = summary(start()), summary(start(tenant="undisturbed"))
    assert again["inserted"] + again["duplicates"] == again["read"] == undisturbed["inserted"] == undisturbed["read"]
    assert again["duplicates"] == events
    assert contents(engine, "default") == contents(engine, "undisturbed")


def kill_postgres(home: Path) -> bool:
    """End every process of the cluster at once, as a machine without memory would."""
    try:
        postmaster = psutil.Process(int((home / "postgres" / "postmaster.pid").read_text().split("\n")[0]))
        victims = [postmaster, *postmaster.children(recursive=True)]
    except (OSError, ValueError, psutil.Error):
        return False
    for victim in victims:
        with suppress(psutil.Error):
            victim.kill()
    psutil.wait_procs(victims, timeout=30)
    return True


@pytest.mark.skipif("DATABASE_URL" in os.environ, reason="kills a Postgres of its own only")
def test_load_whose_postgres_is_killed_anywhere_equals_an_undisturbed_one(
    log: Path, tmp_path_factory, settings
) -> None:
    home = tmp_path_factory.mktemp("killed")
    home.chmod(0o755)
    environment = {name: value for name, value in os.environ.items() if not name.endswith("DATABASE_URL")}
    environment |= {"WATCHKEEPER_HOME": str(home), "PYTHONPATH": str(Path(__file__).parents[2])}

    def start(tenant: str, *options: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "cli.main", "ingest", str(log), "--json", *options]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        return subprocess.Popen(command, env={**environment, "WATCHKEEPER_TENANT": tenant}, text=True, **pipes)  # type: ignore[call-overload, no-any-return]

    luck, killed = Random(), 0  # noqa: S311  as above
    with Cluster(home, durable=False).use() as cluster:
        summary(start("undisturbed"))
        for number in range(max(1, FAULT_POINTS // 3)):
            loader = start("default", *[["--resume"], []][number % 2])
            with suppress(subprocess.TimeoutExpired):
                loader.wait(luck.uniform(0.8, 2.0))
            killed += kill_postgres(home)
            _, error = loader.communicate(timeout=60)
            assert loader.returncode in {0, 1}
            assert "Traceback" not in error
            cluster.start()
        assert killed > 0
        again = summary(start("default"))
        assert again["inserted"] + again["duplicates"] == again["read"]
        engine = sa.create_engine(cluster.url("watchkeeper"), connect_args={"options": "-c timezone=UTC"})
        assert differences(engine) == []
        assert contents(engine, "default") == contents(engine, "undisturbed")
        engine.dispose()
