"""How far quantiles of the roll-up are from exact ones, and how long metrics take to read.

    python benchmarks/quantiles.py [--quick] [--rows N] [--json FILE]

Events of 30 days and five models, each with latencies of a shape of its own: lognormal, bimodal, heavy-tailed (Pareto,
alpha 1.2), uniform and almost constant. P50, P95 and P99 of each are held to `percentile_cont` over the events (at most
1 % off), the largest is to be exact. Times are medians of five: the quantiles by model over all 30 days from the hourly
histogram, the same by `percentile_cont`, and every metric of the catalogue by model in windows that end within an hour.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa
from bench import asked, database, save

from ops.monitoring.histogram import Histogram
from ops.monitoring.metrics import WINDOWS
from ops.monitoring.readings import Dimension
from ops.window import Window
from tasks.read_metrics import Asked, read_metrics
from tasks.rebuild_rollups import rebuild_day
from tasks.settings import Settings
from tasks.stores import latencies, schema, usage

MONTH = Window(datetime(2026, 10, 22, tzinfo=UTC), datetime(2026, 11, 21, tzinfo=UTC))
LAST = MONTH.end - timedelta(minutes=17)
TENANT = "bench"
ROUNDS = 5
SHARES = (0.5, 0.95, 0.99)
VALUES = {"tenant": TENANT, "start": MONTH.start, "end": MONTH.end}
EXACT = sa.text("""
SELECT model, percentile_cont(ARRAY[0.5, 0.95, 0.99]) WITHIN GROUP (ORDER BY latency_ms), max(latency_ms)
  FROM watchkeeper.usage_events WHERE tenant_id = :tenant AND occurred_at >= :start AND occurred_at < :end
 GROUP BY model
""")
FILL = sa.text(
    """
INSERT INTO watchkeeper.usage_events (
    tenant_id, event_id, occurred_at, source, vendor, model, operation, status, user_id, feature, service, release,
    prompt_version, input_tokens, cached_tokens, output_tokens, latency_ms, ttft_ms, cache_hit, cost_usd)
SELECT :tenant, 'chatcmpl-' || md5(n::text), :start + n * interval '30 days' / :rows, 'bench', 'openai', shape, 'chat',
       'success', 'u' || n * 7919 % 5000, 'f' || n % 7, 'assistant', 'v' || n / (:rows / 3), 'p3', 1000, 300, 100,
       CASE shape WHEN 'lognormal' THEN exp(6.5 + 0.8 * random_normal())
                  WHEN 'bimodal' THEN CASE WHEN random() < 0.7 THEN 50 + 4 * abs(random_normal())
                                           ELSE 2000 + 200 * abs(random_normal()) END
                  WHEN 'pareto' THEN least(100 * power(1 - random(), -1 / 1.2), 86400000)
                  WHEN 'uniform' THEN 10 + 5000 * random()
                  ELSE 250 + random() / 10 END,
       50 + n % 300, false, 0.001
  FROM (SELECT n, (ARRAY['lognormal', 'bimodal', 'pareto', 'uniform', 'constant'])[n % 5 + 1] AS shape
          FROM generate_series(0::bigint, :rows - 1) AS n) AS numbers
""".replace("::", r"\:\:")
)


def main() -> None:
    """Measure and print."""
    arguments = asked(__doc__)
    with database() as engine:
        _fill(engine, arguments.rows)
        result = {"rows": arguments.rows, "errors": _errors(engine), "seconds": _seconds(engine)}
    for shape, errors in result["errors"].items():
        print(f"  {shape:<12}" + "".join(f"{name} {error:8.3%}   " for name, error in errors.items()))
    for name, seconds in result["seconds"].items():
        print(f"  {name:<44}{1000 * seconds:10,.0f} ms")
    save(result, arguments.json)
    worst = max(error for errors in result["errors"].values() for error in errors.values())
    if worst > 0.01 or any(errors["largest"] for errors in result["errors"].values()):
        raise SystemExit(f"  a quantile is {worst:.3%} off, or a largest is not exact")


def _fill(engine: sa.Engine, rows: int) -> None:
    schema.upgrade(engine)
    days = list(MONTH.days())
    usage.ensure_partitions(engine, [day.date() for day in days])
    with engine.begin() as connection:
        connection.execute(sa.text("SELECT setseed(0.5)"))
        connection.execute(FILL, {**VALUES, "rows": rows})
    for day in days:
        rebuild_day(engine, TENANT, day)
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        for command in ("VACUUM ANALYZE", "CHECKPOINT"):
            connection.execute(sa.text(command))
    print(f"{rows:,} events of five models and 30 days", flush=True)


def _errors(engine: sa.Engine) -> dict[str, dict[str, float]]:
    """Return by shape how far each figure is off, as a share of the exact one."""
    ours = _by_model(engine)
    found = {}
    with engine.connect() as connection:
        for model, exact, largest in connection.execute(EXACT, VALUES):
            errors = {
                f"P{100 * share:.0f}": abs((ours[model].quantile(share) or 0) / value - 1)
                for share, value in zip(SHARES, exact, strict=True)
            }
            found[model] = {**errors, "largest": abs((ours[model].maximum or 0) / largest - 1)}
    return found


def _by_model(engine: sa.Engine) -> dict[str | None, Histogram]:
    with engine.connect() as connection:
        return latencies.latency(connection, TENANT, MONTH, Dimension.MODEL)


def _p95(engine: sa.Engine) -> list[float | None]:
    with engine.connect() as connection:
        bins = latencies.bins_of_hours(connection, TENANT, MONTH, Dimension.MODEL)
    return [Histogram(counts).quantile(0.95) for counts in bins.values()]


def _exact(engine: sa.Engine) -> None:
    with engine.connect() as connection:
        connection.execute(EXACT, VALUES).all()


def _seconds(engine: sa.Engine) -> dict[str, float]:
    settings = Settings(tenant=TENANT)
    ways: dict[str, Callable[[], Any]] = {
        "P95 by model, 30 days, from the roll-up": lambda: _p95(engine),
        "and the largest, exactly": lambda: _by_model(engine),
        "percentile_cont by model, 30 days": lambda: _exact(engine),
    }
    for name, length in WINDOWS.items():
        asked = Asked(window=Window.before(LAST, length), by=Dimension.MODEL)
        ways[f"every metric by model, {name}"] = lambda asked=asked: read_metrics(engine, settings, asked)
    return {name: _median(way) for name, way in ways.items()}


def _median(way: Callable[[], Any]) -> float:
    taken = []
    for _ in range(ROUNDS):
        started = time.perf_counter()
        way()
        taken.append(time.perf_counter() - started)
    return statistics.median(taken)


if __name__ == "__main__":
    main()
