"""What `watchkeeper status` says of spend and budgets.

Before it: `tasks/read_status.py` reads roll-ups and the last projections. After it: `cli/status.py` prints.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from ops.cost.budgets import LEVELS, BudgetEvent, Period, Standing, foretell, foretold
from ops.cost.projection import Method, Spread
from ops.cost.scopes import Scope
from ops.money import usd
from ops.status import LATE_AFTER, Level, Row
from ops.window import in_one_unit


@dataclass(frozen=True, slots=True, kw_only=True)
class Spent:
    """What the requests of a window cost."""

    events: int
    unpriced_events: int
    usd: Decimal  # without the unpriced ones


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """What was last projected for a month."""

    as_of: datetime
    month_end: Spread
    method: Method
    low_history: bool


def spend_row(about: str, spent: Spent, now: datetime, forecast: Forecast | None = None) -> Row:
    """Say what a window cost; requests without a price are told of, for their cost is missing."""
    if not spent.events:
        return Row(Level.NONE, about, "no requests", {"events": 0})
    gap = f", {spent.unpriced_events:,} of them without a price" if spent.unpriced_events else ""
    known = spent.usd if spent.events > spent.unpriced_events else None
    text = f"{usd(known)} for {spent.events:,} requests{gap}{_projected(forecast, now)}"
    facts: dict[str, Any] = {"usd": known, "events": spent.events, "unpriced_events": spent.unpriced_events}
    if forecast is not None:
        facts |= {"month_end_usd": forecast.month_end.expected, "projected_at": forecast.as_of}
    return Row(Level.INFO if spent.unpriced_events else Level.OK, about, text, facts)


def _projected(forecast: Forecast | None, now: datetime) -> str:
    if forecast is None:
        return ""
    note = ", low history" if forecast.low_history else ""
    return f"; {_interval(forecast.month_end)} projected {in_one_unit(now - forecast.as_of)} ago{note}"


def _interval(end: Spread) -> str:
    return f"{usd(end.expected)} (80 %: {usd(end.low80)} to {usd(end.high80)})"


def budget_row(standings: Sequence[Standing], forecasts: Mapping[Scope, Forecast]) -> Row:
    """Say how a budget stands; of one that each of some has, how the worst of them does and how many are over."""
    found = [(standing, _gravest(standing, forecasts.get(standing.scope))) for standing in standings]
    worst, event = min(found, key=lambda each: (_rank(each[1]), -each[0].share))
    forecast = _of_month(worst, forecasts.get(worst.scope))
    end = f", {_interval(forecast.month_end)} projected" if forecast else ""
    over = sum(event is BudgetEvent.ALL_SPENT for _, event in found)
    several = f"; the worst of several{f', {over:,} over' if over else ''}" if len(standings) > 1 else ""
    text = f"{usd(worst.spent_usd)} of {usd(worst.budget_usd)} spent ({worst.share:.0%}){end}"
    facts = {
        "scope": str(worst.scope), "period": worst.period, "budget_usd": worst.budget_usd,
        "spent_usd": worst.spent_usd, "event": event, "over": over,
        "month_end_usd": forecast.month_end.expected if forecast else None,
    }  # fmt: skip
    about = f"{worst.scope}, {worst.period}"
    return Row(LEVELS[event] if event else Level.OK, about, f"{event}: {text}{several}" if event else text, facts)


@dataclass(frozen=True, slots=True)
class Told:
    """What came to pass of a budget that each of many has: for how many, and who had spent the most by then."""

    event: BudgetEvent
    keys: int
    key: str
    spent_usd: Decimal


@dataclass(frozen=True, slots=True)
class Checked:
    """When all budgets were added up last (None: never), and how often they are to be."""

    at: datetime | None
    every: timedelta


def told_row(
    about: str, budget_usd: Decimal, told: Sequence[Told], checked: Checked, now: datetime
) -> Row:  # fmt: skip
    """Say how a budget of each of many stands, as it was when all of them were added up last."""
    checked_at = checked.at
    if checked_at is None:
        return Row(Level.UNKNOWN, about, "never checked: `watchkeeper run check-budgets`", {"checked_at": None})
    is_late = now - checked_at >= LATE_AFTER * checked.every
    when = f"checked {in_one_unit(now - checked_at)} ago{f' (every {in_one_unit(checked.every)})' if is_late else ''}"
    fine = Level.UNKNOWN if is_late else Level.OK
    if not told:
        return Row(fine, about, f"nobody had spent half of {usd(budget_usd)}, {when}", {"checked_at": checked_at})
    worst = min(told, key=lambda each: _rank(each.event))
    most = f"{worst.key} {usd(worst.spent_usd)}"
    text = f"{worst.event}: {worst.keys:,} of {usd(budget_usd)} each, the most {most}; {when}"
    facts = {
        "event": worst.event, "budget_usd": budget_usd, "key": worst.key, "spent_usd": worst.spent_usd,
        "keys": {each.event: each.keys for each in told}, "checked_at": checked_at,
    }  # fmt: skip
    return Row(Level.gravest((LEVELS[worst.event], fine)), about, text, facts)


def _gravest(standing: Standing, forecast: Forecast | None) -> BudgetEvent | None:
    """Return the gravest of what has come to pass or is foretold."""
    found = set(standing.events())
    forecast = _of_month(standing, forecast)
    if forecast is not None:
        state = foretell(standing.spent_usd, forecast.month_end, standing.budget_usd)
        found |= foretold(state, forecast.method, low_history=forecast.low_history)
    return next((event for event in BudgetEvent if event in found), None)


def _rank(event: BudgetEvent | None) -> int:
    return len(BudgetEvent) if event is None else list(BudgetEvent).index(event)


def _of_month(standing: Standing, forecast: Forecast | None) -> Forecast | None:
    return forecast if standing.period is Period.MONTH else None
