"""Whether a load takes longer the more there is already: the same batch on ever more events.

    python benchmarks/ingest_history.py [--quick] [--json FILE]

History is made in SQL on 30 days of partitions with their real keys and indexes; the batch falls on the day behind it,
and a twentieth of each quarter of it is late. Medians of three; after each the batch is taken out again.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any

import sqlalchemy as sa

from ops.usage import Status, UsageEvent
from tasks.embedded_postgres import Cluster
from tasks.refuse_rows import Origin
from tasks.resources import create_database
from tasks.sources.interface import Batch
from tasks.stores import schema, usage
from tasks.write_usage import Target, Writer

END = datetime(2026, 11, 20, tzinfo=UTC)
DAYS = 30
ROUNDS = 3
ORIGIN = Origin("bench", "jsonl", "memory")
HISTORY = """
INSERT INTO watchkeeper.usage_events (tenant_id, event_id, occurred_at, source, vendor, model, operation, status,
    user_id, team_id, feature, service, release, input_tokens, cached_tokens, output_tokens, latency_ms, cost_usd)
SELECT 'bench', 'old-' || md5(n::text), CAST(:start AS timestamptz) + (n % 2592000) * interval '1 second', 'bench',
       'openai', 'gpt-4o', 'chat', 'success', 'u' || n % 5000, 't' || n % 8, 'search', 'assistant', 'v1',
       n % 8000, n % 2000, n % 900, 100 + n % 3000, 0.001
  FROM generate_series(CAST(:low AS bigint), CAST(:high AS bigint)) AS n
"""
TAKE_OUT = """
DELETE FROM watchkeeper.usage_events AS u
 USING unnest(CAST(:ids AS text[]), CAST(:times AS timestamptz[])) AS k (id, at)
 WHERE u.tenant_id = 'bench' AND u.event_id = k.id AND u.occurred_at = k.at
"""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a tenth of everything")
    parser.add_argument("--json", type=Path, metavar="FILE")
    arguments = parser.parse_args()
    scale = 10 if arguments.quick else 1
    sizes = [count // scale for count in (1_000_000, 5_000_000, 20_000_000)]
    with tempfile.TemporaryDirectory() as folder, Cluster(Path(folder) / "home").use() as cluster:
        create_database(cluster.url("postgres"), "bench")
        engine = sa.create_engine(cluster.url("bench"))
        schema.upgrade(engine)
        usage.ensure_partitions(engine, [(END - timedelta(days=day)).date() for day in range(-1, DAYS + 1)])
        result = _measure(engine, sizes, 100_000 // scale)
        engine.dispose()
    if arguments.json:
        arguments.json.write_text(json.dumps(result, indent=2))


def _measure(engine: sa.Engine, sizes: list[int], rows: int) -> dict[str, Any]:
    stored, seconds = 0, {}
    for size in sizes:
        _grow(engine, stored, size)
        stored = size
        seconds[size] = statistics.median(_timed(engine, rows, number) for number in range(ROUNDS))
        ratio = seconds[size] / seconds[sizes[0]]
        print(f"  {rows:,} events on {size:>12,}: {seconds[size]:6.2f} s   {ratio:.2f}x the first", flush=True)
    growth = seconds[sizes[-1]] / seconds[sizes[0]]
    return {"rows": rows, "seconds": seconds, "growth": growth}


def _grow(engine: sa.Engine, low: int, high: int) -> None:
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        bounds = {"start": END - timedelta(days=DAYS), "low": low + 1, "high": high}
        connection.execute(sa.text(HISTORY.replace("::", "\\:\\:")), bounds)
        connection.execute(sa.text("VACUUM ANALYZE watchkeeper.usage_events"))
        connection.execute(sa.text("CHECKPOINT"))


def _timed(engine: sa.Engine, rows: int, number: int) -> float:
    batches = [Batch(events=_events(rows // 4, f"{number}-{part}")) for part in range(4)]
    writer = Writer(Target(engine, "bench"))
    started = time.perf_counter()
    for batch in batches:
        writer.write(batch, ORIGIN, END)
    taken = time.perf_counter() - started
    _take_out([event for batch in batches for event in batch.events], engine)
    return taken


def _take_out(events: list[UsageEvent], engine: sa.Engine) -> None:
    """Delete by key: a scan of all history would push what a running system has in memory out of it."""
    keys = {"ids": [event.event_id for event in events], "times": [event.occurred_at for event in events]}
    with engine.begin() as connection:
        connection.execute(sa.text("SET LOCAL enable_hashjoin = off"))
        connection.execute(sa.text("SET LOCAL enable_mergejoin = off"))
        connection.execute(sa.text(TAKE_OUT), keys)


def _events(rows: int, name: str) -> list[UsageEvent]:
    draw = Random(name)  # noqa: S311  no secret
    late = [timedelta(0)] * 19 + [timedelta(days=draw.randint(1, 30))]
    return [
        UsageEvent(
            event_id=f"new-{name}-{draw.getrandbits(64):016x}", vendor="openai", operation="chat",
            occurred_at=END + timedelta(seconds=draw.random() * 7200) - draw.choice(late), status=Status.SUCCESS,
            model=draw.choice(("gpt-4o", "gpt-4o-mini")), user_id=f"u{draw.randint(1, 5000)}",
            team_id=f"t{draw.randint(1, 8)}", feature="search", service="assistant", release="v1",
            input_tokens=draw.randint(20, 8000), output_tokens=draw.randint(5, 900),
            latency_ms=draw.lognormvariate(7, 0.6), reported_cost_usd=Decimal("0.001"),
        )
        for _ in range(rows)
    ]  # fmt: skip


if __name__ == "__main__":
    main()
