"""What is normal, and how much data it takes to say so: two kinds of baseline that are never mixed.

Seasonal (cost, traffic, latency) moves with the weeks; pinned (quality) is frozen until somebody accepts a new one,
because a moving baseline follows a slow slide and never fires. Before it: `tasks` reads points, leaving out incidents
and silenced periods. After it: `rules/*` compare the present with the baseline, `drift.py` the days since.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from math import ceil, hypot, isclose, sqrt
from statistics import NormalDist, fmean, linear_regression, median

from ops.errors import InvalidValue
from ops.window import floor_hour

Z95 = NormalDist().inv_cdf(0.95)  # one-sided, as in ops.proportions
FIRST_PIN = timedelta(days=7)  # of scores, from which the first baseline of a series is made: enough to prove a drop
WHOLE_PIN = timedelta(days=28)  # of scores, from which the one that stays is made: enough for weekdays and slow slides
MIN_PINNED = 100  # scores
UNSEEN = 3  # scores of 0 that so many scores may hide: n without one leave room for 3 / n (Hanley & Lippman-Hand 1983)
STEADIEST = 0.0025  # of a probe set's mean: a judge that repeats itself to the digit may still move by so much

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
class Series:
    """Scores that may be compared with one another: of one metric, model, prompt and judge; None where unknown."""

    metric: str
    model: str | None = None
    prompt: str | None = None
    judge: str | None = None

    def __str__(self) -> str:
        """Name it as alerts do: by what is known of it."""
        parts = (("model", self.model), ("prompt", self.prompt), ("judge", self.judge))
        return " ".join([self.metric, *(f"{name}:{value}" for name, value in parts if value is not None)])


@dataclass(frozen=True, slots=True)
class DayScores:
    """The scores of one series on one UTC day."""

    day: date
    n: int
    mean: float
    squares: float = 0.0  # the sum of squared deviations from the day's mean


@dataclass(frozen=True, slots=True)
class Pinned:
    """A frozen reference of `n` scores on so many days."""

    mean: float
    sigma: float  # of a score
    n: int
    days: int = 1  # with scores
    day_sigma: float = 0.0  # of a day's mean, beyond what its number of scores explains
    weekdays: tuple[float, ...] = ()  # how far each weekday is usually off the mean, Monday first; empty: unknown

    def __post_init__(self) -> None:
        for name, value in (("mean", self.mean), ("sigma", self.sigma), ("n", self.n), ("days", self.days)):
            if not value > 0:
                raise InvalidValue(f"pinned.{name}", value, "above 0")

    def spread(self, n: float) -> float:
        """Return the sigma of a day's mean of so many scores."""
        return hypot(self.sigma / sqrt(n), self.day_sigma)

    def usual(self, n: float, day: date | None = None) -> tuple[float, float]:
        """Return between what 9 of 10 means of so many scores a day lie: of that day's weekday, or of any."""
        middle = self.mean + (self.weekday(day) if day else 0.0)
        return middle - Z95 * self.spread(n), middle + Z95 * self.spread(n)

    def weekday(self, day: date) -> float:
        """Return how far that day is usually off the mean."""
        return self.weekdays[day.weekday()] if self.weekdays else 0.0


def compared(value: float, reference: float) -> str:
    """Say how far a value is from a reference, in percent of it, by words instead of signs: `8.1 % below`."""
    change = 100 * (value / reference - 1)
    if round(abs(change), 1) == 0:
        return "level with"
    return f"{abs(change):.1f} % {'below' if change < 0 else 'above'}"


def pin(days: Sequence[DayScores]) -> Pinned:
    """Describe the days of a series as its reference.

    Its spread is that of its scores and three of 0 more. Else the first failure after a week without one would be the
    end of the world, and scores that all are equal would have no spread to prove a fall against.

    Raises:
        InvalidValue: under 100 scores, or of a mean that has no share to lose.
    """
    n = sum(day.n for day in days)
    if n < MIN_PINNED:
        raise InvalidValue("baseline", f"{n:,} scores", f"at least {MIN_PINNED} scores")
    mean = sum(day.n * day.mean for day in days) / n
    squares = sum(day.squares + day.n * (day.mean - mean) ** 2 for day in days)
    sigma = sqrt((squares + UNSEEN * mean**2) / (n - 1))
    if not mean > 0 or not sigma > 0:  # a drop is a share of the mean, and proven against the spread
        raise InvalidValue("baseline", f"mean {mean:.3g}, sigma {sigma:.3g}", "of a mean and a spread above 0")
    weekdays = _weekday_effects(days, mean)
    off = [day.mean - mean - (weekdays[day.day.weekday()] if weekdays else 0.0) for day in days]
    spread = _variance(off, len(days) - (7 if weekdays else 1))
    explained = sigma**2 * fmean(1 / day.n for day in days)
    return Pinned(mean, sigma, n, len(days), sqrt(max(0.0, spread - explained)), weekdays)


def first_days(days: Sequence[DayScores], today: date) -> Sequence[DayScores]:
    """Return the days that a series' first baseline is made of; nothing when there are too few yet.

    `days` are those before `today`, oldest first: the first week's, and more where a week brings too few scores.
    """
    week = sum(day.day - days[0].day < FIRST_PIN for day in days)
    if not days or today - days[0].day < FIRST_PIN:
        return ()
    enough = (count for count in range(week, len(days) + 1) if sum(day.n for day in days[:count]) >= MIN_PINNED)
    return days[: next(enough, 0)]


def whole_days(days: Sequence[DayScores], today: date) -> Sequence[DayScores]:
    """Return the days of the first four weeks; nothing when they have not passed, have too few scores, or fall.

    Fall: the upper 95 % bound of their slope is below 0. Then the series has been sliding from its beginning, and a
    longer baseline would hide it.
    """
    whole = [day for day in days if day.day - days[0].day < WHOLE_PIN]
    if sum(day.n for day in whole) < MIN_PINNED or today - days[0].day < WHOLE_PIN:
        return ()
    found = line(whole)
    return () if found and found.falls else whole


@dataclass(frozen=True, slots=True)
class Line:
    """A line through the means of some days, by least squares."""

    start: float
    end: float
    slope: float  # a day
    error: float  # of the slope: the one-sided 95 % bound is so far away

    @property
    def falls(self) -> bool:
        """Whether it goes down by more than chance explains."""
        return self.slope + self.error < 0 and not isclose(self.start, self.end)

    @property
    def rises(self) -> bool:
        """Whether it goes up by more than chance explains."""
        return self.slope - self.error > 0 and not isclose(self.start, self.end)


def line(days: Sequence[DayScores]) -> Line | None:
    """Lay a line through days; None of under three, which have no scatter."""
    if len(days) < 3:
        return None
    at = [(day.day - days[0].day).days for day in days]
    slope, start = linear_regression(at, [day.mean for day in days])
    spread = _variance([day.mean - start - slope * x for x, day in zip(at, days, strict=True)], len(days) - 2)
    middle = fmean(at)
    return Line(start, start + slope * at[-1], slope, Z95 * sqrt(spread / sum((x - middle) ** 2 for x in at)))


def pin_probes(days: Sequence[DayScores]) -> Pinned:
    """Describe a judge's marks of a probe set as its reference: the same items each day, so only repetition scatters.

    The spread of few days is widened by its own standard error, and is at least a quarter of a percent of the mean.

    Raises:
        InvalidValue: as `pin` does.
    """
    pinned = pin(days)
    of_days = sqrt(_variance([day.mean - pinned.mean for day in days], len(days) - 1))
    widened = of_days * (1 + 1 / sqrt(2 * max(len(days) - 1, 1)))
    of_score = max(widened, STEADIEST * pinned.mean) * sqrt(pinned.n / pinned.days)
    return Pinned(pinned.mean, of_score, pinned.n, pinned.days)


def _weekday_effects(days: Sequence[DayScores], mean: float) -> tuple[float, ...]:
    """Return each weekday's usual distance from the mean, shrunk towards 0 as far as chance explains it.

    By 1 - 1/F, with F the variance between weekdays against that within (James & Stein 1961); from two of each on.
    """
    by_weekday = [[day for day in days if day.day.weekday() == number] for number in range(7)]
    if min(map(len, by_weekday)) < 2:
        return ()
    means = [sum(day.n * day.mean for day in some) / sum(day.n for day in some) for some in by_weekday]
    within = _variance([day.mean - means[day.day.weekday()] for day in days], len(days) - 7)
    between = _variance([each - mean for each in means], 6)
    by_chance = within * 7 / len(days)
    kept = max(0.0, 1 - by_chance / between) if between else 0.0
    return tuple(kept * (each - mean) for each in means)


def _variance(deviations: Sequence[float], freedom: int) -> float:
    return sum(value * value for value in deviations) / freedom if freedom > 0 else 0.0


def sufficient_n(limit: float) -> int:
    """Return the fewest trials of which none failing would show a failure share of at most `limit`.

    Wilson's upper bound at 0 hits is z^2 / (n + z^2), so n = z^2 (1 - limit) / limit.
    """
    return ceil(Z95**2 * (1 - limit) / limit)
