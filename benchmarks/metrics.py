"""How long the metrics of three busy days take to read, source by source, and that roll-ups and events tell the same.

    python benchmarks/metrics.py [--quick] [--rows N] [--json FILE]

Three days of so many events each, made in SQL and rolled up by the code that repairs roll-ups: two vendors, three
models, five features, two releases, chats and embeddings with a cache, one in 97 failed. The window is the three days
but for 17 minutes, so that either end is a part of an hour. Times are medians of three.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa
from bench import asked, database, save

from ops.monitoring.readings import Dimension, Source
from ops.window import Window, whole_hours
from tasks.read_metrics import Asked, read_metrics
from tasks.rebuild_rollups import rebuild_day
from tasks.settings import Settings
from tasks.stores import metrics, schema, usage
from tasks.stores.latencies import values_of
from tasks.stores.sql import statement

TENANT = "bench"
DAYS = [datetime(2026, 11, number, tzinfo=UTC) for number in (18, 19, 20, 21)]
LAST = DAYS[-1] - timedelta(minutes=17)
WINDOW = Window.before(LAST, timedelta(days=3))
ROUNDS = 3
NO_TIME = timedelta(0)
FILL = sa.text(
    """
INSERT INTO watchkeeper.usage_events (
    tenant_id, event_id, occurred_at, source, vendor, model, operation, status, error_type, user_id, feature, service,
    release, prompt_version, input_tokens, cached_tokens, output_tokens, latency_ms, ttft_ms, cache_hit, cost_usd)
SELECT :tenant, 'chatcmpl-' || md5(:day || n::text), CAST(:start AS timestamptz) + n * interval '1 day' / :rows,
       'bench', (ARRAY['openai', 'openai', 'anthropic'])[n % 3 + 1],
       (ARRAY['gpt-4o', 'gpt-4o-mini', 'claude-sonnet-4-5'])[n % 3 + 1],
       CASE WHEN n % 11 = 0 THEN 'embedding' ELSE 'chat' END, CASE WHEN n % 97 = 0 THEN 'failure' ELSE 'success' END,
       CASE WHEN n % 97 = 0 THEN (ARRAY['timeout', 'rate_limit', 'server', 'client', NULL])[n % 5 + 1] END,
       'u' || n * 7919 % 5000, 'f' || n / 60 % 5, 'assistant', 'v' || n / 300 % 2, 'p' || n / 7 % 3,
       20 + n * 104729 % 7980, n % 20, 5 + n * 1299709 % 895, exp(6.5 + 0.8 * random_normal()), 50 + n % 300,
       CASE n % 7 WHEN 0 THEN true WHEN 1 THEN NULL ELSE false END,
       CASE WHEN n % 41 > 0 THEN 0.0001 * (n % 20) END
  FROM generate_series(0::bigint, :rows - 1) AS n
""".replace("::", r"\:\:")
)


def main() -> None:
    """Measure and print."""
    arguments = asked(__doc__)
    with database() as engine:
        _fill(engine, arguments.rows)
        _check(engine)
        result = {"rows_a_day": arguments.rows, "seconds": _seconds(engine)}
    save(result, arguments.json)


def _fill(engine: sa.Engine, rows: int) -> None:
    schema.upgrade(engine)
    usage.ensure_partitions(engine, [day.date() for day in DAYS])
    for day in DAYS[:-1]:
        with engine.begin() as connection:
            connection.execute(sa.text("SELECT setseed(0.5)"))
            connection.execute(FILL, {"tenant": TENANT, "day": f"{day:%Y%m%d}", "start": day, "rows": rows})
        rebuild_day(engine, TENANT, day)
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        for command in ("VACUUM ANALYZE", "CHECKPOINT"):
            connection.execute(sa.text(command))
    print(f"{rows:,} events on each of three days", flush=True)


def _check(engine: sa.Engine) -> None:
    """Refuse roll-ups that tell otherwise than the events."""
    ends = [
        {"first": hours.start, "last": hours.end} for hours in (whole_hours(WINDOW)[0], Window.before(LAST, NO_TIME))
    ]
    for by in (None, *Dimension):
        with engine.connect() as connection:
            values = {**values_of(TENANT, WINDOW, by), "is_by_version": True}
            hours, events = (
                sorted(map(str, connection.execute(statement("metric_requests"), {**values, **end}))) for end in ends
            )
        if hours != events or not hours:
            raise SystemExit(f"  roll-ups tell {hours}, events {events}")


def _seconds(engine: sa.Engine) -> dict[str, float]:
    settings = Settings(tenant=TENANT)
    ways: dict[str, Callable[[], Any]] = {
        f"{source.value}{_by(by)}": lambda source=source, by=by: _read(engine, source, by)
        for source in Source
        for by in (None, Dimension.MODEL)
    }
    for by in (None, *Dimension):
        asked = Asked(window=WINDOW, by=by)
        ways[f"every metric{_by(by)}"] = lambda asked=asked: read_metrics(engine, settings, asked)
    return {name: _median(name, way) for name, way in ways.items()}


def _by(by: Dimension | None) -> str:
    return f", by {by}" if by else ""


def _read(engine: sa.Engine, source: Source, by: Dimension | None, window: Window = WINDOW) -> Any:
    with engine.connect() as connection:
        return metrics.read(connection, TENANT, source, window, by)


def _median(name: str, way: Callable[[], Any]) -> float:
    taken = []
    for _ in range(ROUNDS):
        started = time.perf_counter()
        way()
        taken.append(time.perf_counter() - started)
    median = statistics.median(taken)
    print(f"  {name:<44}{1000 * median:10,.0f} ms", flush=True)
    return median


if __name__ == "__main__":
    main()
