"""Whether a month's budget will hold, from what was spent and the projection's interval.

Before it: `projection.py`. After it: `tasks/show_projection.py` says it; alerts on budgets follow.
"""

from __future__ import annotations

from decimal import Decimal
from enum import StrEnum

from ops.cost.projection import Projection


class BudgetState(StrEnum):
    """How a budget stands; the 80 % interval decides, never the point estimate."""

    KEPT = "will be kept"
    AT_RISK = "at risk"
    WILL_BE_CROSSED = "will be crossed"
    CROSSED = "crossed"


def judge(projection: Projection, monthly_usd: Decimal) -> BudgetState:
    """Compare the month's spend and its 80 % interval with the budget."""
    if projection.spent_usd > monthly_usd:
        return BudgetState.CROSSED
    if projection.month_end.low80 > monthly_usd:
        return BudgetState.WILL_BE_CROSSED
    return BudgetState.AT_RISK if projection.month_end.high80 > monthly_usd else BudgetState.KEPT
