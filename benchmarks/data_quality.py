"""How long every data check of a day of a million events takes, and how much memory.

    python benchmarks/data_quality.py [--quick] [--rows N] [--json FILE]

The suites of events and prices look at every row of the day, the others at roll-ups of the weeks before. Median of
three, after a first run that loads the library; memory is the peak of this process, and what Postgres' processes have
for themselves at most, its shared buffers (128 MB) beside. On a clean day no check may fail: exit code 1 when one does.
"""

from __future__ import annotations

import resource
import statistics
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import psutil
import sqlalchemy as sa
from bench import asked, database, save

from ops.monitoring.data_quality import SUITES
from tasks.check_quality import check_quality
from tasks.price_usage import Pricer
from tasks.project_costs import project_costs
from tasks.rebuild_rollups import rebuild_day
from tasks.reprice_usage import reprice_day
from tasks.settings import Settings, Source
from tasks.stores import profiles, schema, source_states, usage
from tasks.stores.repricing import Day
from tasks.stores.tables import event_profiles, usage_hourly

DAY = datetime(2026, 11, 20, tzinfo=UTC)
NOW = DAY + timedelta(days=1)
TENANT, SOURCES = "bench", ("gateway", "batch")
ROUNDS = 3
FILL = sa.text(
    """
INSERT INTO watchkeeper.usage_events (
    tenant_id, event_id, occurred_at, source, vendor, model, operation, status, error_type, user_id, team_id, feature,
    service, release, prompt_version, input_tokens, cached_tokens, output_tokens, latency_ms, ttft_ms, cache_hit,
    reported_cost_usd)
SELECT :tenant, 'chatcmpl-' || md5(n::text), :start + n * interval '1 day' / :rows,
       (ARRAY['gateway', 'batch'])[n % 2 + 1], (ARRAY['openai', 'openai', 'anthropic'])[n % 3 + 1],
       (ARRAY['gpt-4o', 'gpt-4o-mini', 'claude-sonnet-4-5'])[n % 3 + 1], 'chat',
       CASE WHEN n % 97 = 0 THEN 'failure' ELSE 'success' END, CASE WHEN n % 97 = 0 THEN 'timeout' END,
       'u' || n * 7919 % 5000, 't' || n * 31 % 8, (ARRAY['search', 'chat', 'summary'])[n * 17 % 7 % 3 + 1], 'assistant',
       'v1', 'p3', tokens, tokens / 3, 5 + n * 1299709 % 895, 1000 + n % 3000, 100 + n % 300, false, tokens * 2.5e-6
  FROM (SELECT n, 20 + n * 104729 % 7980 AS tokens FROM generate_series(0::bigint, :rows - 1) AS n) AS numbers
""".replace("::", r"\:\:")
)


def main() -> None:
    """Measure and print."""
    arguments = asked(__doc__)
    with database() as engine:
        _fill(engine, arguments.rows)
        result = _measure(engine) | {"rows": arguments.rows}
    for name, seconds in result["seconds"].items():
        print(f"  {name:<14}{seconds:8.2f} s")
    print(f"  peak memory: {result['peak_mb']:.0f} MB here, {result['postgres_mb']:.0f} MB in Postgres")
    print(f"  {result['checks']} checks of {arguments.rows:,} events; failed: {', '.join(result['failed']) or 'none'}")
    save(result, arguments.json)
    sys.exit(1 if result["failed"] else 0)


def _fill(engine: sa.Engine, rows: int) -> None:
    """Make the day, its costs and roll-ups, and the same counts on each of the thirty days before."""
    schema.upgrade(engine)
    usage.ensure_partitions(engine, [DAY.date()])
    with engine.begin() as connection:
        connection.execute(FILL, {"tenant": TENANT, "start": DAY, "rows": rows})
        source_states.watch(connection, TENANT, [Source(name=name, kind="jsonl", path="x") for name in SOURCES], NOW)
    rebuild_day(engine, TENANT, DAY)
    reprice_day(engine, Pricer(engine), Day(TENANT, DAY))
    with engine.begin() as connection:
        profiles.refresh(connection, TENANT, NOW)
        for table in (event_profiles, usage_hourly):
            _repeat(connection, table)
    project_costs.fn(engine, Settings(tenant=TENANT), NOW)


def _repeat(connection: sa.Connection, table: sa.Table) -> None:
    before = sa.func.generate_series(1, 30).table_valued("k").render_derived()
    hour = table.c.hour - sa.func.make_interval(0, 0, 0, before.c.k)
    columns = [hour if column.name == "hour" else column for column in table.c]
    connection.execute(sa.insert(table).from_select(list(table.c.keys()), sa.select(*columns).join(before, sa.true())))


def _measure(engine: sa.Engine) -> dict[str, Any]:
    settings, seconds = Settings(tenant=TENANT), {}
    results = check_quality.fn(engine, settings, NOW)
    with _postgres_memory(engine) as peak:
        for name in [*SUITES, "all"]:
            rounds = [_timed(engine, settings, None if name == "all" else [name]) for _ in range(ROUNDS)]
            seconds[name] = statistics.median(rounds)
    return {
        "seconds": seconds,
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "postgres_mb": peak[0] / 2**20,
        "checks": len(results),
        "failed": [f"{each.suite}: {each.name}" for each in results if each.outcome != "passed"],
    }


def _timed(engine: sa.Engine, settings: Settings, names: list[str] | None) -> float:
    started = time.perf_counter()
    check_quality.fn(engine, settings, NOW, names)
    return time.perf_counter() - started


@contextmanager
def _postgres_memory(engine: sa.Engine) -> Iterator[list[int]]:
    """Watch how many bytes Postgres' processes have for themselves, and yield a list with the most so far."""
    with engine.connect() as connection:
        server = psutil.Process(connection.execute(sa.text("SELECT pg_backend_pid()")).scalar_one()).parent()
    assert server is not None  # noqa: S101
    peak, over = [0], threading.Event()

    def watch() -> None:
        while not over.wait(0.05):
            peak[0] = max(peak[0], sum(_own(process) for process in server.children()))

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield peak
    finally:
        over.set()
        thread.join()


def _own(process: psutil.Process) -> int:
    try:
        return int(process.memory_full_info().uss)
    except psutil.NoSuchProcess:
        return 0


if __name__ == "__main__":
    main()
