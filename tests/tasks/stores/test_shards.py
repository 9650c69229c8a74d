"""One history loaded by several workers, each its shard of the files, equals the same loaded by one."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from zlib import crc32

import pytest
import sqlalchemy as sa

from ops.window import Window
from tasks.load_file import load_file
from tasks.log_file import LogFile
from tasks.settings import Source
from tasks.simulate_traffic import simulate
from tasks.simulator import Traffic
from tasks.stores.tables import latency_hourly, usage_daily_users, usage_events, usage_hourly, usage_rejects
from tasks.write_usage import Loaded, Target
from tests.loaded_days import DAY, HOUR, NOW, TODAY
from tests.recount import differences

SHARDS = 3
_TIMES = {"ingested_at", "rejected_at", "tenant_id"}  # what may differ


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    """Files of overlapping hours: a request is in two of them."""
    made = []
    for number in range(8):
        start = TODAY - DAY + number * HOUR
        written = simulate(
            Traffic(requests_per_hour=60, seed=1), Window(start, start + 2 * HOUR), tmp_path / str(number)
        )
        made.append(written.usage)
    made[0].with_name("broken.jsonl").write_bytes(b"no payload\n" * 3)
    return [*made, made[0].with_name("broken.jsonl")]


def load(engine: sa.Engine, tenant: str, files: list[Path]) -> Loaded:
    total = Loaded()
    for file in files:
        source = Source(name="gateway", path=str(file))
        total = total.plus(load_file(Target(engine, tenant), source, LogFile(str(file)), NOW, resume=True))
    return total


def rows(engine: sa.Engine, table: sa.Table, tenant: str) -> list[Any]:
    columns = [column for column in table.c if column.name not in _TIMES]
    with engine.connect() as connection:
        found = connection.execute(sa.select(*columns).where(table.c.tenant_id == tenant).order_by(*columns))
        return [tuple(row) for row in found]


def shard(file: Path) -> int:
    return crc32(f"{file.parent.name}/{file.name}".encode()) % SHARDS


def test_three_workers_on_their_shards_load_what_one_does(engine: sa.Engine, files: list[Path]) -> None:
    alone = load(engine, "one", files)
    shards = [[file for file in files if shard(file) == number] for number in range(SHARDS)]
    with ThreadPoolExecutor(SHARDS) as pool:
        together = [done.result() for done in [pool.submit(load, engine, "three", part) for part in shards]]
    assert all(shards)
    assert sum(done.inserted for done in together) == alone.inserted > 200
    assert sum(done.duplicates for done in together) == alone.duplicates > 100
    for table in (usage_events, usage_hourly, latency_hourly, usage_daily_users, usage_rejects):
        assert rows(engine, table, "three") == rows(engine, table, "one")
    assert differences(engine) == []


def test_workers_that_all_load_everything_load_it_once(engine: sa.Engine, files: list[Path]) -> None:
    alone = load(engine, "one", files)
    with ThreadPoolExecutor(SHARDS) as pool:
        orders = [files, files[::-1], files[4:] + files[:4]]
        together = [done.result() for done in [pool.submit(load, engine, "three", order) for order in orders]]
    assert sum(done.inserted for done in together) == alone.inserted
    assert rows(engine, usage_hourly, "three") == rows(engine, usage_hourly, "one")
    assert differences(engine) == []
