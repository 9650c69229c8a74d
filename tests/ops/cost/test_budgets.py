from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest

from ops.cost.budgets import BudgetState, judge
from ops.cost.projection import DaySpend, Projection, project_month
from ops.window import Window

NOW = datetime(2026, 11, 16, tzinfo=UTC)
MONTH = Window(datetime(2026, 11, 1, tzinfo=UTC), datetime(2026, 12, 1, tzinfo=UTC))


@pytest.fixture
def projection() -> Projection:
    """15 days of $10 are spent, 15 days at the same level to come: 300, with an interval around it."""
    history = [DaySpend(date(2026, 10, 1) + timedelta(days=day), Decimal(10)) for day in range(46)]
    found = project_month(history, Decimal(0), MONTH, NOW)
    assert found is not None
    assert found.spent_usd == 150
    assert 250 < found.month_end.low80 < 300 < found.month_end.high80 < 350
    return found


@pytest.mark.parametrize(
    ("budget", "state"),
    [
        pytest.param("149.99", BudgetState.CROSSED, id="more is spent than was allowed"),
        pytest.param("150", BudgetState.WILL_BE_CROSSED, id="all of it is spent, and half a month is to come"),
        pytest.param("250", BudgetState.WILL_BE_CROSSED, id="below the whole interval"),
        pytest.param("300", BudgetState.AT_RISK, id="inside the interval"),
        pytest.param("350", BudgetState.KEPT, id="above the whole interval"),
    ],
)
def test_budget_is_judged_by_the_interval(projection: Projection, budget: str, state: BudgetState) -> None:
    assert judge(projection, Decimal(budget)) is state


def test_budget_equal_to_an_end_of_the_interval_is_on_its_kinder_side(projection: Projection) -> None:
    assert judge(projection, projection.month_end.low80) is BudgetState.AT_RISK
    assert judge(projection, projection.month_end.high80) is BudgetState.KEPT
