"""Days of usage for tests of what becomes of them: events made by hand, written by the way of real ones."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

import sqlalchemy as sa

from ops.usage import Status, UsageEvent
from tasks.refuse_rows import Origin
from tasks.sources.interface import Batch
from tasks.write_usage import Loaded, Target, Writer

TODAY = datetime(2026, 3, 5, tzinfo=UTC)  # a Thursday
NOW = TODAY + timedelta(hours=12)
DAY, HOUR, MINUTE = timedelta(days=1), timedelta(hours=1), timedelta(minutes=1)
TENANT = "default"
ORIGIN = Origin("log", "jsonl", "log.jsonl")
_NUMBERS = count()


def event(when: datetime, **fields: Any) -> UsageEvent:
    """Make a successful chat of `assistant` with gpt-4o-mini that took 100 ms."""
    usual: dict[str, Any] = {
        "event_id": f"e{next(_NUMBERS)}", "occurred_at": when, "vendor": "openai", "model": "gpt-4o-mini",
        "operation": "chat", "service": "assistant", "status": Status.SUCCESS, "latency_ms": 100.0,
        "input_tokens": 10, "output_tokens": 1,
    }  # fmt: skip
    return UsageEvent(**{**usual, **fields})


def write(engine: sa.Engine, events: Iterable[UsageEvent], tenant: str = TENANT, **target: Any) -> Loaded:
    """Write a batch."""
    return Writer(Target(engine, tenant, **target)).write(Batch(events=list(events)), ORIGIN, NOW)


def daily(engine: sa.Engine, days: int, tenant: str = TENANT) -> list[datetime]:
    """Write two events, in two hours, on each of the days that end with TODAY; return their midnights, oldest first."""
    midnights = [TODAY - number * DAY for number in reversed(range(days))]
    write(engine, [event(day + at) for day in midnights for at in (HOUR, 9 * HOUR)], tenant)
    return midnights


def execute(engine: sa.Engine, statement: str, **values: Any) -> int:
    """Run a statement in a transaction of its own, and return how many rows it met."""
    with engine.begin() as connection:
        return connection.execute(sa.text(statement), values).rowcount


def scalar(engine: sa.Engine, query: str, **values: Any) -> Any:
    """Return the one value of a query."""
    with engine.connect() as connection:
        return connection.execute(sa.text(query), values).scalar_one()
