"""Half-open spans of time, always timezone-aware UTC: [start, end)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Self
from zoneinfo import ZoneInfo

from ops.errors import InvalidValue


@dataclass(frozen=True, slots=True)
class Window:
    """The times t with start <= t < end."""

    start: datetime
    end: datetime

    def __post_init__(self) -> None:
        if self.start.tzinfo is None or self.end.tzinfo is None:
            raise InvalidValue("window", f"{self.start} to {self.end}", "timezone-aware")
        if self.end < self.start:
            raise InvalidValue("window.end", self.end, f"at or after its start {self.start}")

    @classmethod
    def before(cls, now: datetime, length: timedelta) -> Self:
        """Span the `length` that ends at `now`."""
        return cls(now - length, now)

    @classmethod
    def month_of(cls, now: datetime, zone: ZoneInfo) -> Self:
        """Span the calendar month of `now` in `zone`."""
        first = _midnight(now, zone).replace(day=1)
        following = (first + timedelta(days=32)).replace(day=1)
        return cls(first.astimezone(UTC), following.astimezone(UTC))

    @classmethod
    def day_of(cls, now: datetime, zone: ZoneInfo) -> Self:
        """Span the calendar day of `now` in `zone`."""
        first = _midnight(now, zone)
        return cls(first.astimezone(UTC), (first + timedelta(days=1)).astimezone(UTC))

    @property
    def length(self) -> timedelta:
        """How long the window is."""
        return self.end - self.start

    def __contains__(self, when: datetime) -> bool:
        return self.start <= when < self.end

    def days(self) -> Iterator[datetime]:
        """Yield the UTC midnights of the days that the window touches."""
        day = floor_day(self.start)
        while day < self.end:
            yield day
            day += timedelta(days=1)


def _midnight(now: datetime, zone: ZoneInfo) -> datetime:
    # Where clocks go back to midnight (Havana, the Azores), the day begins with the first of its two midnights.
    return now.astimezone(zone).replace(hour=0, minute=0, second=0, microsecond=0, fold=0)


def full_days(now: datetime, days: int) -> Window:
    """Span so many full UTC days before that of `now`."""
    return Window.before(floor_day(now), timedelta(days=days))


def in_one_unit(length: timedelta) -> str:
    """Write how long something takes, whole units only: `90 s`, `119 min`, `47 h`, `2 d`."""
    seconds = max(0, round(length.total_seconds()))
    for size, most, unit in ((1, 120, "s"), (60, 120, "min"), (3600, 48, "h")):
        if seconds < most * size:
            return f"{seconds // size} {unit}"
    return f"{seconds // 86_400:,} d"


def floor_day(when: datetime) -> datetime:
    """Cut `when` down to its UTC midnight."""
    return when.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)


def floor_hour(when: datetime) -> datetime:
    """Cut `when` down to its full UTC hour."""
    return when.astimezone(UTC).replace(minute=0, second=0, microsecond=0)


def ceil_hour(when: datetime) -> datetime:
    """Move `when` up to the next full UTC hour, unless it is one."""
    return floor_hour(when + timedelta(hours=1) - timedelta.resolution)


def whole_hours(window: Window) -> tuple[Window, list[Window]]:
    """Return the whole UTC hours of a window, of no length where there is none, and what is left of it at its ends."""
    first, last = ceil_hour(window.start), floor_hour(window.end)
    if first >= last:
        return Window(window.start, window.start), [window]
    return Window(first, last), [end for end in (Window(window.start, first), Window(last, window.end)) if end.length]
