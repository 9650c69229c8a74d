"""How large the events grow, and on which day the disk is full.

Before it: `tasks/stores/storage.py` measures. After it: `tasks/show_storage.py` shows the estimate, in the artifact of
`maintain-storage` and in `watchkeeper db storage`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from enum import StrEnum

ENOUGH_EVENTS = 10_000  # below, the empty pages of a week's partitions weigh more than a tenth
MOST_PARTITIONS = 400  # of 365 an event is looked up in 11 ms, of 1,500 in 195
DAYS_PER_MONTH = 365.25 / 12
_WEEK, _HORIZON = 7, 3652


class Outlook(StrEnum):
    """Why there is a day on which the disk is full, or none."""

    FULL = "at the rate of the last 7 days"
    NOT_SOON = "not within ten years"
    ELSEWHERE = "the data directory is not on this machine"
    TOO_FEW = f"fewer than {ENOUGH_EVENTS:,} events in the last 7 days"


@dataclass(frozen=True, slots=True)
class Sizes:
    """What was measured: bytes are those of tables with their indexes; a day's are in `partitions`."""

    today: date
    partitions: Mapping[date, int]
    week_events: int  # of the last 7 full days
    rollup_bytes: int
    rollup_days: int  # from the first hour that has one
    free_bytes: int | None  # beside the data directory; None when that is elsewhere

    @property
    def full_days(self) -> int:
        """How many of the last 7 full days there are partitions for, from the first one on."""
        return min(self.age, _WEEK)

    @property
    def age(self) -> int:
        """How many full days of events are kept."""
        return max(0, (self.today - min(self.partitions, default=self.today)).days)


@dataclass(frozen=True, slots=True)
class Estimate:
    """How the database grows; None where nobody can say yet."""

    bytes_per_event: float | None
    events_per_day: float | None
    bytes_per_day: float | None
    full_on: date | None
    outlook: Outlook

    @property
    def gb_per_month(self) -> float | None:
        """Return the growth in 10^9 bytes, before anything is dropped."""
        return None if self.bytes_per_day is None else self.bytes_per_day * DAYS_PER_MONTH / 1e9


def estimate(sizes: Sizes, keep_days: int | None) -> Estimate:
    """Estimate the growth from the last 7 full days; events older than `keep_days` are dropped, roll-ups never."""
    per_day = sizes.week_events / sizes.full_days if sizes.full_days else None
    if per_day is None or sizes.week_events < ENOUGH_EVENTS:
        return Estimate(None, per_day, None, None, Outlook.TOO_FEW)
    week = [sizes.today - timedelta(days=number) for number in range(1, _WEEK + 1)]
    per_event = sum(sizes.partitions.get(day, 0) for day in week) / sizes.week_events
    events, rollups = per_event * per_day, sizes.rollup_bytes / max(1, sizes.rollup_days)
    if sizes.free_bytes is None:
        return Estimate(per_event, per_day, events + rollups, None, Outlook.ELSEWHERE)
    growing = float("inf") if keep_days is None else max(0, keep_days - sizes.age)
    days = _days_until(sizes.free_bytes, events, rollups, growing)
    if days > _HORIZON:
        return Estimate(per_event, per_day, events + rollups, None, Outlook.NOT_SOON)
    return Estimate(per_event, per_day, events + rollups, sizes.today + timedelta(days=int(days)), Outlook.FULL)


def _days_until(free: float, events: float, rollups: float, growing: float) -> float:
    """Return the days until `free` bytes are used: both grow for the first `growing` days, then the roll-ups alone."""
    days = free / (events + rollups) if events + rollups else float("inf")
    if days <= growing:
        return days
    return growing + (free - growing * (events + rollups)) / rollups if rollups else float("inf")
