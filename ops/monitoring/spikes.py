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
_GROWTH = 2 / 3  # the power of an hour's level that its error grows with: quiet hours err less, but not in proportion
_LEAST_LEVEL = 0.05  # of a mean hour: what errs is no smaller for hours that are quieter
WHOLE_SIGMAS, PART_SIGMAS = 3.1, 1.3
PART_OF_DEAREST, PART_RATIO = 0.95, 1.4


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
        """Say whether a cost is a spike: of the whole above 3.1 sigmas, of a part above 1.3 and far above its week.

        A part is burstier than the whole: what its last week, or this hour of the day, has nearly seen before is none.
        """
        sigmas = WHOLE_SIGMAS if is_whole else PART_SIGMAS
        above = self.sigma > 0 and cost - self.cost > sigmas * self.sigma
        return above and (is_whole or cost > max(PART_OF_DEAREST * self.dearest, PART_RATIO * self.same_hour))


def usual(hours: Sequence[float]) -> Usual | None:
    """Return what is usual of the hour after these; None under a week of hours.

    b = 1/2 median(this hour, last 7 days) + 1/2 EWMA(0.5); s = (max(b, 5 % of m) / m)^(2/3), m a mean hour of the last
    week; sigma = s sqrt(EWMA(0.02) of ((x - b) / s)^2) + 3 % of m.
    """
    return next(islice(walk(hours), len(hours), None)) if len(hours) >= WEEK else None


def walk(hours: Sequence[float]) -> Iterator[Usual | None]:
    """Yield what is usual before each of the hours, and at last of the one after them; None in the first days."""
    recent = 0.0
    variance = None
    week: list[float] = []  # the hours of the last week, sorted
    total = 0.0
    for number, now in enumerate((*hours, 0.0)):  # of the hour after them only what is usual is asked
        found = None
        middle = _same_hour(hours, number)
        if middle is not None:
            cost, mean = (middle + recent) / 2, total / len(week)
            scale = _scale(cost, mean)
            if variance is not None:
                found = Usual(cost, scale * variance**0.5 + _NOISE * mean, week[-1], middle)
        yield found
        if middle is not None:
            error = ((now - cost) / scale) ** 2
            variance = error if variance is None else variance + _ERROR * (error - variance)
        recent = now if number == 0 else recent + _RECENT * (now - recent)
        insort(week, now)
        total += now
        if number >= WEEK:
            del week[bisect_left(week, hours[number - WEEK])]
            total -= hours[number - WEEK]


def _same_hour(hours: Sequence[float], number: int) -> float | None:
    """Return the median of this hour of the last 7 days; None before it was seen on 3."""
    same = sorted(hours[number - _DAY * day] for day in range(1, 8) if number >= _DAY * day)
    return (same[len(same) // 2] + same[(len(same) - 1) // 2]) / 2 if len(same) >= _LEAST_DAYS else None


def _scale(cost: float, mean: float) -> float:
    """Say how many times a mean hour's error one of this cost has."""
    return float(max(cost / mean, _LEAST_LEVEL) ** _GROWTH) if mean > 0 else 1.0
