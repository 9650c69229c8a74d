"""Repair roll-ups: put what the events of a day add up to in the place of what is there, while loaders go on.

Before it: `tasks/verify_rollups.py` finds the days that differ. Each is a transaction: whoever is killed has repaired
whole days, and run again finds the others. Roll-ups without events of their own go, unless retention took the events.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from ops.errors import InvalidValue
from ops.window import Window
from tasks.stores import rollups
from tasks.verify_rollups import Progress, compare_day, kept_days


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """Which days were looked at, which of them had to be repaired, and which were left alone."""

    days: int = 0
    repaired: tuple[datetime, ...] = ()
    left_alone: tuple[datetime, ...] = ()  # have roll-ups and no partition: maybe all that is left of them
    keys: int = 0  # that differed

    def as_json(self) -> dict[str, Any]:
        """Return what `--json` prints."""
        return {
            "days": self.days, "keys": self.keys,
            "repaired": [day.date() for day in self.repaired], "left_alone": [day.date() for day in self.left_alone],
        }  # fmt: skip


def rebuild_rollups(
    engine: sa.Engine, tenant: str, span: Window | None, progress: Progress, *, orphans: bool = False
) -> Rebuilt:
    """Repair the days of `span` that differ from their events, all that are kept by default.

    A day of which there is no partition, though retention dropped none, is repaired only with `orphans`: its roll-ups
    are deleted then.

    Raises:
        InvalidValue: retention dropped events of the span.
    """
    kept = kept_days(engine, tenant, span)
    if span and kept.floor and span.start < kept.floor:
        raise InvalidValue(
            "--from", f"{span.start:%Y-%m-%d}", f"at or after {kept.floor:%Y-%m-%d}: the events before it were dropped"
        )
    done = Rebuilt(left_alone=() if orphans else tuple(sorted(kept.without_events)))
    days = [day for day in kept.days if day not in done.left_alone]
    for number, day in enumerate(days):
        progress(number, len(days), day)
        differing = sum(table.differing for table in compare_day(engine, tenant, day))
        done = replace(done, days=done.days + 1, keys=done.keys + differing)
        if differing and rebuild_day(engine, tenant, day):
            done = replace(done, repaired=(*done.repaired, day))
    return done


def rebuild_day(engine: sa.Engine, tenant: str, day: datetime) -> bool:
    """Replace the roll-ups of one day; False when its events were dropped in the meantime."""
    with engine.begin() as connection:
        floor = rollups.hold_days(connection, tenant)
        if floor is not None and day < floor:
            return False
        rollups.replace_day(connection, tenant, day)
    return True
