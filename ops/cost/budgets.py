"""Whether a budget will hold, and what somebody should be told of it, once for each of its periods.

Before it: `projection.py`. After it: `tasks/check_budgets.py` tells the events, `tasks/tabulate_costs.py` the state.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from enum import StrEnum

from ops.cost.projection import Method, Projection, Spread
from ops.cost.scopes import Scope
from ops.money import usd
from ops.status import Level
from ops.window import Window


class BudgetState(StrEnum):
    """How a budget stands; the 80 % interval decides, never the point estimate."""

    KEPT = "will be kept"
    AT_RISK = "at risk"
    WILL_BE_CROSSED = "will be crossed"
    CROSSED = "crossed"


class Period(StrEnum):
    """How long a budget lasts."""

    DAY = "day"
    MONTH = "month"


class BudgetEvent(StrEnum):
    """What somebody is told; the gravest first."""

    ALL_SPENT = "100 % spent"
    WILL_BE_CROSSED = "will be crossed"
    MOST_SPENT = "80 % spent"
    AT_RISK = "at risk"
    HALF_SPENT = "50 % spent"


_SHARES = {
    BudgetEvent.ALL_SPENT: Decimal(1), BudgetEvent.MOST_SPENT: Decimal("0.8"), BudgetEvent.HALF_SPENT: Decimal("0.5")
}  # fmt: skip
LEVELS = {
    BudgetEvent.ALL_SPENT: Level.CRITICAL, BudgetEvent.WILL_BE_CROSSED: Level.WARNING,
    BudgetEvent.MOST_SPENT: Level.WARNING, BudgetEvent.AT_RISK: Level.INFO, BudgetEvent.HALF_SPENT: Level.INFO,
}  # fmt: skip
NAMED = 15  # in one message, with a line of up to 150 characters each
_SHORT_KEY = 40


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What was spent of one budget in a period, and what is projected for all of it."""

    scope: Scope
    period: Period
    window: Window
    budget_usd: Decimal
    spent_usd: Decimal
    projection: Projection | None = None  # of a month, where there is one of the scope
    is_over: bool = False  # the period has ended

    @property
    def share(self) -> Decimal:
        """The part of it that is spent; of a budget of nothing, all."""
        return self.spent_usd / self.budget_usd if self.budget_usd else Decimal(1)

    @property
    def exhausted_on(self) -> date | None:
        """The day on which the budget will have been spent; None when it will not be, or nobody knows."""
        return None if self.projection is None else self.projection.exhausts(self.budget_usd)

    def events(self) -> list[BudgetEvent]:
        """Return what has come to pass or is foretold, the gravest first."""
        found = {event for event, share in _SHARES.items() if self.spent_usd >= share * self.budget_usd}
        if self.projection is not None and self.state is not None:
            found |= foretold(self.state, self.projection.method, low_history=self.projection.low_history)
        return [event for event in BudgetEvent if event in found]

    @property
    def state(self) -> BudgetState | None:
        """How it stands; None where nobody projects it, and it is not crossed yet."""
        if self.projection is not None:
            return judge(self.projection, self.budget_usd)
        return BudgetState.CROSSED if self.spent_usd > self.budget_usd else None

    def words(self, event: BudgetEvent) -> tuple[str, str]:
        """Return a title and a detail of an event for people."""
        title = f"Budget of {usd(self.budget_usd)} a {self.period}, {self.scope}: {event}"
        detail = f"{usd(self.spent_usd)} spent ({self.share:.0%})"
        detail += (
            f", in the {self.period} that ended on {self.window.end:%Y-%m-%d at %H:%M} UTC" if self.is_over else ""
        )
        if self.projection is not None:
            end = self.projection.month_end
            detail += f", {usd(end.expected)} projected (80 %: {usd(end.low80)} to {usd(end.high80)})"
            detail += f", exhausted on {self.exhausted_on:%Y-%m-%d}" if self.exhausted_on else ""
        return title, detail


def words_of_many(standings: Sequence[Standing], event: BudgetEvent) -> tuple[str, str]:
    """Return a title and lines of an event that came to pass for many of one kind at once, the most spent first."""
    first = standings[0]
    title = f"Budget of {usd(first.budget_usd)} a {first.period}, {len(standings):,} {first.scope.kind}s: {event}"
    ordered = sorted(standings, key=lambda each: (-each.spent_usd, each.scope))
    lines = [f"{_short(each.scope.key)}: {each.words(event)[1]}" for each in ordered[:NAMED]]
    rest = [f"and {len(ordered) - NAMED:,} more"] if len(ordered) > NAMED else []
    return title, "\n".join(lines + rest)


def _short(key: str) -> str:
    return key if len(key) <= _SHORT_KEY else key[: _SHORT_KEY - 1] + "…"


def judge(projection: Projection, monthly_usd: Decimal) -> BudgetState:
    """Compare the month's spend and its 80 % interval with the budget."""
    return foretell(projection.spent_usd, projection.month_end, monthly_usd)


def foretell(spent_usd: Decimal, month_end: Spread, monthly_usd: Decimal) -> BudgetState:
    """Compare what is spent of a month, and what was projected for all of it, with the budget."""
    if spent_usd > monthly_usd:
        return BudgetState.CROSSED
    if month_end.low80 > monthly_usd:
        return BudgetState.WILL_BE_CROSSED
    return BudgetState.AT_RISK if month_end.high80 > monthly_usd else BudgetState.KEPT


def foretold(state: BudgetState, method: Method, *, low_history: bool) -> set[BudgetEvent]:
    """Return what a state foretells: of under 14 days only what the whole of their wide interval says.

    The pace of a few hours foretells nothing.
    """
    if method is Method.RUN_RATE or (low_history and state is not BudgetState.WILL_BE_CROSSED):
        return set()
    return {event for event in BudgetEvent if event.value == state.value}
