"""What the month and the next seven days will cost: a robust level times a weekday profile, and how sure that is.

Before it: `tasks/stores` sums priced events into daily spend. After it: `tasks/project_costs.py` stores the projection,
and budgets and alerts read it. `backtest.py` measures it. The method ("WPR-CP") beats run-rate, seasonal naive and the
statistical libraries on real daily series; half-life, profile, change point and quantiles were chosen on one half of
the public series alone (by a hash of their names).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from math import exp2
from statistics import fmean, median

from ops.cost.day_shares import DayHours, day_shares, midnight, share_of
from ops.window import Window

_WEEK = 7
HISTORY_DAYS = 84  # that are looked at: twelve weeks of weekdays
_LEVEL_DAYS = 56
_ENOUGH_DAYS = 14
_SHRINK = 0.5
_HALF_LIFE_DAYS = 4
_MAD_TO_SIGMA = 1.4826  # of a normal distribution
_CLIP_SIGMAS, _CLIP_SHARE = 3, 0.2  # a day is clipped when it is farther from the median than both
_SHIFT_RATIO = 1.4
_SHIFT_DAYS = range(5, 29)  # the fewest and the most days in a row that make a new level
_PRIOR_DAYS = 28
_TYPICAL_ERROR, _TYPICAL_WEIGHT = 0.12, 4
_MOST_ERROR = 3.0  # of a week: the one of a launch after tests is of any size, and says nothing of the weeks after it
_TYPICAL_HORIZON, _HORIZON_POWER = 14, 0.25  # an error of so many days to come; of more it is larger
_SHORTEST_RUN = timedelta(hours=1)
_CENT_FRACTION = Decimal("0.000001")
_DAY = timedelta(days=1)

# Quantiles of (actual / projected - 1) / own error, on the half of the series that everything here was chosen on. Spend
# errs upward; so do they. (low80, high80), (low95, high95):
_MONTH_QUANTILES = ((-0.99, 1.75), (-1.94, 3.73))  # of the part of a month to come, each series weighing the same
_WEEK_QUANTILES = ((-1.16, 1.93), (-2.20, 6.00))  # of seven days, each task weighing the same
_LOW_HISTORY = (0.45, 6.0)


_Quantiles = tuple[tuple[float, float], tuple[float, float]]


class Method(StrEnum):
    """How the rest of the month was projected."""

    WEEKDAY_LEVEL = "wpr-cp"
    RUN_RATE = "run-rate"  # no full day is known yet: today's pace goes on


@dataclass(frozen=True, slots=True)
class DaySpend:
    """What one UTC day cost; None is a gap in the records, 0 a day without spend."""

    day: date
    cost_usd: Decimal | None


@dataclass(frozen=True, slots=True)
class Spread:
    """An expected amount, with the intervals that 80 and 95 of 100 should fall into."""

    expected: Decimal
    low80: Decimal
    high80: Decimal
    low95: Decimal
    high95: Decimal

    def plus(self, known: Decimal) -> Spread:
        """Add an amount that is certain."""
        return Spread(*(getattr(self, name) + known for name in self.__slots__))


@dataclass(frozen=True, slots=True, kw_only=True)
class Projection:
    """What the month will cost in all, and what the seven days from now on will."""

    month: Window
    spent_usd: Decimal
    month_end: Spread
    seven_days: Spread
    days: tuple[tuple[date, Decimal], ...]  # expected from now on: the rest of today, then whole days
    level_usd_per_day: Decimal
    method: Method
    history_days: int
    low_history: bool
    change_point: date | None

    def exhausts(self, usd: Decimal) -> date | None:
        """Return the day of this month on which so much will be spent; None when it will not be."""
        total = self.spent_usd
        for day, expected in self.days:
            total += expected
            if total >= usd and share_of(day, self.month):
                return day
        return None


@dataclass(frozen=True, slots=True)
class _Level:
    usd_per_day: float
    profile: Sequence[float]
    change_point: date | None
    error: float | None  # of its own; None under 14 days of history

    def expect(self, day: date, share: float = 1.0) -> float:
        return share * self.usd_per_day * self.profile[day.weekday()]

    def ahead(self, window: Window, hours: DayHours | None) -> list[tuple[date, float]]:
        """Return the days of a window with their shares; with `hours` it begins now, and today has what they leave."""
        days = day_shares(window)
        if hours is not None and days:
            today = days[0][0]
            rest = Window(window.start, min(midnight(today) + _DAY, window.end))
            days[0] = (today, hours.left(rest, self.expect(today)))
        return days

    def rest_of_month(self, days: Sequence[tuple[date, float]]) -> Spread:
        length = sum(share for _, share in days)
        return self._spread(days, _MONTH_QUANTILES, (length / _TYPICAL_HORIZON) ** _HORIZON_POWER)

    def seven_days(self, days: Sequence[tuple[date, float]]) -> Spread:
        return self._spread(days, _WEEK_QUANTILES, 1.0)

    def _spread(self, days: Sequence[tuple[date, float]], quantiles: _Quantiles, scale: float) -> Spread:
        total = sum(self.expect(day, share) for day, share in days)
        if self.error is None:
            (low80, high80), (low95, high95) = _LOW_HISTORY, _LOW_HISTORY
        else:
            (low80, high80), (low95, high95) = (
                (max(0.0, 1 + self.error * scale * low), 1 + self.error * scale * high) for low, high in quantiles
            )
        return Spread(*(_usd(total * factor) for factor in (1.0, low80, high80, low95, high95)))


def project_month(
    history: Sequence[DaySpend], today_spent: Decimal, month: Window, now: datetime, paid: Decimal | None = None,
    hours: DayHours | None = None,
) -> Projection | None:  # fmt: skip
    """Project the month's total and the next seven days; None when nothing was ever spent or known.

    `history` is full UTC days up to yesterday, at today's prices (so that a known price change needs no detection);
    `today_spent` is what today cost until `now`. `paid` is what the month cost until `now`, at the prices of each day;
    without it, it is what these days cost. `hours` say how much of today is to come; without them its time does. A gap
    inside the month is estimated like a day to come. Under 14 known days the intervals are x 0.45 to x 6 of the part to
    come.
    """
    today = now.astimezone(UTC).date()
    history = [entry for entry in history if entry.day < today]
    known = {entry.day: float(entry.cost_usd) for entry in history if entry.cost_usd is not None}
    if not known and today_spent == 0:
        return None
    recent = {day: cost for day, cost in known.items() if day >= today - HISTORY_DAYS * _DAY}
    is_known = any(day >= today - _LEVEL_DAYS * _DAY for day in recent)
    level = _fit(recent, today) if is_known else _run_rate(today_spent, now)
    spent = _spent(history, today_spent, month) if paid is None else paid
    ahead = level.ahead(Window(now, max(month.end, now + (_WEEK + 1) * _DAY)), hours)
    rest_of_month = Window(min(max(now, month.start), month.end), month.end)
    rest = level.ahead(rest_of_month, hours if now in month else None)
    return Projection(
        month=month,
        spent_usd=spent,
        month_end=level.rest_of_month([*_gaps(history, month), *rest]).plus(spent),
        seven_days=level.seven_days(day_shares(Window(now, now + _WEEK * _DAY))),
        days=tuple((day, _usd(level.expect(day, share))) for day, share in ahead),
        level_usd_per_day=_usd(level.usd_per_day),
        method=Method.WEEKDAY_LEVEL if is_known else Method.RUN_RATE,
        history_days=len(known),
        low_history=level.error is None,
        change_point=level.change_point,
    )


def _usd(amount: float) -> Decimal:
    return Decimal(amount).quantize(_CENT_FRACTION)


def _spent(history: Sequence[DaySpend], today_spent: Decimal, month: Window) -> Decimal:
    days = [(entry.cost_usd, share_of(entry.day, month)) for entry in history if entry.cost_usd is not None]
    return today_spent + sum((cost * Decimal(share) for cost, share in days if share), Decimal(0))


def _gaps(history: Sequence[DaySpend], month: Window) -> list[tuple[date, float]]:
    return [(entry.day, share_of(entry.day, month)) for entry in history if entry.cost_usd is None]


def _run_rate(today_spent: Decimal, now: datetime) -> _Level:
    elapsed = max(now - midnight(now.astimezone(UTC).date()), _SHORTEST_RUN)
    return _Level(float(today_spent) / (elapsed / _DAY), [1.0] * _WEEK, None, None)


Flat = Sequence[tuple[date, float]]  # spend without its weekday


def _fit(recent: dict[date, float], today: date) -> _Level:
    profile = _weekday_profile(recent, today)
    first = today - _LEVEL_DAYS * _DAY
    known = {day: cost for day, cost in recent.items() if day >= first}
    flat = [(day, cost / profile[day.weekday()]) for day, cost in _working(known).items()]
    since = _since_change(flat)
    error = _own_error(flat, today) if len(known) >= _ENOUGH_DAYS else None
    return _Level(_level(since), profile, since[0][0] if len(since) < len(flat) else None, error)


def _working(costs: dict[date, float]) -> dict[date, float]:
    """Leave out the weekdays that mostly cost nothing, where others do not: what they say of the level is nothing."""
    by_weekday: dict[int, list[float]] = {}
    for day, cost in costs.items():
        by_weekday.setdefault(day.weekday(), []).append(cost)
    working = {weekday for weekday, its_costs in by_weekday.items() if median(its_costs)}
    found = {day: cost for day, cost in costs.items() if day.weekday() in working}
    return found if found and len(costs) >= _ENOUGH_DAYS else costs


def _weekday_profile(costs: dict[date, float], today: date) -> list[float]:
    """Return seven factors, Monday first: the median of day / week mean, shrunk as if half a week more were flat."""
    weeks: dict[int, dict[date, float]] = {}
    for day, cost in costs.items():
        weeks.setdefault((today - day - _DAY).days // _WEEK, {})[day] = cost
    ratios: list[list[float]] = [[] for _ in range(_WEEK)]
    for week in weeks.values() if len(costs) >= _ENOUGH_DAYS else ():
        mean = fmean(week.values())
        for day, cost in week.items() if mean else ():
            ratios[day.weekday()].append(cost / mean)
    shrunk = [(len(r) * median(r) + _SHRINK) / (len(r) + _SHRINK) if r else 1.0 for r in ratios]
    return [factor / fmean(shrunk) for factor in shrunk]  # mean 1, so that the level is USD per day


def _since_change(flat: Flat) -> Flat:
    """Return the longest final run of days that lies wholly above, or wholly below, the days before it; else all."""
    for length in reversed(_SHIFT_DAYS):
        before, after = flat[-length - _PRIOR_DAYS : -length], flat[-length:]
        if len(before) < _WEEK:
            continue
        usual = median(cost for _, cost in before)
        lowest, highest = min(cost for _, cost in after), max(cost for _, cost in after)
        if lowest > usual * _SHIFT_RATIO or highest < usual / _SHIFT_RATIO:
            return after
    return flat


def _level(flat: Flat) -> float:
    """Average the clipped days with a 4-day half-life."""
    centre = median(cost for _, cost in flat)
    spread = max(_CLIP_SIGMAS * _MAD_TO_SIGMA * median(abs(cost - centre) for _, cost in flat), _CLIP_SHARE * centre)
    if centre == 0:
        spread = max(cost for _, cost in flat)  # mostly idle: the few busy days are the signal, not outliers
    last = flat[-1][0]
    weights = [exp2((day - last).days / _HALF_LIFE_DAYS) for day, _ in flat]
    clipped = [min(max(cost, centre - spread), centre + spread) for _, cost in flat]
    return sum(weight * cost for weight, cost in zip(weights, clipped, strict=True)) / sum(weights)


def _own_error(flat: Flat, today: date) -> float:
    """Return the mean relative error of the level in past weeks, shrunk to 0.12 as if four more had missed by that."""
    errors = []
    for back in range(_WEEK, _LEVEL_DAYS - _ENOUGH_DAYS + 1, _WEEK):
        origin = today - back * _DAY
        past = [entry for entry in flat if entry[0] < origin]
        truth = [cost for day, cost in flat if origin <= day < origin + _WEEK * _DAY]
        if len(past) < _ENOUGH_DAYS or not truth:
            continue
        level = _level(_since_change(past))
        if level > 0:
            errors.append(min(abs(fmean(truth) / level - 1), _MOST_ERROR))
    return (sum(errors) + _TYPICAL_WEIGHT * _TYPICAL_ERROR) / (len(errors) + _TYPICAL_WEIGHT)
