"""What the month will cost: a robust level times a weekday profile, with intervals from the method's own errors.

Before it: `tasks/stores` sums priced events into daily spend. After it: `tasks/project_costs.py` stores the projection,
and budgets and alerts read it. The method ("WPR-CP") was chosen by a backtest on month-end tasks, where it beat
run-rate, seasonal naive and the statistical libraries.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from enum import StrEnum
from math import exp2
from statistics import fmean, median

from ops.window import Window

_WEEK = 7
_HISTORY_DAYS = 56
_ENOUGH_DAYS = 14
_SHRINK = 2
_HALF_LIFE_DAYS = 6
_MAD_TO_SIGMA = 1.4826  # of a normal distribution
_CLIP_SIGMAS = 3
_SHIFT_RATIO = 1.5
_SHIFT_DAYS = range(4, 29)  # the fewest and the most days in a row that make a new level
_PRIOR_DAYS = 28
_TYPICAL_ERROR = 0.12
_SHORTEST_RUN = timedelta(hours=1)
_CENT_FRACTION = Decimal("0.000001")
_DAY = timedelta(days=1)

# Conformal quantiles of (actual / projected - 1) / own error, for the part of the month still to come, from 4,800
# projections of simulated tenants: lognormal noise, drift, weekends and level shifts. Spend errs upward; so do they.
_QUANTILES_80 = (-1.1, 2.3)
_QUANTILES_95 = (-2.25, 4.6)
_LOW_HISTORY = (0.45, 6.0)


class Method(StrEnum):
    """How the rest of the month was projected."""

    WEEKDAY_LEVEL = "wpr-cp"
    RUN_RATE = "run-rate"  # no full day is known yet: today's pace goes on


@dataclass(frozen=True, slots=True)
class DaySpend:
    """What one UTC day cost; None is a gap in the records, 0 a day without spend."""

    day: date
    cost_usd: Decimal | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Projection:
    """The month's expected spend, with the intervals that 80 and 95 of 100 months should end in."""

    month: Window
    spent_usd: Decimal
    month_end_usd: Decimal
    low80: Decimal
    high80: Decimal
    low95: Decimal
    high95: Decimal
    level_usd_per_day: Decimal
    method: Method
    history_days: int
    low_history: bool
    change_point: date | None


@dataclass(frozen=True, slots=True)
class _Level:
    usd_per_day: float
    profile: Sequence[float]
    change_point: date | None

    def expect(self, days: Iterable[tuple[date, float]]) -> float:
        return sum(share * self.usd_per_day * self.profile[day.weekday()] for day, share in days)


def project_month(history: Sequence[DaySpend], today_spent: Decimal, month: Window, now: datetime) -> Projection | None:
    """Project the month's total; None when nothing was ever spent or known.

    `history` is full UTC days up to yesterday, at today's prices (so that a known price change needs no detection);
    `today_spent` is what today cost until `now`. A gap inside the month is estimated like a day to come. Under 14 known
    days the intervals are x 0.45 to x 6 of the part to come.
    """
    today = now.astimezone(UTC).date()
    history = [entry for entry in history if entry.day < today]
    known = {entry.day: float(entry.cost_usd) for entry in history if entry.cost_usd is not None}
    if not known and today_spent == 0:
        return None
    recent = _recent(known, today)
    level = _fit(recent, today) if recent else _run_rate(today_spent, now)
    spent = _spent(history, today_spent, month)
    to_come = level.expect(_days_to_come(history, month, now))
    low_history = len(recent) < _ENOUGH_DAYS
    (low80, high80), (low95, high95) = _factors(known, today, low_history)
    return Projection(
        month=month,
        spent_usd=spent,
        month_end_usd=spent + _usd(to_come),
        low80=spent + _usd(to_come * low80),
        high80=spent + _usd(to_come * high80),
        low95=spent + _usd(to_come * low95),
        high95=spent + _usd(to_come * high95),
        level_usd_per_day=_usd(level.usd_per_day),
        method=Method.WEEKDAY_LEVEL if recent else Method.RUN_RATE,
        history_days=len(known),
        low_history=low_history,
        change_point=level.change_point,
    )


def _usd(amount: float) -> Decimal:
    return Decimal(amount).quantize(_CENT_FRACTION)


def _spent(history: Sequence[DaySpend], today_spent: Decimal, month: Window) -> Decimal:
    days = [(entry.cost_usd, _share(entry.day, month)) for entry in history if entry.cost_usd is not None]
    return today_spent + sum((cost * Decimal(share) for cost, share in days if share), Decimal(0))


def _days_to_come(history: Sequence[DaySpend], month: Window, now: datetime) -> list[tuple[date, float]]:
    gaps = [(entry.day, _share(entry.day, month)) for entry in history if entry.cost_usd is None]
    rest = Window(min(max(now, month.start), month.end), month.end)
    return gaps + [(day.date(), _share(day.date(), rest)) for day in rest.days()]


def _share(day: date, window: Window) -> float:
    """Return the part of a UTC day, 0 to 1, that lies in a window."""
    start = datetime.combine(day, time(0), tzinfo=UTC)
    return max(timedelta(0), min(start + _DAY, window.end) - max(start, window.start)) / _DAY


def _run_rate(today_spent: Decimal, now: datetime) -> _Level:
    elapsed = max(now - datetime.combine(now.astimezone(UTC).date(), time(0), tzinfo=UTC), _SHORTEST_RUN)
    return _Level(float(today_spent) / (elapsed / _DAY), [1.0] * _WEEK, None)


def _recent(known: dict[date, float], today: date) -> dict[date, float]:
    return {day: cost for day, cost in known.items() if today - _HISTORY_DAYS * _DAY <= day < today}


def _fit(recent: dict[date, float], today: date) -> _Level:
    profile = _weekday_profile(recent, today)
    flat = [(day, cost / profile[day.weekday()]) for day, cost in recent.items()]
    change_point = _change_point(flat)
    if change_point:
        flat = [(day, cost) for day, cost in flat if day >= change_point]
    return _Level(_level(flat, today), profile, change_point)


def _weekday_profile(costs: dict[date, float], today: date) -> list[float]:
    """Return seven factors, Monday first: the median of day / week mean, shrunk as if two more weeks were flat."""
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


def _change_point(flat: Sequence[tuple[date, float]]) -> date | None:
    """Find the first day of the longest final run that lies wholly above, or wholly below, the days before it."""
    for length in reversed(_SHIFT_DAYS):
        before, after = flat[-length - _PRIOR_DAYS : -length], flat[-length:]
        if len(before) < _WEEK:
            continue
        usual = median(cost for _, cost in before)
        if all(cost > usual * _SHIFT_RATIO for _, cost in after) or all(
            cost < usual / _SHIFT_RATIO for _, cost in after
        ):
            return after[0][0]
    return None


def _level(flat: Sequence[tuple[date, float]], today: date) -> float:
    """Average the clipped days with a 6-day half-life."""
    centre = median(cost for _, cost in flat)
    spread = _CLIP_SIGMAS * _MAD_TO_SIGMA * median(abs(cost - centre) for _, cost in flat)
    if centre == 0:
        spread = max(cost for _, cost in flat)  # mostly idle: the few busy days are the signal, not outliers
    weights = [exp2(-(today - day).days / _HALF_LIFE_DAYS) for day, _ in flat]
    clipped = [min(max(cost, centre - spread), centre + spread) for _, cost in flat]
    return sum(weight * cost for weight, cost in zip(weights, clipped, strict=True)) / sum(weights)


def _factors(
    known: dict[date, float], today: date, low_history: bool
) -> tuple[tuple[float, float], tuple[float, float]]:
    if low_history:
        return _LOW_HISTORY, _LOW_HISTORY
    scale = _own_error(known, today)
    (low80, high80), (low95, high95) = _QUANTILES_80, _QUANTILES_95
    return (max(0.0, 1 + scale * low80), 1 + scale * high80), (max(0.0, 1 + scale * low95), 1 + scale * high95)


def _own_error(known: dict[date, float], today: date) -> float:
    """Return the mean relative error of past 7-day projections, shrunk to 0.12 as if two more had missed by that."""
    errors = []
    for back in range(_WEEK, _HISTORY_DAYS, _WEEK):
        origin = today - back * _DAY
        past = _recent(known, origin)
        if len(past) < _ENOUGH_DAYS:
            continue
        truth = {day: cost for day, cost in known.items() if origin <= day < origin + _WEEK * _DAY}
        expected = _fit(past, origin).expect((day, 1.0) for day in truth)
        if expected > 0:
            errors.append(abs(sum(truth.values()) / expected - 1))
    return (sum(errors) + _SHRINK * _TYPICAL_ERROR) / (len(errors) + _SHRINK)
