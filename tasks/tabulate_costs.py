"""Show projections and budgets as tables and as JSON, the gravest first.

Before it: `tasks/project_costs.py` and `tasks/check_budgets.py`. After it: `watchkeeper cost project` and
`budgets`, and the page of `tasks/show_projection.py`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Any

from ops.cost.budgets import BudgetState, Period, Standing, judge
from ops.cost.projection import Projection
from ops.cost.scopes import Scope
from ops.money import usd
from tasks.project_costs import ProjectedCosts

PROJECTION_COLUMNS = ("Scope", "Spent#", "Month end#", "80 %#", "Next 7 days#", "Budget#", "Crossed on", "Method")
BUDGET_COLUMNS = ("Budget", "Each", "USD#", "Spent#", "Share#", "Projected#", "80 %#", "Crossed on", "State")
_GRAVITY = (BudgetState.CROSSED, BudgetState.WILL_BE_CROSSED, BudgetState.AT_RISK, BudgetState.KEPT, None)
_ENDS = ("low80", "high80", "low95", "high95")


def summary(projected: ProjectedCosts) -> str:
    """Say in one line what the month has cost and will cost."""
    projection = projected.projection
    if projection is None:
        return "no cost is known yet" + (f", {unpriced(projected)}" if projected.unpriced_events else "")
    line = (
        f"{usd(projection.spent_usd)} spent, {usd(projection.month_end.expected)} projected for the month"
        f" (80 %: {interval(projection)})"
    )
    budget = projected.budget_usd
    line = line if budget is None else f"{line}; the budget of {usd(budget)} {_verdict(budget, projection)}"
    return line if projected.blocked_by is None else f"{line}; do not rely on it: {projected.blocked_by}"


def _verdict(budget: Decimal, projection: Projection) -> str:
    state = judge(projection, budget)
    return f"is {state}" if state in {BudgetState.AT_RISK, BudgetState.CROSSED} else state


def unpriced(projected: ProjectedCosts) -> str:
    """Say of how many events of the month nobody knows the cost."""
    return f"{projected.unpriced_events:,} of {projected.month_events:,} events have no price"


def interval(projection: Projection) -> str:
    """Write the 80 % interval of the month's end."""
    return f"{usd(projection.month_end.low80)} to {usd(projection.month_end.high80)}"


def projection_rows(projected: ProjectedCosts, standings: Iterable[Standing]) -> list[tuple[str, ...]]:
    """Return the rows of PROJECTION_COLUMNS: the total, then the dearest part first."""
    budgets = _monthly(standings)
    return [_projection_row(scope, made, budgets.get(scope)) for scope, made in projected.dearest_first()]


def _monthly(standings: Iterable[Standing]) -> dict[Scope, Standing]:
    return {standing.scope: standing for standing in standings if standing.period is Period.MONTH}


def _projection_row(scope: Scope, made: Projection, budget: Standing | None) -> tuple[str, ...]:
    return (
        str(scope), usd(made.spent_usd), usd(made.month_end.expected), interval(made), usd(made.seven_days.expected),
        *(("", "") if budget is None else (usd(budget.budget_usd), crossed_on(budget))),
        made.method.value + (", low history" if made.low_history else ""),
    )  # fmt: skip


def crossed_on(standing: Standing) -> str:
    """Write the day on which a budget will have been spent, or that it is; empty when it will not be."""
    if standing.state is BudgetState.CROSSED:
        return "crossed"
    return f"{standing.exhausted_on:%Y-%m-%d}" if standing.exhausted_on else ""


def projections_json(projected: ProjectedCosts, standings: Iterable[Standing]) -> dict[str, Any]:
    """Return all projections as JSON values, by the names of the table `cost_projections`."""
    budgets = _monthly(standings)
    return {
        "events": projected.month_events, "unpriced_events": projected.unpriced_events,
        "blocked_by": projected.blocked_by,
        "projections": [
            _projection_json(scope, made, projected.gaps.get(scope, 0), budgets.get(scope))
            for scope, made in projected.dearest_first()
        ],
    }  # fmt: skip


def _projection_json(scope: Scope, made: Projection, gaps: int, budget: Standing | None) -> dict[str, Any]:
    month, week = made.month_end, made.seven_days
    return {
        "scope": scope.kind.value, "key": scope.key, "from": made.month.start, "to": made.month.end,
        "spent_usd": made.spent_usd,
        "month_end_usd": month.expected, **{f"{name}_usd": getattr(month, name) for name in _ENDS},
        "week_usd": week.expected, **{f"week_{name}_usd": getattr(week, name) for name in _ENDS},
        "level_usd_per_day": made.level_usd_per_day, "method": made.method.value, "history_days": made.history_days,
        "low_history": made.low_history, "change_point": made.change_point, "unpriced_events": gaps,
        "budget": None if budget is None else _standing_json(budget),
    }  # fmt: skip


def gravest_first(standings: Iterable[Standing]) -> list[Standing]:
    """Order budgets by how they stand, then by the share of them that is spent."""
    return sorted(standings, key=lambda each: (_GRAVITY.index(each.state), -each.share, str(each.scope)))


def budget_rows(standings: Sequence[Standing]) -> list[tuple[str, ...]]:
    """Return the rows of BUDGET_COLUMNS."""
    return [_budget_row(standing) for standing in standings]


def _budget_row(standing: Standing) -> tuple[str, ...]:
    made = standing.projection
    low_history = " (low history)" if made is not None and made.low_history else ""
    return (
        str(standing.scope), standing.period.value, usd(standing.budget_usd), usd(standing.spent_usd),
        f"{standing.share:.0%}", *(("", "") if made is None else (usd(made.month_end.expected), interval(made))),
        crossed_on(standing), f"{standing.state or 'not projected'}{low_history}",
    )  # fmt: skip


def budgets_json(standings: Iterable[Standing]) -> dict[str, Any]:
    """Return budgets as JSON values; what nobody projects is null."""
    return {"budgets": [_standing_json(standing) for standing in standings]}


def _standing_json(standing: Standing) -> dict[str, Any]:
    made = standing.projection
    ends = (None, None, None, None) if made is None else (made.month_end.expected, made.month_end.low80,
                                                         made.month_end.high80, made.low_history)  # fmt: skip
    return {
        "scope": standing.scope.kind.value, "key": standing.scope.key, "period": standing.period.value,
        "from": standing.window.start, "to": standing.window.end,
        "budget_usd": standing.budget_usd, "spent_usd": standing.spent_usd, "share": standing.share,
        **dict(zip(("projected_usd", "low80_usd", "high80_usd", "low_history"), ends, strict=True)),
        "exhausted_on": standing.exhausted_on, "state": standing.state,
    }  # fmt: skip
