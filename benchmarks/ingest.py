"""How fast usage is loaded, as a ratio to what Postgres can take: `psql \\copy` of a ready CSV into the same table.

    python benchmarks/ingest.py [--quick] [--rows N] [--json FILE]

Medians of three in one run. Ours is end to end: gunzip, parse, validate, price, insert, roll up.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from ops.window import Window
from tasks.embedded_postgres import Cluster, binaries
from tasks.load_file import Target, load_file
from tasks.resources import create_database
from tasks.settings import Source
from tasks.simulate_traffic import simulate
from tasks.simulator import Traffic
from tasks.stores import schema, tables, usage

DAY = datetime(2026, 11, 20, tzinfo=UTC)
ROUNDS = 3


def main() -> None:
    """Measure and print."""
    arguments = _arguments()
    with tempfile.TemporaryDirectory() as folder, Cluster(Path(folder) / "home").use() as cluster:
        create_database(cluster.url("postgres"), "bench")
        engine = sa.create_engine(cluster.url("bench"))
        schema.upgrade(engine)
        result = _measure(engine, Path(folder), arguments.rows)
        engine.dispose()
    print(f"{result['rows']:,} events, medians of {ROUNDS}")
    for name, seconds in result["seconds"].items():
        rate = result["rows"] / seconds
        print(f"  {name:<24}{seconds:8.2f} s {rate:12,.0f} rows/s   {result['ratios_to_copy'][name]:.2f} of \\copy")
    print(f"  peak memory of this process {result['peak_mb']:.0f} MB")
    if arguments.json:
        arguments.json.write_text(json.dumps(result, indent=2))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--quick", action="store_true", help="20,000 rows")
    parser.add_argument("--json", type=Path, metavar="FILE")
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.rows = 20_000
    return arguments


def _measure(engine: sa.Engine, folder: Path, rows: int) -> dict[str, Any]:
    written = simulate(Traffic(requests_per_hour=rows / 24), Window(DAY, DAY + timedelta(days=1)), folder)
    target, source = Target(engine, "bench"), Source(name="bench", path=str(written.usage))
    load_file(target, source, written.usage, DAY + timedelta(days=2))
    ready = folder / "ready.csv"
    _psql(engine, f"\\copy (SELECT * FROM watchkeeper.usage_events) TO '{ready}' CSV")  # noqa: S608  our own path
    with engine.connect() as connection:
        events = [dict(row._mapping) for row in connection.execute(sa.select(tables.usage_events))]
    load = {
        "psql \\copy": lambda: _psql(engine, f"\\copy watchkeeper.usage_events FROM '{ready}' CSV"),
        "ours_rollups_on": lambda: load_file(target, source, written.usage, DAY + timedelta(days=2)),
        "sqlalchemy": lambda: _insert_many(engine, events),
    }
    seconds = {name: statistics.median(_timed(engine, work) for _ in range(ROUNDS)) for name, work in load.items()}
    limit = seconds["psql \\copy"]
    return {
        "rows": len(events),
        "seconds": seconds,
        "ratios_to_copy": {name: limit / taken for name, taken in seconds.items()},
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def _timed(engine: sa.Engine, work: Callable[[], object]) -> float:
    with engine.begin() as connection:
        connection.execute(sa.text("TRUNCATE watchkeeper.usage_events, watchkeeper.usage_hourly, "
                                   "watchkeeper.latency_hourly"))  # fmt: skip
        usage.ensure_partitions(connection, [DAY.date(), (DAY + timedelta(days=1)).date()])
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def _psql(engine: sa.Engine, command: str) -> None:
    url = engine.url.set(drivername="postgresql").render_as_string(hide_password=False)
    subprocess.run([str(binaries() / "psql"), "-qv", "ON_ERROR_STOP=1", url, "-c", command], check=True)


def _insert_many(engine: sa.Engine, events: list[dict[str, Any]]) -> None:
    with engine.begin() as connection:
        connection.execute(sa.insert(tables.usage_events), events)


if __name__ == "__main__":
    main()
