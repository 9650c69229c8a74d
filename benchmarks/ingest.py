"""How fast usage is loaded, as a ratio to what Postgres can take: `psql \\copy` of a ready CSV into the same table.

    python benchmarks/ingest.py [--quick] [--rows N] [--json FILE]

Medians of three in one run, on a day-partitioned table with its real keys and indexes. Ours is end to end from JSON
lines in gzip: unpack, parse, validate, insert, with roll-ups off and on, and priced too. The peers read the same file;
dlt is measured when it is installed (`make bench` does that).
"""

from __future__ import annotations

import gzip
import importlib.util
import json
import multiprocessing
import os
import resource
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from random import Random
from typing import Any

import sqlalchemy as sa
from bench import asked, save

from tasks.embedded_postgres import Cluster, binaries
from tasks.load_file import load_file
from tasks.log_file import LogFile
from tasks.resources import create_database
from tasks.settings import Source
from tasks.stores import schema, tables, usage
from tasks.write_usage import Target

START = datetime(2026, 11, 20, tzinfo=UTC)
DAYS = 2
ROUNDS = 3
SOURCE = Source(name="bench", kind="jsonl", path="events")
MODELS = (("openai", "gpt-4o"), ("openai", "gpt-4o-mini"), ("anthropic", "claude-sonnet-4-5"))


def main() -> None:
    """Measure and print."""
    arguments = asked(__doc__)
    with tempfile.TemporaryDirectory() as folder, Cluster(Path(folder) / "home").use() as cluster:
        create_database(cluster.url("postgres"), "bench")
        bench = Bench(cluster.url("bench"), Path(folder), arguments.rows)
        result = bench.measure()
    for name, seconds in result["seconds"].items():
        rate = result["rows"] / seconds
        print(f"  {name:<26}{seconds:8.2f} s {rate:12,.0f} rows/s   {result['ratios_to_copy'][name]:.2f} of \\copy")
    print(f"  two loaders are {result['two_loaders']:.2f}x one; peak memory of a load {result['peak_mb']:.0f} MB")
    save(result, arguments.json)


class Bench:
    """One database, one file of events, and the ways to bring the one into the other."""

    def __init__(self, url: str, folder: Path, rows: int) -> None:
        self.url, self.folder, self.rows = url, folder, rows
        self.engine = sa.create_engine(url)
        self.file = folder / "events.jsonl.gz"
        self.halves = [folder / f"half-{number}.jsonl.gz" for number in (1, 2)]
        self.ready = folder / "ready.csv"

    def measure(self) -> dict[str, Any]:
        """Return seconds and ratios."""
        schema.upgrade(self.engine)
        print(f"{self.rows:,} events of 21 columns, medians of {ROUNDS}", flush=True)
        _write(self.file, events(self.rows))
        for number, half in enumerate(self.halves):
            _write(half, (event for at, event in enumerate(events(self.rows)) if at % 2 == number))
        self._empty()
        self._ours(self.file, prices=False)
        self._psql(f"\\copy (SELECT * FROM watchkeeper.usage_events) TO '{self.ready}' CSV")  # noqa: S608  our path
        ways: dict[str, Callable[[], float]] = {
            "psql \\copy": lambda: self._psql(f"\\copy watchkeeper.usage_events FROM '{self.ready}' CSV"),
            "ours_rollups_off": lambda: self._ours(self.file, prices=False, rolls_up=False),
            "ours_rollups_on": lambda: self._ours(self.file, prices=False),
            "ours_priced_and_rolled_up": lambda: self._ours(self.file),
            "two_loaders": self._two_loaders,
            "sqlalchemy": self._sqlalchemy,
            "pandas": self._pandas,
        }
        if importlib.util.find_spec("dlt"):
            ways["dlt"] = self._dlt
        timed = {name: self._timed(way) for name, way in ways.items()}
        seconds = {name: found[0] for name, found in timed.items()}
        self.engine.dispose()
        return {
            "rows": self.rows,
            "seconds": seconds,
            "ratios_to_copy": {name: seconds["psql \\copy"] / taken for name, taken in seconds.items()},
            "two_loaders": seconds["ours_rollups_on"] / seconds["two_loaders"],
            "peak_mb": max(found[1] for name, found in timed.items() if name.startswith("ours")),
            "cores": os.cpu_count(),
        }

    def _timed(self, way: Callable[[], float]) -> tuple[float, float]:
        """Return the median seconds, and the most that the way says of memory."""
        seconds, peak = [], 0.0
        for _ in range(ROUNDS):
            self._empty()
            started = time.perf_counter()
            told = way()
            seconds.append(time.perf_counter() - started)
            peak = max(peak, told)
        return statistics.median(seconds), peak

    def _empty(self) -> None:
        names = ("usage_events", "usage_hourly", "latency_hourly", "usage_daily_users", "ingest_files")
        with self.engine.begin() as connection:
            connection.execute(sa.text(f"TRUNCATE {', '.join(f'watchkeeper.{name}' for name in names)}"))
        usage.ensure_partitions(self.engine, [(START + timedelta(days=day)).date() for day in range(DAYS)])
        with self.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(sa.text("CHECKPOINT"))

    def _psql(self, command: str) -> float:
        url = self.engine.url.set(drivername="postgresql").render_as_string(hide_password=False)
        subprocess.run([str(binaries() / "psql"), "-qv", "ON_ERROR_STOP=1", url, "-c", command], check=True)
        return 0

    def _ours(self, file: Path, **options: bool) -> float:
        """Load in this process's pool of one: its memory is that of a loader alone."""
        return _pool(1).submit(_load, self.url, str(file), options).result()

    def _two_loaders(self) -> float:
        return max(_pool(2).map(_load, [self.url] * 2, map(str, self.halves), [{"prices": False}] * 2))

    def _sqlalchemy(self) -> float:
        with self.engine.begin() as connection:
            for rows in _chunks(self.file, 10_000):
                connection.execute(sa.insert(tables.usage_events), [{**_COMMON, **row} for row in rows])
        return 0

    def _pandas(self) -> float:
        import pandas as pd

        with pd.read_json(self.file, lines=True, chunksize=10_000) as frames:
            for frame in frames:
                frame.assign(**_COMMON).to_sql(
                    "usage_events", self.engine, schema="watchkeeper", if_exists="append", index=False
                )
        return 0

    def _dlt(self) -> float:
        import dlt

        with self.engine.begin() as connection:
            connection.execute(sa.text("DROP SCHEMA IF EXISTS dlt_bench CASCADE"))
        os.environ["RUNTIME__DLTHUB_TELEMETRY"] = "false"
        url = self.engine.url
        credentials = {
            "drivername": "postgresql", "database": url.database, "username": url.username, "password": "none",
            "host": "localhost", "port": 5432, "query": {"host": str(url.query["host"])},
        }  # fmt: skip
        pipeline = dlt.pipeline(
            f"bench_{time.time_ns()}", pipelines_dir=str(self.folder / "dlt"), dataset_name="dlt_bench",
            destination=dlt.destinations.postgres(credentials),
        )  # fmt: skip
        pipeline.run((row for rows in _chunks(self.file, 10_000) for row in rows), table_name="usage_events",
                     write_disposition="append", loader_file_format="csv")  # fmt: skip
        return 0


_COMMON = {"tenant_id": "bench", "source": "bench"}
_POOLS: dict[int, ProcessPoolExecutor] = {}


def _pool(size: int) -> ProcessPoolExecutor:
    """Return loader processes that are started and have imported what they need."""
    if size not in _POOLS:
        _POOLS[size] = ProcessPoolExecutor(size, mp_context=multiprocessing.get_context("spawn"))
        list(_POOLS[size].map(_ready, range(size * 2)))
    return _POOLS[size]


def _ready(number: int) -> int:
    time.sleep(0.2)  # so that each process takes one
    return number


def _load(url: str, file: str, options: dict[str, bool]) -> float:
    """Load a file, and return this process's peak of memory in MB."""
    engine = sa.create_engine(url)
    load_file(Target(engine, "bench", **options), SOURCE, LogFile(file), START + timedelta(days=DAYS))
    engine.dispose()
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def events(rows: int) -> Iterator[dict[str, Any]]:
    """Yield the same events each time: two days, 5,000 users, 72 combinations of names."""
    draw = Random(1)  # noqa: S311  no secret
    for number in range(rows):
        vendor, model = draw.choice(MODELS)
        tokens = draw.randint(20, 8000)
        made = draw.randint(5, 900)
        when = START + timedelta(seconds=number * 86_400 * DAYS / rows)
        yield {
            "event_id": f"chatcmpl-{draw.getrandbits(128):032x}",
            "occurred_at": when.isoformat(timespec="microseconds"),
            "vendor": vendor, "model": model, "operation": "chat", "status": "success",
            "user_id": f"u{draw.randint(1, 5000)}", "team_id": f"t{draw.randint(1, 8)}",
            "feature": draw.choice(("search", "chat", "summary")), "service": "assistant", "release": "v1",
            "prompt_version": "p3", "input_tokens": tokens, "cached_tokens": tokens // 3, "output_tokens": made,
            "latency_ms": round(draw.lognormvariate(7, 0.6), 3), "ttft_ms": round(draw.lognormvariate(5, 0.6), 3),
            "cache_hit": False, "reported_cost_usd": round(tokens * 2.5e-6 + made * 1e-5, 9),
        }  # fmt: skip


def _write(file: Path, rows: Iterator[dict[str, Any]]) -> None:
    with gzip.open(file, "wt", compresslevel=6) as stream:
        for row in rows:
            stream.write(json.dumps(row) + "\n")


def _chunks(file: Path, size: int) -> Iterator[list[dict[str, Any]]]:
    with gzip.open(file, "rt") as stream:
        while rows := [json.loads(line) for line in islice(stream, size)]:
            yield rows


if __name__ == "__main__":
    main()
