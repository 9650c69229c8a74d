"""Small rows made by hand, so that a test can show its arithmetic; they go in by the same way as real ones."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

import sqlalchemy as sa

from ops.usage import Status, UsageEvent
from ops.window import floor_day
from tasks.refuse_rows import Origin
from tasks.sources.interface import Batch
from tasks.stores.tables import usage_hourly
from tasks.write_usage import Loaded, Target, Writer

NOW = datetime(2026, 3, 5, 12, tzinfo=UTC)  # a Thursday
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
MOMENT = timedelta(microseconds=1)
MIDNIGHT = floor_day(NOW)
TENANT = "default"
_NUMBERS = count()


def event(before: timedelta, *, now: datetime = NOW, **fields: Any) -> UsageEvent:
    """Make a request that began so long before `now`; it is a chat of `assistant` with gpt-4o-mini, and succeeded."""
    usual = {"vendor": "openai", "model": "gpt-4o-mini", "operation": "chat", "service": "assistant"}
    usual |= {"status": Status.SUCCESS, "latency_ms": 100.0, "input_tokens": 10, "output_tokens": 1}
    return UsageEvent(**{**usual, "event_id": f"e{next(_NUMBERS)}", "occurred_at": now - before, **fields})


def failed(before: timedelta, **fields: Any) -> UsageEvent:
    """Make a request that timed out."""
    return event(before, **{"status": Status.FAILURE, "error_type": "timeout", **fields})


def load(
    engine: sa.Engine, events: Iterable[UsageEvent], tenant: str = TENANT, *, at: datetime = NOW, **options: Any
) -> Loaded:
    """Insert, price and roll up, as loaded at that time; `options` are those of a Target."""
    writer = Writer(Target(engine, tenant, **options))
    return writer.write(Batch(events=list(events)), Origin("log", "jsonl", "by hand"), at)


def insert(engine: sa.Engine, table: sa.Table, rows: Iterable[dict[str, Any]]) -> None:
    """Insert rows of this tenant as they are."""
    with engine.begin() as connection:
        connection.execute(sa.insert(table), [{"tenant_id": TENANT, **row} for row in rows])


def hour_row(before: timedelta, cost: str, events: int = 1, tokens: int = 1, **fields: Any) -> dict[str, Any]:
    """Make a row of `usage_hourly` for the hour that began so long before NOW."""
    zeros = ("failures", "unpriced_events", "reported_cost_usd", "cached_tokens", "cache_write_tokens",
             "output_tokens", "cache_hits", "cache_eligible", "compared_cost_usd", "compared_reported_usd")  # fmt: skip
    names = {"vendor": "openai", "model": "gpt-4o-mini", "operation": "chat", "feature": None}
    amounts = {"hour": NOW - before, "cost_usd": cost, "events": events, "input_tokens": tokens}
    return {**names, **dict.fromkeys(zeros, 0), **amounts, **fields}


def score_row(before: timedelta, value: float, metric: str = "thumb", **fields: Any) -> dict[str, Any]:
    """Make a row of `scores`."""
    made = {"score_id": f"s{next(_NUMBERS)}", "occurred_at": NOW - before, "metric": metric, "value": value}
    return {**made, "source": "log", **fields}


def alert_row(rule: str, key: str, state: str = "firing") -> dict[str, Any]:
    """Make a row of `alerts`."""
    body = {"value": 2, "limit": 1, "evidence": {}, "breaches": 2, "clears": 0, "summary": ["Spend", "$2", "$1"]}
    return {"alert_id": f"{rule} {key} {state}", "rule": rule, "key": key, "state": state, "tier": "warning",
            "since": NOW, "revision": 1, "body": body}  # fmt: skip


def rows_of(engine: sa.Engine, table: sa.Table, *where: sa.ColumnElement[bool]) -> list[Any]:
    """Return a table's rows in the order of its primary key."""
    with engine.connect() as connection:
        return list(connection.execute(sa.select(table).where(*where).order_by(*table.primary_key)))


def spend_daily(engine: sa.Engine, days: int, cost: str = "12", until: datetime = MIDNIGHT, **fields: Any) -> None:
    """Put the same cost into the roll-up on each of the days that end with `until`."""
    at = [until - number * DAY + 9 * HOUR for number in range(1, days + 1)]
    insert(engine, usage_hourly, [hour_row(NOW - when, cost, **fields) for when in at])
