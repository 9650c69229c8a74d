from __future__ import annotations

from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import sqlalchemy as sa

from ops.cost.projection import DaySpend, Method, Projection, Spread
from ops.cost.scopes import TOTAL, Scope, ScopeKind
from ops.window import Window, floor_day
from tasks import project_costs
from tasks.stores import costs
from tasks.stores.tables import cost_projections, usage_hourly
from tests.hand_made import DAY, HOUR, MOMENT, NOW, event, hour_row, insert, load, rows_of

MIDNIGHT = floor_day(NOW)
PER_INPUT, PER_OUTPUT = Decimal("0.00000015"), Decimal("0.0000006")  # gpt-4o-mini


def daily(engine: sa.Engine, now: datetime = NOW) -> list[DaySpend]:
    with engine.connect() as connection:
        days = project_costs.daily(connection, "default", now, Window(now, now))
    return days[TOTAL].history


def at(when: datetime, cost: str, **fields: Any) -> dict[str, Any]:
    return hour_row(NOW - when, cost, **fields)


def test_daily_adds_up_full_days(engine: sa.Engine) -> None:
    monday, wednesday = MIDNIGHT - 3 * DAY, MIDNIGHT - DAY
    rows = [
        at(monday, "1"),
        at(monday + 23 * HOUR, "4"),
        at(wednesday, "8"),
        at(wednesday, "16", model="gpt-4o"),
        at(MIDNIGHT, "100"),
        at(wednesday, "100", tenant_id="other"),
    ]
    insert(engine, usage_hourly, rows)
    assert daily(engine) == [
        DaySpend(date(2026, 3, 2), Decimal(1 + 4)),
        DaySpend(date(2026, 3, 3), Decimal(0)),
        DaySpend(date(2026, 3, 4), Decimal(8 + 16)),
    ]


def test_daily_ends_with_a_gap_where_the_records_do(engine: sa.Engine) -> None:
    insert(engine, usage_hourly, [at(MIDNIGHT - 3 * DAY, "1")])
    assert [entry.cost_usd for entry in daily(engine)] == [1, None, None]


def test_daily_goes_back_92_days(engine: sa.Engine) -> None:
    insert(engine, usage_hourly, [at(MIDNIGHT - 92 * DAY, "1"), at(MIDNIGHT - 92 * DAY - HOUR, "1")])
    assert daily(engine)[0].day == (MIDNIGHT - 92 * DAY).date()


def test_daily_of_nothing_is_nothing(engine: sa.Engine) -> None:
    insert(engine, usage_hourly, [hour_row(HOUR, "1")])
    assert daily(engine) == []


def test_spent_is_exact_to_the_microsecond(engine: sa.Engine) -> None:
    load(engine, [event(before) for before in (timedelta(0), MOMENT, HOUR, HOUR + MOMENT)])
    load(engine, [event(MOMENT)], tenant="other")
    with engine.connect() as connection:
        assert costs.spent(connection, "default", Window(NOW - HOUR, NOW)) == 2 * (10 * PER_INPUT + PER_OUTPUT)
        assert costs.spent(connection, "default", Window(NOW, NOW)) == 0


def test_hours_have_their_shares_of_days_that_each_weigh_the_same(engine: sa.Engine) -> None:
    cheap, dear = MIDNIGHT - DAY, MIDNIGHT - 28 * DAY
    rows = [
        at(cheap + HOUR, "1"),
        at(cheap + 5 * HOUR, "3", feature="search"),
        at(dear + 5 * HOUR, "900", feature="search"),
        at(dear + 23 * HOUR, "100"),
        at(dear - HOUR, "100"),
        at(MIDNIGHT, "100"),
        at(cheap, "100", tenant_id="other"),
        at(cheap - DAY, "0", feature="free"),
    ]
    insert(engine, usage_hourly, rows)
    with engine.connect() as connection:
        found = costs.scope_hours(connection, "default", NOW)
    whole = [0.0] * 24
    whole[1], whole[5], whole[23] = 1 / 4, 3 / 4 + 900 / 1000, 100 / 1000
    assert found[TOTAL] == found[Scope(ScopeKind.MODEL, "openai/gpt-4o-mini")] == pytest.approx(whole)
    assert found[Scope(ScopeKind.FEATURE, "search")] == [2 if hour == 5 else 0 for hour in range(24)]
    assert len(found) == 3


def test_totals_count_events_and_those_without_a_price(engine: sa.Engine) -> None:
    rows = [hour_row(HOUR, "2", events=5, unpriced_events=1), hour_row(2 * HOUR, "3", events=7, unpriced_events=2)]
    outside = [hour_row(timedelta(0), "100"), hour_row(3 * HOUR, "100"), hour_row(HOUR, "100", tenant_id="other")]
    insert(engine, usage_hourly, [*rows, *outside])
    with engine.connect() as connection:
        assert costs.totals(connection, "default", Window(NOW - 2 * HOUR, NOW)) == (5 + 7, 1 + 2, 2 + 3)
        assert costs.totals(connection, "nobody", Window(NOW - DAY, NOW)) == (0, 0, 0)


def projection(zone: str = "UTC", **changes: Any) -> Projection:
    month, week = (Spread(*map(Decimal, range(first, first + 5))) for first in (1, 11))
    usual: dict[str, Any] = {
        "month": Window.month_of(NOW, ZoneInfo(zone)), "spent_usd": Decimal(0), "month_end": month, "seven_days": week,
        "days": (), "level_usd_per_day": Decimal(6), "method": Method.WEEKDAY_LEVEL, "history_days": 30,
        "low_history": False, "change_point": None,
    }  # fmt: skip
    return Projection(**{**usual, **changes})


def save(engine: sa.Engine, made: Projection, now: datetime = NOW, gaps: int = 0, blocked: str | None = None) -> None:
    flaws = costs.Flaws({TOTAL: gaps}, blocked)
    with engine.begin() as connection:
        costs.save_projections(connection, "default", {TOTAL: made, Scope(ScopeKind.TEAM, "x"): made}, now, flaws)


def test_projections_made_again_for_the_same_time_replace_the_first(engine: sa.Engine) -> None:
    save(engine, projection())
    save(engine, projection(spent_usd=Decimal("9.5"), method=Method.RUN_RATE, low_history=True), gaps=7, blocked="why")
    save(engine, projection(), NOW + HOUR)
    rows = rows_of(engine, cost_projections)
    assert [(row.as_of, row.scope, row.key) for row in rows] == [
        (NOW, "team", "x"), (NOW, "total", ""), (NOW + HOUR, "team", "x"), (NOW + HOUR, "total", "")
    ]  # fmt: skip
    team, first, second = rows[0], rows[1], rows[3]
    assert team.unpriced_events == 0
    assert (first.spent_usd, first.method, first.low_history, first.unpriced_events) == (9.5, "run-rate", True, 7)
    assert (first.blocked_by, second.blocked_by) == ("why", None)
    month = [second.month_end_usd, second.low80_usd, second.high80_usd, second.low95_usd, second.high95_usd]
    week = [second.week_usd, second.week_low80_usd, second.week_high80_usd, second.week_low95_usd]
    assert [second.spent_usd, *month, *week, second.week_high95_usd] == [0, *range(1, 6), *range(11, 16)]


@pytest.mark.parametrize("zone", ["UTC", "Pacific/Kiritimati", "Europe/Berlin", "America/Los_Angeles"])
def test_projection_is_kept_under_the_first_of_its_month(engine: sa.Engine, zone: str) -> None:
    save(engine, projection(zone))
    assert {row.month for row in rows_of(engine, cost_projections)} == {date(2026, 3, 1)}
