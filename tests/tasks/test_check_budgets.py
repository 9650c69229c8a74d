"""Budgets of all scopes on real roll-ups: what is told, and that it is told once."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
import sqlalchemy as sa
from pydantic import ValidationError

from tasks.check_budgets import CheckedBudgets, check_budgets
from tasks.settings import Budget, Price, Settings
from tasks.stores.tables import budget_events, outbox, quality_checks, usage_daily_users, usage_hourly
from tests.hand_made import DAY, HOUR, MIDNIGHT, MINUTE, NOW, event, hour_row, insert, load, rows_of, spend_daily


def check(engine: sa.Engine, settings: Settings, *budgets: dict[str, Any], now: datetime = NOW) -> CheckedBudgets:
    configured = settings.model_copy(update={"budgets": tuple(Budget(**budget) for budget in budgets)})
    return check_budgets.fn(engine, configured, now)


def spent(done: CheckedBudgets) -> dict[str, Decimal]:
    return {str(standing.scope): standing.spent_usd for standing in done.standings}


def test_month_that_will_cross_its_budget_is_told_once_with_the_day(engine: sa.Engine, settings: Settings) -> None:
    spend_daily(engine, 28)  # 12 $ a day, 48 $ of March by now
    budget = {"monthly_usd": 200}
    assert check(engine, settings, budget).told == ["Budget of $200.00 a month, total: will be crossed"]
    assert check(engine, settings, budget).told == check(engine, settings, budget, now=NOW + HOUR).told == []
    [message] = rows_of(engine, outbox)
    assert (message.tier, "exhausted on 2026-03-18" in str(message.payload)) == ("warning", True)
    assert [(row.event, row.spent_usd, str(row.exhausted_on)) for row in rows_of(engine, budget_events)] == [
        ("will be crossed", 48, "2026-03-18")  # 48 + 12 * 12 on the 17th, + 8 of the 18th
    ]


def test_nothing_is_foretold_while_a_critical_check_of_the_data_fails(engine: sa.Engine, settings: Settings) -> None:
    spend_daily(engine, 28)
    row = {"suite": "rollups", "name": "roll-ups equal their events", "severity": "critical", "detail": None}
    insert(engine, quality_checks, [{**row, "as_of": NOW - HOUR, "outcome": "failed"}])
    done = check(engine, settings, {"monthly_usd": 200}, {"monthly_usd": 60})
    assert done.told == ["Budget of $60.00 a month, total: 80 % spent"]  # 48 of 60
    assert done.held == "data check failed: rollups: roll-ups equal their events"
    insert(engine, quality_checks, [{**row, "as_of": NOW, "outcome": "passed"}])
    assert "Budget of $200.00 a month, total: will be crossed" in check(engine, settings, {"monthly_usd": 200}).told


def test_of_several_events_at_once_the_gravest_is_told(engine: sa.Engine, settings: Settings) -> None:
    insert(engine, usage_hourly, [hour_row(HOUR, "100")])
    assert check(engine, settings, {"monthly_usd": 90}).told == ["Budget of $90.00 a month, total: 100 % spent"]
    assert {row.event for row in rows_of(engine, budget_events)} == {"50 % spent", "80 % spent", "100 % spent"}
    assert [row.tier for row in rows_of(engine, outbox)] == ["critical"]


def test_next_period_is_told_anew(engine: sa.Engine, settings: Settings) -> None:
    insert(engine, usage_hourly, [hour_row(HOUR, "6"), hour_row(HOUR - DAY, "6")])
    budget = {"daily_usd": 10}
    assert check(engine, settings, budget).told == ["Budget of $10.00 a day, total: 50 % spent"]
    assert check(engine, settings, budget, now=NOW + DAY).told == ["Budget of $10.00 a day, total: 50 % spent"]
    assert len(rows_of(engine, outbox)) == 2


def test_budget_that_is_changed_is_told_anew_by_its_new_amount(engine: sa.Engine, settings: Settings) -> None:
    insert(engine, usage_hourly, [hour_row(HOUR, "100")])
    assert check(engine, settings, {"monthly_usd": 90}).told == ["Budget of $90.00 a month, total: 100 % spent"]
    assert check(engine, settings, {"monthly_usd": 500}).told == []
    insert(engine, usage_hourly, [hour_row(2 * HOUR, "400")])
    for told in (["Budget of $500.00 a month, total: 100 % spent"], []):
        assert check(engine, settings, {"monthly_usd": 500}).told == told
    assert len(rows_of(engine, outbox)) == 2


def test_what_is_loaded_after_a_periods_end_is_told_of_it_for_some_hours(engine: sa.Engine, settings: Settings) -> None:
    budget = {"daily_usd": 10}
    insert(engine, usage_hourly, [hour_row(NOW - MIDNIGHT + HOUR, "9")])
    assert check(engine, settings, budget, now=MIDNIGHT - MINUTE).told == ["Budget of $10.00 a day, total: 80 % spent"]
    insert(engine, usage_hourly, [hour_row(NOW - MIDNIGHT + HOUR, "2", release="late")])
    for told in (["Budget of $10.00 a day, total: 100 % spent"], []):
        found = check(engine, settings, budget, now=MIDNIGHT + 2 * HOUR)
        assert (found.told, spent(found)) == (told, {"total": 0})
    assert "in the day that ended on 2026-03-05 at 00:00 UTC" in str(rows_of(engine, outbox)[0].payload)
    insert(engine, usage_hourly, [hour_row(NOW - MIDNIGHT + 5 * DAY, "20")])
    assert check(engine, settings, budget, now=MIDNIGHT - 4 * DAY + 6 * HOUR).told == []


def test_budget_of_each_leaves_out_those_with_their_own_and_what_has_no_name(
    engine: sa.Engine, settings: Settings
) -> None:
    rows = [hour_row(HOUR, usd, team_id=team) for usd, team in (("6", "core"), ("7", "edge"), ("8", ""))]
    insert(engine, usage_hourly, rows)
    each, own = ({"scope": "team", "key": key, "daily_usd": usd} for key, usd in (("*", 10), ("core", 5)))
    done = check(engine, settings, each, own, {**own, "daily_usd": None, "monthly_usd": 50})
    assert [(str(standing.scope), standing.budget_usd) for standing in done.standings] == [
        ("team:edge", 10), ("team:core", 5), ("team:core", 50)
    ]  # fmt: skip
    assert sorted(done.told) == ["Budget of $10.00 a day, team:edge: 50 % spent",
                                 "Budget of $5.00 a day, team:core: 100 % spent"]  # fmt: skip


def spend_of_teams(engine: sa.Engine, **dollars: str) -> None:
    insert(engine, usage_hourly, [hour_row(HOUR, usd, team_id=team) for team, usd in dollars.items()])


def test_many_keys_that_come_to_the_same_at_once_are_one_message_and_each_is_told_once(
    engine: sa.Engine, settings: Settings
) -> None:
    spend_of_teams(engine, core="11", edge="12", lab="6", ops="1")
    each = {"scope": "team", "key": "*", "daily_usd": 10}
    assert check(engine, settings, each).told == [
        "Budget of $10.00 a day, 2 teams: 100 % spent", "Budget of $10.00 a day, team:lab: 50 % spent"
    ]  # fmt: skip
    assert check(engine, settings, each, now=NOW + MINUTE).told == []
    many, one = rows_of(engine, outbox)
    assert (many.tier, one.tier) == ("critical", "info")
    text = str(many.payload)
    assert text.index("edge: $12.00 spent (120%)") < text.index("core: $11.00 spent (110%)")
    insert(engine, usage_hourly, [hour_row(2 * HOUR, "10", team_id=team) for team in ("lab", "ops")])
    assert check(engine, settings, each, now=NOW + 2 * MINUTE).told == ["Budget of $10.00 a day, 2 teams: 100 % spent"]
    assert len(rows_of(engine, outbox)) == 3


def test_negotiated_prices_are_those_that_budgets_are_projected_by(engine: sa.Engine, settings: Settings) -> None:
    now = datetime(2025, 6, 20, 12, tzinfo=UTC)  # o3 became five times cheaper in the book on 10 June 2025
    contract = Price(contract="c", vendor="openai", model="o3", input=Decimal(10), output=Decimal(40))
    usage = {"vendor": "openai", "model": "o3", "input_tokens": 1_000_000, "output_tokens": 1_000_000}
    own = settings.model_copy(update={"prices": (contract,)})
    load(engine, [event(number * DAY, now=now, **usage) for number in range(1, 16)], at=now, overrides=own.overrides)
    [standing] = check(engine, own, {"monthly_usd": 10_000}, now=now).standings
    assert standing.projection is not None
    assert float(standing.projection.month_end.expected) == pytest.approx(15 * 50 + 11 * 50)  # 50 $ a day, at 12:00


@pytest.mark.parametrize(
    ("budget", "expected"),
    [
        pytest.param({"daily_usd": 100}, {"total": 1 + 2 + 4}, id="everything"),
        pytest.param({"scope": "team", "key": "core", "daily_usd": 100}, {"team:core": 1 + 2}, id="a team"),
        pytest.param({"scope": "team", "key": "*", "daily_usd": 100}, {"team:core": 3, "team:edge": 4}, id="each team"),
        pytest.param({"scope": "feature", "key": "chat", "daily_usd": 100}, {"feature:chat": 2}, id="a feature"),
        pytest.param({"scope": "feature", "key": "none", "daily_usd": 100}, {"feature:none": 0}, id="one that is idle"),
        pytest.param(
            {"scope": "model", "key": "openai/gpt-4o", "daily_usd": 100}, {"model:openai/gpt-4o": 4}, id="a model"
        ),
        pytest.param({"scope": "user", "key": "*", "daily_usd": 10}, {"user:ann": 5, "user:bob": 6}, id="each user"),
        pytest.param({"scope": "user", "key": "*", "daily_usd": 12}, {"user:bob": 6}, id="each who spent half"),
        pytest.param({"scope": "user", "key": "ann", "monthly_usd": 100}, {"user:ann": 5 + 7}, id="a user's month"),
    ],
)
def test_budget_counts_its_own_scope(
    engine: sa.Engine, settings: Settings, budget: dict[str, Any], expected: dict[str, int]
) -> None:
    rows = [
        hour_row(HOUR, "1", team_id="core"), hour_row(HOUR, "2", team_id="core", feature="chat"),
        hour_row(2 * HOUR, "4", team_id="edge", model="gpt-4o"), hour_row(DAY, "50", team_id=None),
    ]  # fmt: skip
    insert(engine, usage_hourly, rows)
    sums = {"events": 1, "unpriced_events": 0, "input_tokens": 0, "output_tokens": 0}
    users = [("ann", MIDNIGHT, 5), ("bob", MIDNIGHT, 6), ("ann", MIDNIGHT - DAY, 7), ("ann", MIDNIGHT - 9 * DAY, 8)]
    insert(engine, usage_daily_users, [{"user_id": u, "day": d, "cost_usd": c, **sums} for u, d, c in users])
    assert spent(check(engine, settings, budget)) == expected


def test_period_is_that_of_the_settings_zone(engine: sa.Engine, settings: Settings) -> None:
    tokyo = settings.model_copy(update={"month_timezone": "Asia/Tokyo"})
    midnight = MIDNIGHT - timedelta(hours=9)  # of the same day in Tokyo, UTC
    insert(engine, usage_hourly, [hour_row(NOW - midnight, "1"), hour_row(NOW - midnight + HOUR, "2")])
    assert spent(check(engine, tokyo, {"daily_usd": 10})) == {"total": 1}


@pytest.mark.parametrize(
    ("budget", "complaint"),
    [
        pytest.param({}, "either monthly_usd or daily_usd", id="no amount"),
        pytest.param({"monthly_usd": 1, "daily_usd": 1}, "either monthly_usd or daily_usd", id="two"),
        pytest.param({"monthly_usd": 0}, "above 0", id="nothing"),
        pytest.param({"scope": "team", "monthly_usd": 1}, "needs its key", id="a team without its name"),
        pytest.param({"monthly_usd": "1e-400"}, "no more than 12 decimal places", id="less than can be kept"),
        pytest.param({"scope": "team", "key": "a\0", "monthly_usd": 1}, "pattern", id="a name that cannot be kept"),
        pytest.param({"key": "x", "monthly_usd": 1}, "needs its key, the total has none", id="a total with one"),
    ],
)
def test_budget_that_is_none_is_refused(budget: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ValidationError, match=complaint):
        Budget(**budget)


def test_two_budgets_of_the_same_are_refused(settings: Settings) -> None:
    team: dict[str, Any] = {"scope": "team", "key": "core"}
    two_periods = (Budget(**team, monthly_usd=9), Budget(**team, daily_usd=1))
    configured = type(settings)
    configured(budgets=two_periods)
    with pytest.raises(ValidationError, match="there twice: team daily core"):
        configured(budgets=(*two_periods, Budget(**team, daily_usd=2)))
