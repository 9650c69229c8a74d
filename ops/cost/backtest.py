"""How well costs are projected: months of past days, projected as they were known then, against what came.

A month here is a block of 30 days, the first of which begins on the 60th day of a series; each is projected on its 3rd,
7th, 14th and 21st day. Before it: `tasks/backtest_costs.py` has daily series. After it: `watchkeeper cost backtest`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from math import exp, log
from statistics import fmean, median
from time import perf_counter

from ops.cost.projection import DaySpend, Projection, Spread, project_month
from ops.window import Window

MONTH_DAYS, FIRST_DAY, ORIGINS = 30, 60, (3, 7, 14, 21)
_WEEK = 7
_LEAST = 0.01  # of all tasks of a series: smaller errors are none, lest one steady series outweigh all others
_DAY = timedelta(days=1)
Series = Mapping[str, Sequence[DaySpend]]
Daily = Mapping[date, float]


@dataclass(frozen=True, slots=True)
class Task:
    """A day of a past month: what was known then, and what came."""

    origin: date  # the first day that is not known
    history: Sequence[DaySpend]
    known: Daily
    ahead: Daily  # of the rest of the month, and of at least seven days
    month: Window
    total: float

    @property
    def rest(self) -> int:
        """The days of the month still to come."""
        return (self.month.end.date() - self.origin).days


@dataclass(frozen=True, slots=True)
class Horizon:
    """How well one horizon is projected."""

    vs_run_rate: float  # errors as a multiple of run-rate's, the geometric mean over the series
    vs_seasonal_naive: float
    coverage80: float  # share of tasks whose total fell into the 80 % interval
    coverage95: float
    width80: float  # median width of the 80 % interval as a share of the total


@dataclass(frozen=True, slots=True)
class Backtest:
    """What a backtest found; None where there are too few days for one task."""

    month_end: Horizon | None
    seven_day: Horizon | None
    series: int
    tasks: int
    ms_per_fit: float | None


@dataclass(slots=True)
class _Tally:
    """Errors of one horizon by series, of the three methods; what the intervals did."""

    errors: dict[str, list[float]] = field(default_factory=dict)
    inside80: list[bool] = field(default_factory=list)
    inside95: list[bool] = field(default_factory=list)
    widths: list[float] = field(default_factory=list)

    def add(self, name: str, errors: Sequence[float]) -> None:
        sums = self.errors.setdefault(name, [0.0] * len(errors))
        for position, error in enumerate(errors):
            sums[position] += error

    def result(self) -> Horizon | None:
        if not self.widths:
            return None
        return Horizon(self._ratio(1), self._ratio(2), fmean(self.inside80), fmean(self.inside95), median(self.widths))

    def _ratio(self, other: int) -> float:
        ratios = [max(sums[0], _LEAST) / max(sums[other], _LEAST) for sums in self.errors.values()]
        return exp(fmean(map(log, ratios)))


def backtest(series: Series, progress: Callable[[int, int], None] | None = None) -> Backtest:
    """Project every task of every series; `progress` is told (series done, series)."""
    month, week = _Tally(), _Tally()
    seconds, count = 0.0, 0
    for number, (name, days) in enumerate(series.items(), 1):
        for task in tasks(days):
            started = perf_counter()
            projection = project_month(task.history, Decimal(0), task.month, _midnight(task.origin))
            seconds += perf_counter() - started
            count += 1
            assert projection is not None  # noqa: S101  a task's month has a known day
            _judge_month(month, name, task, projection)
            _judge_week(week, name, task, projection)
        if progress:
            progress(number, len(series))
    return Backtest(month.result(), week.result(), len(month.errors), count, 1000 * seconds / count if count else None)


def tasks(days: Sequence[DaySpend]) -> Iterator[Task]:
    """Yield the tasks of a series, the oldest first.

    A month in which nothing was spent is none, nor is one of which, or of the 60 days before, less than half is known.
    """
    if not days:
        return
    values = {entry.day: float(entry.cost_usd) for entry in days if entry.cost_usd is not None}
    first, end = days[0].day, days[-1].day + _DAY
    start = first + FIRST_DAY * _DAY
    while start + MONTH_DAYS * _DAY <= end:
        total = sum(values.get(start + k * _DAY, 0.0) for k in range(MONTH_DAYS))
        is_recorded = _known(values, start - FIRST_DAY * _DAY, FIRST_DAY) and _known(values, start, MONTH_DAYS)
        for elapsed in ORIGINS if total > 0 and is_recorded else ():
            task = _task(days, values, start, elapsed, total)
            if task is not None:
                yield task
        start += MONTH_DAYS * _DAY


def _known(values: Daily, start: date, days: int) -> bool:
    """Whether most of so many days are known: of fewer, neither a method nor what came can be judged."""
    return 2 * sum(start + k * _DAY in values for k in range(days)) >= days


def _task(days: Sequence[DaySpend], values: Daily, start: date, elapsed: int, total: float) -> Task | None:
    origin = start + elapsed * _DAY
    history = days[: (origin - days[0].day).days]
    known = {entry.day: values[entry.day] for entry in history if entry.day in values}
    later = (origin + k * _DAY for k in range(max(MONTH_DAYS - elapsed, _WEEK)))
    ahead = {day: values[day] for day in later if day in values}
    if not ahead or not any(day in known for day in (start + k * _DAY for k in range(elapsed))):
        return None
    month = Window(_midnight(start), _midnight(start + MONTH_DAYS * _DAY))
    return Task(origin, history, known, ahead, month, total)


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(0), tzinfo=UTC)


def _judge_month(tally: _Tally, name: str, task: Task, projection: Projection) -> None:
    """Compare the rest of the month, as shares of the month's total."""
    rest = [task.origin + k * _DAY for k in range(task.rest)]
    actual = sum(task.ahead.get(day, 0.0) for day in rest)
    spent = task.total - actual
    ours = float(projection.month_end.expected)
    run_rate = spent + _run_rate(task) * task.rest
    naive = spent + sum(_seasonal_naive(task, day) for day in rest)
    tally.add(name, [abs(guess - task.total) / task.total for guess in (ours, run_rate, naive)])
    _judge_intervals(tally, projection.month_end, task.total)


def _judge_week(tally: _Tally, name: str, task: Task, projection: Projection) -> None:
    """Compare seven days one by one, as multiples of the month's mean day."""
    week = [task.origin + k * _DAY for k in range(_WEEK) if task.origin + k * _DAY in task.ahead]
    if not week:
        return
    expected = dict(projection.days)
    naive = [_seasonal_naive(task, day) for day in week]
    guesses = [[float(expected[day]) for day in week], [_run_rate(task)] * len(week), naive]
    mean_day = task.total / MONTH_DAYS
    misses = (zip(guess, (task.ahead[day] for day in week), strict=True) for guess in guesses)
    tally.add(name, [fmean(abs(guess - cost) for guess, cost in missed) / mean_day for missed in misses])
    if len(week) == _WEEK and any(task.ahead[day] for day in week):
        _judge_intervals(tally, projection.seven_days, sum(task.ahead[day] for day in week))


def _judge_intervals(tally: _Tally, spread: Spread, actual: float) -> None:
    tally.inside80.append(float(spread.low80) <= actual <= float(spread.high80))
    tally.inside95.append(float(spread.low95) <= actual <= float(spread.high95))
    tally.widths.append(float(spread.high80 - spread.low80) / actual)


def _run_rate(task: Task) -> float:
    """Return the month's mean day so far."""
    start = task.month.start.date()
    return fmean(cost for day, cost in task.known.items() if day >= start)


def _seasonal_naive(task: Task, day: date) -> float:
    """Return the last known day of the same weekday; a mean day where there is none in eight weeks."""
    for back in range(_WEEK, 13 * _WEEK, _WEEK):
        if day - back * _DAY < task.origin and day - back * _DAY in task.known:
            return task.known[day - back * _DAY]
    return fmean(task.known.values())
