"""The rows on spend and budgets."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from ops.cost.budgets import BudgetEvent, Period, Standing
from ops.cost.projection import Method, Spread
from ops.cost.scopes import TOTAL, Scope, ScopeKind
from ops.cost.status import Checked, Forecast, Spent, Told, budget_row, spend_row, told_row
from ops.window import Window

NOW = datetime(2026, 11, 16, 12, tzinfo=UTC)
MONTH = Window(datetime(2026, 11, 1, tzinfo=UTC), datetime(2026, 12, 1, tzinfo=UTC))


def forecast(
    low: int, expected: int, high: int, *, low_history: bool = False, method: Method = Method.WEEKDAY_LEVEL
) -> Forecast:
    end = Spread(*map(Decimal, (expected, low, high, low, high)))
    return Forecast(as_of=NOW - timedelta(minutes=20), month_end=end, method=method, low_history=low_history)


def standing(spent: int, budget: int = 100, scope: Scope = TOTAL, period: Period = Period.MONTH) -> Standing:
    return Standing(scope=scope, period=period, window=MONTH, budget_usd=Decimal(budget), spent_usd=Decimal(spent))


def test_spend_says_what_it_was_for_and_what_was_projected() -> None:
    spent = Spent(events=1234, unpriced_events=0, usd=Decimal("12.34"))
    row = spend_row("this month", spent, NOW, forecast(20, 25, 30))
    assert (row.level, row.about) == ("ok", "this month")
    assert row.text == "$12.34 for 1,234 requests; $25.00 (80 %: $20.00 to $30.00) projected 20 min ago"
    assert (row.facts["usd"], row.facts["month_end_usd"]) == (Decimal("12.34"), Decimal(25))


def test_projection_on_low_history_says_so() -> None:
    spent = Spent(events=1, unpriced_events=0, usd=Decimal(1))
    assert spend_row("", spent, NOW, forecast(20, 25, 30, low_history=True)).text.endswith("ago, low history")


def test_requests_without_a_price_are_told_of() -> None:
    row = spend_row("today", Spent(events=10, unpriced_events=4, usd=Decimal(3)), NOW)
    assert (row.level, row.text) == ("info", "$3.00 for 10 requests, 4 of them without a price")


def test_cost_of_requests_that_all_have_no_price_is_unknown() -> None:
    row = spend_row("today", Spent(events=4, unpriced_events=4, usd=Decimal(0)), NOW)
    assert (row.text, row.facts["usd"]) == ("unknown for 4 requests, 4 of them without a price", None)


def test_no_requests_are_no_spend_of_zero() -> None:
    row = spend_row("today", Spent(events=0, unpriced_events=0, usd=Decimal(0)), NOW)
    assert (row.level, row.text, row.facts) == ("none", "no requests", {"events": 0})


@pytest.mark.parametrize(
    ("spent", "known", "level", "text"),
    [
        pytest.param(20, None, "ok", "$20.00 of $100.00 spent (20%)", id="kept, as far as anybody knows"),
        pytest.param(50, None, "info", "50 % spent: $50.00 of $100.00 spent (50%)", id="half is spent"),
        pytest.param(80, None, "warning", "80 % spent: $80.00 of $100.00 spent (80%)", id="most is spent"),
        pytest.param(
            120, (110, 130, 140), "critical",
            "100 % spent: $120.00 of $100.00 spent (120%), $130.00 (80 %: $110.00 to $140.00) projected",
            id="crossed",
        ),
        pytest.param(
            20, (101, 110, 120), "warning",
            "will be crossed: $20.00 of $100.00 spent (20%), $110.00 (80 %: $101.00 to $120.00) projected",
            id="will be crossed",
        ),
        pytest.param(
            20, (90, 95, 101), "info",
            "at risk: $20.00 of $100.00 spent (20%), $95.00 (80 %: $90.00 to $101.00) projected", id="at risk",
        ),
        pytest.param(
            20, (80, 90, 100), "ok", "$20.00 of $100.00 spent (20%), $90.00 (80 %: $80.00 to $100.00) projected",
            id="will be kept",
        ),
    ],
)  # fmt: skip
def test_budget_is_as_grave_as_what_its_event_is_told_with(
    spent: int, known: tuple[int, int, int] | None, level: str, text: str
) -> None:
    row = budget_row([standing(spent)], {TOTAL: forecast(*known)} if known else {})
    assert (row.level, row.about, row.text) == (level, "total, month", text)


def test_forecast_on_low_history_foretells_only_what_is_certain() -> None:
    assert budget_row([standing(20)], {TOTAL: forecast(99, 110, 120, low_history=True)}).level == "ok"
    assert budget_row([standing(20)], {TOTAL: forecast(101, 110, 120, low_history=True)}).level == "warning"


def test_forecast_by_the_pace_of_hours_foretells_nothing() -> None:
    pace = forecast(101, 110, 120, low_history=True, method=Method.RUN_RATE)
    assert budget_row([standing(20)], {TOTAL: pace}).level == "ok"


def test_forecast_of_the_month_is_none_of_a_day() -> None:
    row = budget_row([standing(20, period=Period.DAY)], {TOTAL: forecast(101, 110, 120)})
    assert (row.level, row.text, row.facts["month_end_usd"]) == ("ok", "$20.00 of $100.00 spent (20%)", None)


def test_budget_of_nothing_is_spent_whatever_was() -> None:
    row = budget_row([standing(20, budget=0)], {})
    assert (row.level, row.text) == ("critical", "100 % spent: $20.00 of $0.00 spent (100%)")


def test_budget_of_each_team_shows_the_worst_and_counts_who_is_over() -> None:
    teams = [Scope(ScopeKind.TEAM, name) for name in ("a", "b", "c", "d")]
    found = [standing(spent, scope=team) for spent, team in zip((60, 110, 150, 10), teams, strict=True)]
    row = budget_row(found, {})
    assert row.about == "team:c, month"
    assert row.text == "100 % spent: $150.00 of $100.00 spent (150%); the worst of several, 2 over"
    assert row.facts["over"] == 2


def test_team_that_will_be_over_is_worse_than_one_that_spent_more() -> None:
    teams = [Scope(ScopeKind.TEAM, name) for name in ("a", "b")]
    found = [standing(60, scope=teams[0]), standing(30, scope=teams[1])]
    row = budget_row(found, {teams[1]: forecast(120, 130, 140)})
    assert (row.about, row.text.rpartition("; ")[2]) == ("team:b, month", "the worst of several")


USD = Decimal(5)


def checked(minutes: int) -> Checked:
    return Checked(NOW - timedelta(minutes=minutes), timedelta(minutes=5))


def test_budget_of_each_that_was_checked_too_long_ago_is_unknown_save_what_is_over_already() -> None:
    row = told_row("user:*, day", USD, [], checked(10), NOW)
    assert (row.level, row.text) == ("unknown", "nobody had spent half of $5.00, checked 10 min ago (every 5 min)")
    over, half = (Told(event, 1, "u2", USD) for event in (BudgetEvent.ALL_SPENT, BudgetEvent.HALF_SPENT))
    assert told_row("user:*, day", USD, [over], checked(10), NOW).level == "critical"
    assert told_row("user:*, day", USD, [half], checked(10), NOW).level == "unknown"


def test_budget_of_each_is_as_it_was_when_all_of_them_were_added_up() -> None:
    told = [Told(BudgetEvent.HALF_SPENT, 12, "u2", Decimal(3)), Told(BudgetEvent.ALL_SPENT, 3, "u2", Decimal(13))]
    row = told_row("user:*, day", USD, told, checked(3), NOW)
    assert (row.level, row.text) == ("critical", "100 % spent: 3 of $5.00 each, the most u2 $13.00; checked 3 min ago")
    assert row.facts["keys"] == {BudgetEvent.HALF_SPENT: 12, BudgetEvent.ALL_SPENT: 3}


def test_budget_of_each_of_which_nobody_spent_half_is_kept() -> None:
    row = told_row("user:*, day", USD, [], checked(3), NOW)
    assert (row.level, row.text) == ("ok", "nobody had spent half of $5.00, checked 3 min ago")


def test_budget_of_each_that_nobody_checked_is_unknown() -> None:
    row = told_row("user:*, day", USD, [], Checked(None, timedelta(minutes=5)), NOW)
    assert (row.level, row.text) == ("unknown", "never checked: `watchkeeper run check-budgets`")
