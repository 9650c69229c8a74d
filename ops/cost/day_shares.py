"""What share of a UTC day's cost lies in a window: by its time, or by the hours in which it is usually spent.

Before it: `tasks/stores/costs.py` adds up the hours of the last weeks. After it: `projection.py` projects the rest of
today. A day that is spent at 01:00 has nothing to come at noon, and one that is spent at 23:00 all of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal

from ops.window import Window, floor_day

_ENOUGH_DAYS = 14
_HOUR, _DAY = timedelta(hours=1), timedelta(days=1)


@dataclass(frozen=True, slots=True)
class DayHours:
    """The shares of a day that its 24 hours have, which add up to 1, and what the present hour cost so far."""

    shares: tuple[float, ...]
    hour_usd: Decimal

    def left(self, rest: Window, day_usd: float) -> float:
        """Return the share of a usual day, of so many USD, that is to come in `rest`: of a UTC day, from now on.

        What the present hour cost counts towards its usual share: an hour that spends it at once spends no more.
        """
        hour = rest.start.astimezone(UTC).hour
        usual = self.shares[hour]
        done = min(usual, float(self.hour_usd) / day_usd) if day_usd else usual
        return max(0.0, self._until(rest) - sum(self.shares[:hour]) - done)

    def _until(self, rest: Window) -> float:
        full, part = divmod((rest.end - floor_day(rest.start)) / _HOUR, 1)
        return sum(self.shares[: int(full)]) + (self.shares[int(full)] * part if part else 0.0)


def day_hours(days_worth: Sequence[float], hour_usd: Decimal) -> DayHours | None:
    """Make shares of what the hours of past days had, each day worth 1; None under 14 days that spent anything."""
    days = sum(days_worth)
    if round(days) < _ENOUGH_DAYS:
        return None
    return DayHours(tuple(worth / days for worth in days_worth), hour_usd)


def day_shares(window: Window) -> list[tuple[date, float]]:
    """Return the UTC days that a window touches, with the part of each that lies in it."""
    return [(day.date(), share_of(day.date(), window)) for day in window.days()]


def share_of(day: date, window: Window) -> float:
    """Return the part of a UTC day, 0 to 1, that lies in a window."""
    start = midnight(day)
    return max(timedelta(0), min(start + _DAY, window.end) - max(start, window.start)) / _DAY


def midnight(day: date) -> datetime:
    """Return the moment at which a UTC day begins."""
    return datetime.combine(day, time(0), tzinfo=UTC)
