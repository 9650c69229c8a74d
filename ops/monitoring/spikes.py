"""Whether an hour's spend is a spike: above what is usual at this hour and just now, by more than it usually errs.

Before it: `tasks/stores/measures.py` has the hours of a key. After it: `rules/spend.py` says how grave that is. On real
hourly series with injected spikes it is measured by `benchmarks/spikes.py`.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

_DAY, WEEK = 24, 7 * 24  # hours
_LEAST_DAYS = 3  # with this hour, before anything is usual
_RECENT = 0.5  # weight of the newest hour in what is usual just now
_ERROR = 0.02  # weight of the newest error
_NOISE = 0.03  # of a mean hour: errors below that are none
WHOLE_SIGMAS, PART_SIGMAS = 3.0, 1.75


@dataclass(frozen=True, slots=True)
class Usual:
    """What is usual of an hour, in USD: its cost, by how much that errs, and the dearest hour of the week before.

    `same_hour` is the median of this hour of the day: what a ratio is of, for `cost` lags behind a steep morning.
    """

    cost: float
    sigma: float
    dearest: float
    same_hour: float

    def is_spike(self, cost: float, *, is_whole: bool) -> bool:
        """Say whether a cost is a spike: of the whole above 3 sigmas; of a part above 1.75, and dearer than any hour.

        A part is burstier than the whole: a level that the last week has seen before is none.
        """
        sigmas = WHOLE_SIGMAS if is_whole else PART_SIGMAS
        above = self.sigma > 0 and cost - self.cost > sigmas * self.sigma
        return above and (is_whole or cost > self.dearest)


def usual(hours: Sequence[float]) -> Usual | None:
    """Return what is usual of the hour after these; None under a week of hours.

    b = 1/2 median(this hour, last 7 days) + 1/2 EWMA(0.5); sigma = sqrt(EWMA(0.02) of (x - b)^2) + 3 % of a mean hour
    of the last week.
    """
    return next(islice(walk(hours), len(hours), None)) if len(hours) >= WEEK else None


def walk(hours: Sequence[float]) -> Iterator[Usual | None]:
    """Yield what is usual before each of the hours, and at last of the one after them; None in the first days."""
    recent = variance = None
    week: list[float] = []  # the hours of the last week, sorted
    total = 0.0
    for number in range(len(hours) + 1):
        found = None
        same = sorted(hours[number - _DAY * day] for day in range(1, 8) if number >= _DAY * day)
        if len(same) >= _LEAST_DAYS and recent is not None:
            middle = (same[len(same) // 2] + same[(len(same) - 1) // 2]) / 2
            cost = (middle + recent) / 2
            if variance is not None:
                found = Usual(cost, variance**0.5 + _NOISE * total / len(week), week[-1], middle)
        yield found
        if number == len(hours):
            return
        now = hours[number]
        if len(same) >= _LEAST_DAYS and recent is not None:
            error = (now - cost) ** 2
            variance = error if variance is None else variance + _ERROR * (error - variance)
        recent = now if recent is None else recent + _RECENT * (now - recent)
        insort(week, now)
        total += now
        if number >= WEEK:
            del week[bisect_left(week, hours[number - WEEK])]
            total -= hours[number - WEEK]
