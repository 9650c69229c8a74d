"""Which days without a record cost nothing, and of which nobody knows: on the others nothing is ever projected.

Before it: `tasks/stores/source_states.py` says how far the sources are read. After it: `tasks/project_costs.py` makes
the history that `projection.py` goes by.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

LONG_WEEKEND = 4  # days in a row that a log may be without a call, when nothing else says that it was read
_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class WatchedSource:
    """A source of events that is loaded by itself: since when, and how far it was read; None is not at all."""

    since: datetime
    read_until: datetime | None

    def is_behind(self, end: datetime) -> bool:
        """Whether something of a day that ended then may still come."""
        return self.since < end and (self.read_until is None or self.read_until < end)


def idle_days(
    days: Sequence[datetime], recorded: Collection[datetime], sources: Sequence[WatchedSource]
) -> set[datetime]:
    """Return the days (UTC midnights in a row) without a record on which nothing was called.

    Sources are read on from where they stopped. So a day on which all of them were read beyond its end had no calls, if
    one of them was watched on it. Where none was (logs that somebody loads, or that are sent to us), only records on
    both sides of a few days say so; days before all or behind all of them are unknown.
    """
    return {
        day
        for run in _runs(days, recorded)
        for day in run
        if not any(source.is_behind(day + _DAY) for source in sources)
        and (any(source.since <= day for source in sources) or _is_between(run, recorded))
    }


def _runs(days: Sequence[datetime], recorded: Collection[datetime]) -> Iterator[list[datetime]]:
    """Yield the stretches without a record."""
    run: list[datetime] = []
    for day in days:
        if day in recorded:
            yield run
            run = []
        else:
            run.append(day)
    yield run


def _is_between(run: Sequence[datetime], recorded: Collection[datetime]) -> bool:
    return len(run) <= LONG_WEEKEND and run[0] - _DAY in recorded and run[-1] + _DAY in recorded
