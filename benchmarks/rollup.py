"""How long a day of a million events takes to price, roll up and break down, as a ratio to plain SQL over the same day.

    python benchmarks/rollup.py [--quick] [--rows N] [--json FILE]

Medians of three in one run, in turns. Plain SQL is one `GROUP BY`: by model with four sums, and by every name and hour
that a breakdown can be asked for, with all their sums (what the hourly roll-up holds). Ours works out the cost of every
event anew by rate cards and compares it with what is stored. `unchanged`: all are right, nothing is written;
`from_scratch`: and all roll-ups (hours, users, latencies) are counted anew from the events and replaced; `all_changed`:
a contract changes every one, which rewrites a million rows. Each ends with the report by model.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import cycle
from typing import Any

import sqlalchemy as sa
from bench import asked, database, save

from ops.cost.overrides import PriceOverride
from ops.window import Window
from tasks.price_usage import Pricer
from tasks.rebuild_rollups import rebuild_day
from tasks.report_costs import Asked, report_costs
from tasks.reprice_usage import reprice_day
from tasks.settings import Settings
from tasks.stores import schema, usage
from tasks.stores.repricing import Day
from tasks.stores.sql import statement

DAY = datetime(2026, 11, 20, tzinfo=UTC)
WINDOW = Window(DAY, DAY + timedelta(days=1))
TENANT = "bench"
ROUNDS = 3
DEAL = PriceOverride(contract="deal", vendor="openai", model="*", input=Decimal(2), output=Decimal(9))
DEALS = (DEAL, PriceOverride(contract="deal", vendor="anthropic", model="*", input=Decimal(2), output=Decimal(9)))
VALUES = {"tenant": TENANT, "start": WINDOW.start, "end": WINDOW.end}
BY_MODEL = sa.text("""
SELECT model, count(*), sum(input_tokens), sum(output_tokens), sum(cost_usd)
  FROM watchkeeper.usage_events WHERE tenant_id = :tenant AND occurred_at >= :start AND occurred_at < :end
 GROUP BY model
""")
FILL = sa.text(
    """
INSERT INTO watchkeeper.usage_events (
    tenant_id, event_id, occurred_at, source, vendor, model, operation, status, user_id, team_id, feature, service,
    release, prompt_version, input_tokens, cached_tokens, output_tokens, latency_ms, ttft_ms, cache_hit,
    reported_cost_usd)
SELECT :tenant, 'chatcmpl-' || md5(n::text), :start + n * interval '1 day' / :rows, 'bench',
       (ARRAY['openai', 'openai', 'anthropic'])[n % 3 + 1],
       (ARRAY['gpt-4o', 'gpt-4o-mini', 'claude-sonnet-4-5'])[n % 3 + 1], 'chat', 'success', 'u' || n * 7919 % 5000,
       't' || n * 31 % 8, (ARRAY['search', 'chat', 'summary'])[n * 17 % 7 % 3 + 1], 'assistant', 'v1', 'p3',
       tokens, tokens / 3, 5 + n * 1299709 % 895, 1000 + n % 3000, 100 + n % 300, false, tokens * 2.5e-6
  FROM (SELECT n, 20 + n * 104729 % 7980 AS tokens FROM generate_series(0::bigint, :rows - 1) AS n) AS numbers
""".replace("::", r"\:\:")
)


def main() -> None:
    """Measure and print."""
    arguments = asked(__doc__)
    with database() as engine:
        result = Bench(engine, arguments.rows).measure()
    for name, seconds in result["seconds"].items():
        ratios = ", ".join(f"{ratios[name]:.2f} of {plain}" for plain, ratios in result["ratios"].items())
        print(f"  {name:<18}{seconds:8.3f} s   {ratios}")
    save(result, arguments.json)


class Bench:
    """One day of one tenant, and the ways to look at it."""

    def __init__(self, engine: sa.Engine, rows: int) -> None:
        self.engine, self.rows = engine, rows
        self.settings = Settings(tenant=TENANT)
        self.listed = Pricer(engine)
        self.pricers = cycle((Pricer(engine, DEALS), self.listed))

    def measure(self) -> dict[str, Any]:
        """Return seconds and ratios."""
        schema.upgrade(self.engine)
        usage.ensure_partitions(self.engine, [DAY.date()])
        with self.engine.begin() as connection:
            connection.execute(FILL, {**VALUES, "rows": self.rows})
        rebuild_day(self.engine, TENANT, DAY)
        self._reprice(self.listed)
        print(f"{self.rows:,} events of one day, medians of {ROUNDS}", flush=True)
        ways: dict[str, Callable[[], object]] = {
            "plain_by_model": lambda: self._read(BY_MODEL),
            "plain_by_names": lambda: self._read(statement("count_hours"), "SET LOCAL enable_sort = off"),
            "unchanged": self._unchanged,
            "from_scratch": self._from_scratch,
        }
        seconds = self._timed(ways)
        seconds |= self._timed({"all_changed": self._all_changed})
        plain = ("plain_by_model", "plain_by_names")
        ratios = {name: {way: taken / seconds[name] for way, taken in seconds.items()} for name in plain}
        return {"rows": self.rows, "seconds": seconds, "ratios": ratios}

    def _timed(self, ways: dict[str, Callable[[], object]], rounds: int = ROUNDS) -> dict[str, float]:
        found: dict[str, list[float]] = {name: [] for name in ways}
        for _ in range(rounds):
            self._tidy()
            for name, way in ways.items():
                started = time.perf_counter()
                way()
                found[name].append(time.perf_counter() - started)
        return {name: statistics.median(taken) for name, taken in found.items()}

    def _tidy(self) -> None:
        with self.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            for command in ("VACUUM (FULL, ANALYZE) watchkeeper.usage_events", "VACUUM ANALYZE", "CHECKPOINT"):
                connection.execute(sa.text(command))
        self._read(BY_MODEL)

    def _read(self, query: sa.Executable, *before: str) -> None:
        with self.engine.connect() as connection:
            for command in (*before, "SET LOCAL work_mem = '64MB'"):  # what ours has, too
                connection.execute(sa.text(command))
            connection.execute(query, VALUES).all()

    def _unchanged(self) -> None:
        if self._reprice(self.listed):
            raise AssertionError("nothing should have changed")
        self._report()

    def _from_scratch(self) -> None:
        self._reprice(self.listed)
        rebuild_day(self.engine, TENANT, DAY)
        self._report()

    def _all_changed(self) -> None:
        if self._reprice(next(self.pricers)) != self.rows:
            raise AssertionError("everything should have changed")
        self._report()

    def _reprice(self, pricer: Pricer) -> int:
        _, changes = reprice_day(self.engine, pricer, Day(TENANT, DAY))
        return sum(change.events for change in changes.values())

    def _report(self) -> None:
        report_costs(self.engine, self.settings, Asked(window=WINDOW), WINDOW.end)


if __name__ == "__main__":
    main()
