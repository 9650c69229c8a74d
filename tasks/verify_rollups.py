"""Prove that the additive roll-ups equal their events, counted anew in SQL, day by day.

Before it: `tasks/write_usage.py` adds to both in one transaction. After it: `tasks/rebuild_rollups.py` repairs.
Only days whose events are kept can be compared. A day is one snapshot: what loaders do meanwhile is no difference.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from ops.window import Window
from tasks.stores import rollups, usage
from tasks.stores.rollups import Comparison, Difference

Progress = Callable[[int, int, datetime], None]  # days done, of how many, which one


@dataclass(frozen=True, slots=True)
class KeptDays:
    """The days of which a tenant has roll-ups or may have events, from the floor on; None when nothing was dropped.

    `without_events` are those that have no partition, though retention never dropped one.
    """

    floor: datetime | None
    days: tuple[datetime, ...]
    without_events: frozenset[datetime] = frozenset()


@dataclass(frozen=True, slots=True)
class Verified:
    """What a comparison of several days found, for each roll-up."""

    floor: datetime | None
    days: int = 0
    tables: tuple[Comparison, ...] = ()

    @property
    def differing(self) -> int:
        """How many keys differ, in all roll-ups."""
        return sum(table.differing for table in self.tables)

    def as_json(self) -> dict[str, Any]:
        """Return what `--json` prints."""
        return {
            "kept_from": self.floor, "days": self.days,
            "tables": [{"table": t.table, "keys": t.keys, "differing": t.differing} for t in self.tables],
            "differences": [_as_json(difference) for table in self.tables for difference in table.first],
        }  # fmt: skip


def verify_rollups(engine: sa.Engine, tenant: str, span: Window | None, progress: Progress) -> Verified:
    """Compare the days of `span`, all that are kept by default."""
    kept = kept_days(engine, tenant, span)
    done = Verified(kept.floor, tables=rollups.nothing_compared())
    for number, day in enumerate(kept.days):
        progress(number, len(kept.days), day)
        found = compare_day(engine, tenant, day)
        if found:
            tables = tuple(sums.plus(more) for sums, more in zip(done.tables, found, strict=True))
            done = replace(done, days=done.days + 1, tables=tables)
    return done


def kept_days(engine: sa.Engine, tenant: str, span: Window | None) -> KeptDays:
    """Return the days that can be compared, the oldest first."""
    with engine.connect() as connection:
        floor = usage.floor(connection, tenant)
        of_events = set(usage.partition_midnights(connection))
        of_rollups = rollups.days_with_rows(connection, tenant, floor)
    days = {day for day in of_events | of_rollups if floor is None or day >= floor}
    wanted = days if span is None else days.intersection(span.days())
    return KeptDays(floor, tuple(sorted(wanted)), frozenset(wanted - of_events))


def compare_day(engine: sa.Engine, tenant: str, day: datetime) -> tuple[Comparison, ...]:
    """Compare one day in a snapshot of its own; nothing when it was dropped in the meantime."""
    with engine.connect().execution_options(isolation_level="REPEATABLE READ") as connection, connection.begin():
        floor = rollups.hold_days(connection, tenant)
        return rollups.compare_day(connection, tenant, day) if floor is None or day >= floor else ()


def _as_json(difference: Difference) -> dict[str, Any]:
    return {
        "table": difference.table, "key": difference.key,
        "rolled_up": difference.rolled_up, "counted": difference.counted,
    }  # fmt: skip
