"""Slow slides: whether the days since a baseline was pinned lie below it, since when, and where that leads.

Before it: `baselines.py` pins, `tasks/stores/quality_samples.py` reads the days. After it: `rules/quality.py` and
`rules/judge.py`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date
from itertools import combinations
from math import log, sqrt
from statistics import fmean, median

from ops.monitoring.baselines import DayScores, Line, Pinned, compared, line

SLACK = 0.5  # k, in sigmas: half of the shift worth finding
LIMIT = 7.1  # h, in sigmas: 0.05 false alarms per series and year when the pinned mean is exact
CEILING = 3.0  # above the limit the sum rises no further, so that a slide that is over is forgotten within a week
FEWEST_DAYS = 5  # in a baseline, and in a fit
FORESEEN = 90  # days; what is further off is not told


@dataclass(frozen=True, slots=True)
class Cusum:
    """Where a one-sided cumulative sum stands after a value."""

    alarm: bool
    statistic: float  # in sigmas
    onset_index: int | None  # the first value since the sum last was 0; None when it is 0 now


def cusum(values: Iterable[float], slack: float = SLACK, limit: float = LIMIT) -> Iterator[Cusum]:
    """Yield where the sum stands after each value; they are in sigmas off what is expected.

    S = max(0, S - z - k); alarm when S > h (Page, Biometrika 41, 1954).
    """
    total, onset = 0.0, None
    for index, z in enumerate(values):
        total = min(max(0.0, total - z - slack), limit + CEILING)
        onset = None if total == 0 else index if onset is None else onset
        yield Cusum(total > limit, total, onset)


def slack_of(pinned: Pinned) -> float:
    """Return the slack against a pinned mean, which is itself off by a standard error of 1 / sqrt(days) sigmas.

    That error stays for as long as the baseline does: without room for it, one of 7 days brings 1.3 false alarms a
    year (how an estimated mean shortens the run: Jones, Champ & Rigdon, J. Quality Technology 36, 2004).
    """
    return SLACK + 1 / sqrt(pinned.days)


def limit_of(series: int) -> float:
    """Return the limit that keeps so many series together at the false alarms of one: h = 7.1 + ln(series).

    The days between false alarms are (exp(2kb) - 2kb - 1) / 2k^2 with b = h + 1.166 (Siegmund, Sequential Analysis,
    1985): at k = 1/2 they grow by e with each sigma of h, so that m series need ln(m) more.
    """
    return LIMIT + log(max(series, 1))


@dataclass(frozen=True, slots=True)
class Slide:
    """What the days since a baseline was pinned show."""

    alarm: bool
    statistic: float  # in sigmas
    limit: float
    onset: date | None = None  # None: nothing is adding up
    days: int = 0  # with scores, since the onset
    level: float | None = None  # of an alarm: where the fitted line stands on the last day
    slope: float | None = None  # of that line, a day
    days_left: int | None = None  # until it has dropped too far; None: it does not, or not in FORESEEN


def find_slide(days: Sequence[DayScores], pinned: Pinned, *, drop: float, series: int = 1) -> Slide:
    """Look for a slide below `pinned` in the days after it, oldest first; one by `drop` of its mean is too far."""
    limit = limit_of(series)
    found = _sum_of(standardised(days, pinned), pinned, limit)
    if found.onset_index is None:
        return Slide(alarm=False, statistic=0.0, limit=limit)
    since = days[found.onset_index :]
    slide = Slide(found.alarm, found.statistic, limit, since[0].day, len(since))
    if not found.alarm:
        return slide
    level, slope = _fit([(day.day, day.mean - pinned.weekday(day.day)) for day in since])
    return replace(slide, level=level, slope=slope, days_left=_days_left(level, slope, (1 - drop) * pinned.mean))


def _sum_of(values: Sequence[float], pinned: Pinned, limit: float) -> Cusum:
    """Return where the sum stands after all values; a baseline of too few days says nothing about a day's spread."""
    nothing = Cusum(alarm=False, statistic=0.0, onset_index=None)
    if pinned.days < FEWEST_DAYS:
        return nothing
    *_, last = (nothing, *cusum(values, slack_of(pinned), limit))
    return last


def unsettled(
    days: Sequence[DayScores], since: Sequence[DayScores], before: Pinned | None, *, rises: bool = False
) -> str | None:
    """Say how days move that somebody wants to pin; None when they stand.

    They move when they fall by more than chance explains (with `rises`, also when they rise), or when those `since` the
    baseline `before` slide below it, and these days do not show that it is over: two weeks alone are too few to show a
    slide of 1 % a week.
    """
    slid = _sum_of(standardised(since, before), before, LIMIT) if before else None
    slide = since[slid.onset_index :] if slid and slid.alarm else ()
    found, over = line(days), line(slide)
    if found and (found.falls or (rises and found.rises)):
        return _told_line(found, days)
    if over and over.falls and not (found and found.slope - found.error > over.slope):
        return _told_line(over, slide)
    return None


def _told_line(found: Line, days: Sequence[DayScores]) -> str:
    way = f"from {found.start:.3f} on {days[0].day} to {found.end:.3f} on {days[-1].day}"
    return f"{way}, {compared(found.end, found.start)} it"


def standardised(days: Iterable[DayScores], pinned: Pinned) -> list[float]:
    """Return how far each day's mean is off what is usual on its weekday, in sigmas of a mean of so many scores."""
    return [(day.mean - pinned.weekday(day.day) - pinned.mean) / pinned.spread(day.n) for day in days]


def _fit(points: Sequence[tuple[date, float]]) -> tuple[float, float]:
    """Return the level on the last day and the slope per day of a line that outliers do not bend.

    The median of the slopes between all pairs of days (Theil 1950, Sen 1968), flat under five days.
    """
    if len(points) < FEWEST_DAYS:
        return fmean(value for _, value in points), 0.0
    last = points[-1][0]
    slope = median((y2 - y1) / (x2 - x1).days for (x1, y1), (x2, y2) in combinations(points, 2))
    return median(y + slope * (last - x).days for x, y in points), slope


def _days_left(level: float, slope: float, floor: float) -> int | None:
    if slope >= 0 or level <= floor:
        return None
    left = (level - floor) / -slope
    return max(1, round(left)) if left <= FORESEEN else None


@dataclass(frozen=True, slots=True)
class Shift:
    """A judge that marks its probes, which never change, otherwise than when it was pinned."""

    judge: str
    change: float  # of the probes' mean, as a share of the pinned one
    level: float
    onset: date

    def __str__(self) -> str:
        """Say it, for the messages about the judge and about what it judges."""
        return f"judge {self.judge} moved, its probes stand at {self.told}"

    @property
    def told(self) -> str:
        """Where its probes stand, and beside what."""
        return f"{self.level:.3f}, {compared(1 + self.change, 1)} their baseline"


def find_shift(judge: str, days: Sequence[DayScores], pinned: Pinned, *, series: int = 1) -> Shift | None:
    """Look for a judge that has become stricter or milder; None when its probes stand where they were pinned."""
    values = standardised(days, pinned)
    for side in (values, [-value for value in values]):
        found = _sum_of(side, pinned, limit_of(2 * series))
        if found.alarm and found.onset_index is not None:
            level = fmean(day.mean for day in days[found.onset_index :][-FEWEST_DAYS:])
            return Shift(judge, level / pinned.mean - 1, level, days[found.onset_index].day)
    return None
