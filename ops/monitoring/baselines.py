"""What is normal, and how much data it takes to say so: two kinds of baseline that are never mixed.

Seasonal (cost, traffic, latency) moves with the weeks; pinned (quality) is frozen until somebody accepts a new one,
because a moving baseline follows a slow slide and never fires. Before it: `tasks` reads points, leaving out incidents
and silenced periods. After it: `rules/*` compare the present with the baseline.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from math import ceil
from statistics import NormalDist, median

from ops.errors import InvalidValue
from ops.window import floor_hour

Z95 = NormalDist().inv_cdf(0.95)  # one-sided, as in ops.proportions
CUSUM_SLACK = 0.5  # k, in sigmas: half of the shift worth finding
CUSUM_LIMIT = 7.1  # h, in sigmas: at most 0.2 false alarms per series and year; raise it with the number of series

_HOUR, _DAY, _WEEK = timedelta(hours=1), timedelta(days=1), timedelta(weeks=1)
_WEEKS = 4
_MIN_POINTS = 3


class Maturity(StrEnum):
    """Which points a seasonal baseline could be made of."""

    WEEKLY = "same hour of the week"
    DAILY = "same hour of the day"
    IMMATURE = "baseline immature"


@dataclass(frozen=True, slots=True)
class Point:
    """A measured value and the hour it is of."""

    at: datetime
    value: float | Decimal


@dataclass(frozen=True, slots=True)
class Baseline:
    """Median and median absolute deviation of `n` points; both None when immature."""

    centre: float | None
    mad: float | None
    n: int
    maturity: Maturity


def seasonal(points: Sequence[Point], when: datetime) -> Baseline:
    """Describe what is normal at the hour of `when`: same hour of the week, +-1 h, of the last 4 weeks.

    Under 2 weeks of history: same hour of the day, +-1 h. Under 3 days: immature. Points at or after `when` are
    ignored. Weeks are UTC weeks.
    """
    hour = floor_hour(when)
    past = [point for point in points if point.at < hour]
    history = hour - min((point.at for point in past), default=hour)
    if history >= 2 * _WEEK:
        chosen = _same_hour(past, [hour - k * _WEEK for k in range(1, _WEEKS + 1)])
        if len(chosen) >= _MIN_POINTS:
            return _describe(chosen, Maturity.WEEKLY)
    chosen = _same_hour(past, [hour - k * _DAY for k in range(1, 15)])
    if history >= 3 * _DAY and len(chosen) >= _MIN_POINTS:
        return _describe(chosen, Maturity.DAILY)
    return Baseline(None, None, len(chosen), Maturity.IMMATURE)


def _same_hour(points: Sequence[Point], targets: Sequence[datetime]) -> list[float]:
    hours = {target + offset for target in targets for offset in (-_HOUR, timedelta(0), _HOUR)}
    return [float(point.value) for point in points if floor_hour(point.at) in hours]


def _describe(values: Sequence[float], maturity: Maturity) -> Baseline:
    centre = median(values)
    return Baseline(centre, median(abs(value - centre) for value in values), len(values), maturity)


@dataclass(frozen=True, slots=True)
class Pinned:
    """A frozen reference of `n` values for one (model, prompt, judge) version."""

    mean: float
    sigma: float
    n: int

    def __post_init__(self) -> None:
        for name, value in (("mean", self.mean), ("sigma", self.sigma), ("n", self.n)):
            if not value > 0:
                raise InvalidValue(f"pinned.{name}", value, "above 0")


@dataclass(frozen=True, slots=True)
class Cusum:
    """Where a one-sided cumulative sum stands after the last value."""

    alarm: bool
    statistic: float  # in sigmas
    onset_index: int | None  # the first value since the sum last was 0; None when it is 0 now


def cusum(values: Sequence[float], pinned: Pinned) -> Cusum:
    """Look for a slow slide below the pinned mean; `pinned.sigma` is the spread of such values.

    z = (x - mean) / sigma; S = max(0, S - z - k); alarm when S > h (Page 1954).
    """
    total, onset = 0.0, None
    for index, value in enumerate(values):
        z = (value - pinned.mean) / pinned.sigma
        total = max(0.0, total - z - CUSUM_SLACK)
        onset = None if total == 0 else index if onset is None else onset
    return Cusum(total > CUSUM_LIMIT, total, onset)


def sufficient_n(limit: float) -> int:
    """Return the fewest trials of which none failing would show a failure share of at most `limit`.

    Wilson's upper bound at 0 hits is z^2 / (n + z^2), so n = z^2 (1 - limit) / limit.
    """
    return ceil(Z95**2 * (1 - limit) / limit)
