from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest

from ops.cost.budgets import NAMED, BudgetEvent, BudgetState, Period, Standing, judge, words_of_many
from ops.cost.projection import DaySpend, Projection, project_month
from ops.cost.scopes import TOTAL, Scope, ScopeKind
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


def standing(budget: str, spent: str, projection: Projection | None = None) -> Standing:
    return Standing(
        scope=TOTAL, period=Period.MONTH, window=MONTH, budget_usd=Decimal(budget), spent_usd=Decimal(spent),
        projection=projection,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("spent", "events"),
    [
        pytest.param("49.99", [], id="less than half"),
        pytest.param("50", [BudgetEvent.HALF_SPENT], id="half"),
        pytest.param("80", [BudgetEvent.MOST_SPENT, BudgetEvent.HALF_SPENT], id="most"),
        pytest.param(
            "100", [BudgetEvent.ALL_SPENT, BudgetEvent.MOST_SPENT, BudgetEvent.HALF_SPENT], id="all, the gravest first"
        ),
    ],
)
def test_budget_events_of_what_is_spent(spent: str, events: list[BudgetEvent]) -> None:
    assert standing("100", spent).events() == events


@pytest.mark.parametrize(
    ("budget", "events", "exhausted"),
    [
        pytest.param("1000", [], None, id="far above"),
        pytest.param("302", [BudgetEvent.AT_RISK], None, id="within the interval, above what is expected"),
        pytest.param("299", [BudgetEvent.AT_RISK, BudgetEvent.HALF_SPENT], date(2026, 11, 30), id="below it"),
        pytest.param(
            "200", [BudgetEvent.WILL_BE_CROSSED, BudgetEvent.HALF_SPENT], date(2026, 11, 20), id="below the interval"
        ),
    ],
)
def test_budget_events_of_what_is_projected(
    projection: Projection, budget: str, events: list[BudgetEvent], exhausted: date | None
) -> None:
    found = standing(budget, "150", projection)
    assert (found.events(), found.exhausted_on) == (events, exhausted)


@pytest.mark.parametrize(
    ("budget", "events"),
    [
        # 6 days of $10, 15 to come: 60 + 150 x 0.45 = 127.50 to 60 + 150 x 6 = 960
        pytest.param("127", [BudgetEvent.WILL_BE_CROSSED], id="below the whole of the wide interval"),
        pytest.param("128", [], id="somewhere in it"),
        pytest.param("961", [], id="above it"),
    ],
)
def test_budget_of_a_new_account_is_foretold_only_when_it_is_certain_to_be_crossed(
    budget: str, events: list[BudgetEvent]
) -> None:
    history = [DaySpend(date(2026, 11, 10) + timedelta(days=day), Decimal(10)) for day in range(6)]
    assert standing(budget, "60", project_month(history, Decimal(0), MONTH, NOW)).events() == events


def test_budget_is_not_foretold_by_the_pace_of_a_few_hours() -> None:
    found = standing("100", "10", project_month([], Decimal(10), MONTH, NOW + timedelta(hours=2)))
    assert (found.events(), found.state) == ([], BudgetState.WILL_BE_CROSSED)


@pytest.mark.parametrize(
    ("spent", "state"),
    [pytest.param("101", BudgetState.CROSSED, id="crossed"), pytest.param("100", None, id="nobody knows")],
)
def test_budget_that_nobody_projects_stands_by_what_is_spent(spent: str, state: BudgetState | None) -> None:
    assert standing("100", spent).state is state


def test_budget_is_told_in_words(projection: Projection) -> None:
    title, detail = standing("200", "150", projection).words(BudgetEvent.WILL_BE_CROSSED)
    assert title == "Budget of $200.00 a month, total: will be crossed"
    assert detail.startswith("$150.00 spent (75%), $300.00 projected (80 %: $2")
    assert detail.endswith(", exhausted on 2026-11-20")
    assert standing("200", "150").words(BudgetEvent.HALF_SPENT)[1] == "$150.00 spent (75%)"
    assert standing("1000", "150", projection).words(BudgetEvent.HALF_SPENT)[1].endswith(")")
    late = replace(standing("200", "150"), is_over=True).words(BudgetEvent.HALF_SPENT)[1]
    assert late == "$150.00 spent (75%), in the month that ended on 2026-12-01 at 00:00 UTC"


def test_budgets_of_many_are_told_in_lines_the_most_spent_first() -> None:
    users = [replace(standing("5", str(5 + n)), scope=Scope(ScopeKind.USER, f"u{n}")) for n in range(NAMED + 2)]
    long = replace(standing("5", "99"), scope=Scope(ScopeKind.USER, "x" * 50))
    title, body = words_of_many([*users, long], BudgetEvent.ALL_SPENT)
    assert title == "Budget of $5.00 a month, 18 users: 100 % spent"
    lines = body.splitlines()
    assert lines[:2] == ["x" * 39 + "…: $99.00 spent (1980%)", "u16: $21.00 spent (420%)"]
    assert (lines[-1], len(lines)) == ("and 3 more", NAMED + 1)
    assert "more" not in words_of_many(users[:2], BudgetEvent.ALL_SPENT)[1]
