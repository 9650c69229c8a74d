from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
import sqlalchemy as sa

from ops.cost.breakdown import CauseShares
from ops.cost.projection import Method
from ops.cost.report import Dimension
from ops.cost.scopes import Scope, ScopeKind
from ops.monitoring.rules.spend import Drivers
from ops.window import Window, floor_day
from tasks.project_costs import ProjectedCosts, daily, project_costs
from tasks.report_costs import Asked, report_costs
from tasks.settings import Settings
from tasks.show_projection import report_markdown
from tasks.stores.measures import spend
from tasks.stores.tables import cost_projections, ingest_sources, quality_checks, usage_hourly
from tasks.tabulate_costs import summary
from tests.hand_made import DAY, HOUR, MIDNIGHT, MINUTE, NOW, event, hour_row, insert, load, rows_of, spend_daily

INPUT, OUTPUT = Decimal("0.00000015"), Decimal("0.0000006")  # USD per token of gpt-4o-mini


def project(engine: sa.Engine, settings: Settings, now: datetime = NOW, **changes: Any) -> ProjectedCosts:
    return project_costs.fn(engine, settings.model_copy(update=changes), now)


def spend_today(engine: sa.Engine, dollars: int, now: datetime = NOW) -> None:
    """Make a request that costs so many dollars, a minute before `now`."""
    tokens = int((dollars - OUTPUT) / INPUT)
    load(engine, [event(MINUTE, now=now, input_tokens=tokens, output_tokens=1)])


def test_projection_of_a_steady_month_is_arithmetic(engine: sa.Engine, settings: Settings) -> None:
    spend_daily(engine, 28)
    spend_today(engine, 6)
    projection = project(engine, settings).projection
    assert projection is not None
    assert projection.spent_usd == pytest.approx(4 * 12 + 6, abs=Decimal("0.001"))  # the 1st to the 4th, and today
    # What a day costs, it costs at 9 o'clock: nothing of today is to come.
    assert float(projection.month_end.expected) == pytest.approx(4 * 12 + 6 + 26 * 12, abs=0.01)
    assert (projection.level_usd_per_day, projection.history_days) == (12, 28)
    assert (
        projection.month_end.low95
        < projection.month_end.low80
        < projection.month_end.expected
        < projection.month_end.high80
        < projection.month_end.high95
    )


def test_causes_of_the_week_are_those_of_a_report_and_of_the_alert(engine: sa.Engine, settings: Settings) -> None:
    dear = [hour_row(HOUR + day * DAY, "10", events=10, tokens=100, feature="ask") for day in range(15)]
    cheap = [hour_row(HOUR + day * DAY, "2", events=90, tokens=900, model="o3-mini", feature="new") for day in range(8)]
    insert(engine, usage_hourly, [*dear, *cheap[1:]])
    week = project(engine, settings).week
    assert week is not None
    assert week.causes == CauseShares(Decimal(7 * 2), Decimal(0), Decimal(0))  # the new feature alone
    spans = {"window": Window(MIDNIGHT - 7 * DAY, MIDNIGHT), "before": Window(MIDNIGHT - 14 * DAY, MIDNIGHT - 7 * DAY)}
    for by in (Dimension.MODEL, Dimension.FEATURE):
        assert report_costs(engine, settings, Asked(by=by, **spans), NOW).causes == week.causes
    with engine.begin() as connection:
        connection.execute(sa.delete(usage_hourly).where(usage_hourly.c.feature == "new"))
    insert(engine, usage_hourly, cheap[:1])
    with engine.connect() as connection:
        samples = {sample.key: sample for sample in spend(connection, "default", NOW, settings.alerting)}
    assert samples["total"].drivers == Drivers(Decimal(2), Decimal(0), Decimal(0))


def test_projection_is_kept_and_replaced_when_repeated(engine: sa.Engine, settings: Settings) -> None:
    spend_daily(engine, 28)
    project(engine, settings)
    spend_today(engine, 6)
    again = project(engine, settings).projection
    assert again is not None
    [row] = rows_of(engine, cost_projections, cost_projections.c.scope == "total")
    assert (row.as_of, row.spent_usd, row.low_history) == (NOW, again.spent_usd, False)
    assert (row.low80_usd, row.high95_usd, row.method) == (
        again.month_end.low80,
        again.month_end.high95,
        Method.WEEKDAY_LEVEL,
    )
    project(engine, settings, NOW + HOUR)
    assert len(rows_of(engine, cost_projections, cost_projections.c.scope == "total")) == 2


def test_projection_of_nothing_is_nothing(engine: sa.Engine, settings: Settings) -> None:
    projected = project(engine, settings)
    assert (projected.projection, projected.history, projected.today_usd, projected.parts) == (None, [], 0, {})
    assert rows_of(engine, cost_projections) == []


def test_projection_leaves_out_what_comes_after_now_and_other_tenants(engine: sa.Engine, settings: Settings) -> None:
    spend_daily(engine, 28)
    spend_daily(engine, 28, "1000", tenant_id="other")
    spend_daily(engine, 2, "1000", until=MIDNIGHT + 3 * DAY)
    load(engine, [event(timedelta(0)), event(-HOUR)])
    assert project(engine, settings).projection.spent_usd == 4 * 12  # type: ignore[union-attr]


def test_projection_on_data_that_failed_its_checks_says_so_until_they_pass(
    engine: sa.Engine, settings: Settings
) -> None:
    spend_daily(engine, 28)
    row = {
        "suite": "prices",
        "name": "cost is price times tokens",
        "severity": "critical",
        "detail": "gpt-4o: 3 events",
    }
    insert(engine, quality_checks, [{**row, "as_of": NOW - HOUR, "outcome": "failed"}])
    reason = "data check failed: prices: cost is price times tokens (gpt-4o: 3 events)"
    projected = project(engine, settings)
    assert {each.blocked_by for each in rows_of(engine, cost_projections)} == {reason}
    assert summary(projected).endswith(f"; do not rely on it: {reason}")
    assert f"**Do not rely on it:** {reason}." in report_markdown(projected, NOW)
    insert(engine, quality_checks, [{**row, "as_of": NOW, "outcome": "passed"}])
    again = project(engine, settings)
    assert {each.blocked_by for each in rows_of(engine, cost_projections)} == {None}
    assert "rely" not in summary(again) + report_markdown(again, NOW)


def test_projection_names_events_without_a_price(engine: sa.Engine, settings: Settings) -> None:
    spend_daily(engine, 28)
    load(engine, [event(2 * HOUR, model="nobody-knows-it") for _ in range(3)] + [event(2 * HOUR)])
    projected = project(engine, settings)
    assert (projected.unpriced_events, projected.month_events) == (3, 4 + 3 + 1)
    load(engine, [event(DAY, model="nobody-knows-it", feature="search"), event(DAY, feature="search")])
    load(engine, [event(5 * DAY, model="nobody-knows-it", feature="search")])  # of February
    project(engine, settings)
    assert {(row.key, row.unpriced_events) for row in rows_of(engine, cost_projections)} == {
        ("", 3 + 1), ("search", 1), ("openai/gpt-4o-mini", 0)
    }  # fmt: skip


@pytest.mark.parametrize(
    ("zone", "now", "spent"),
    [
        # 1 $ an hour, all the time
        pytest.param("UTC", datetime(2026, 3, 1, 6, tzinfo=UTC), 6, id="UTC: since midnight"),
        pytest.param("Asia/Tokyo", datetime(2026, 2, 28, 18, tzinfo=UTC), 3, id="Tokyo: March began at 15:00 UTC"),
        pytest.param("Asia/Tokyo", datetime(2026, 3, 1, 6, tzinfo=UTC), 9 + 6, id="Tokyo: and goes on in March"),
        pytest.param("America/New_York", datetime(2026, 3, 1, 3, tzinfo=UTC), 28 * 24 - 5 + 3, id="New York: February"),
    ],
)
def test_month_is_that_of_the_settings_zone(
    engine: sa.Engine, settings: Settings, zone: str, now: datetime, spent: int
) -> None:
    hours = int((now - datetime(2026, 1, 20, tzinfo=UTC)) / HOUR)
    insert(engine, usage_hourly, [hour_row(NOW - now + number * HOUR, "1") for number in range(1, hours + 1)])
    today = int((now - floor_day(now)) / HOUR)
    each = {"input_tokens": int(1 / INPUT), "output_tokens": 0, "now": now}
    load(engine, [event(number * HOUR, **each) for number in range(1, today + 1)])
    projection = project(engine, settings, now, month_timezone=zone).projection
    assert projection is not None
    assert float(projection.spent_usd) == pytest.approx(spent, abs=0.01)


def test_parts_are_projected_beside_the_whole(engine: sa.Engine, settings: Settings) -> None:
    spend_daily(engine, 28, "6", feature="search", team_id="core")
    spend_daily(engine, 28, "4", feature="chat", vendor="anthropic", model="claude-sonnet-4-5")
    spend_daily(engine, 1, "9", until=MIDNIGHT - 70 * DAY, feature="given up")
    projected = project(engine, settings)
    by_name = {str(scope): float(part.month_end.expected) for scope, part in projected.parts.items()}
    day_left = 26 + 4  # of 31: today's 9 o'clock is over
    assert by_name == pytest.approx({
        "feature:search": 6 * day_left, "feature:chat": 4 * day_left, "team:core": 6 * day_left,
        "model:openai/gpt-4o-mini": 6 * day_left, "model:anthropic/claude-sonnet-4-5": 4 * day_left,
    }, rel=0.01)  # fmt: skip
    kept = {(row.scope, row.key) for row in rows_of(engine, cost_projections)}
    assert kept == {(scope.kind, scope.key) for scope in projected.parts} | {("total", "")}


@pytest.mark.uncounted
@pytest.mark.parametrize("hour", range(0, 24, 4))
@pytest.mark.parametrize("minute", [1, 29, 59])
def test_steady_spend_at_one_hour_of_the_day_is_projected_the_same_all_day(
    engine: sa.Engine, settings: Settings, hour: int, minute: int
) -> None:
    now = MIDNIGHT + hour * HOUR + minute * MINUTE
    each = {"input_tokens": int(10 / INPUT), "output_tokens": 0, "now": now}
    early, late = ([MIDNIGHT - number * DAY + at * HOUR for number in range(28)] for at in (4, 23))
    events = [event(now - when, feature=name, **each) for name, days in (("night", early), ("eve", late))
              for when in days if when < now]  # fmt: skip
    load(engine, events, at=now)
    projected = project(engine, settings, now)
    assert projected.projection is not None
    assert float(projected.projection.month_end.expected) == pytest.approx(31 * 20, rel=1e-3)
    parts = {scope.key: float(part.month_end.expected) for scope, part in projected.parts.items()}
    assert parts["night"] == pytest.approx(31 * 10, rel=1e-3)
    assert parts["eve"] == pytest.approx(31 * 10, rel=1e-3)


def history(engine: sa.Engine, settings: Settings, scope: str = "total", now: datetime = NOW) -> list[Decimal | None]:
    with engine.connect() as connection:
        days = daily(
            connection, settings.tenant, now, Window.month_of(now, settings.zone), overrides=settings.overrides
        )
    return next([day.cost_usd for day in known.history] for name, known in days.items() if str(name) == scope)


def test_day_without_a_record_among_others_spent_nothing_and_so_did_a_part_without_one(
    engine: sa.Engine, settings: Settings
) -> None:
    rows = [hour_row(number * DAY, "5", feature="often") for number in range(1, 9) if number != 4]
    insert(engine, usage_hourly, [*rows, hour_row(8 * DAY, "1", feature="seldom")])
    assert history(engine, settings, "feature:often") == [5, 5, 5, 5, 0, 5, 5, 5]
    assert history(engine, settings, "feature:seldom") == [1, 0, 0, 0, 0, 0, 0, 0]


def test_days_behind_the_last_record_and_long_stretches_are_gaps(engine: sa.Engine, settings: Settings) -> None:
    insert(engine, usage_hourly, [hour_row(number * DAY, "5") for number in (2, 8, 9)])
    assert history(engine, settings) == [5, 5, *[None] * 5, 5, None]


@pytest.mark.parametrize(
    ("since", "loaded", "expected"),
    [
        pytest.param(9 * DAY, timedelta(0), [5, *[0] * 8], id="watched all the time, and loaded today"),
        pytest.param(3.5 * DAY, timedelta(0), [5, *[None] * 5, 0, 0, 0], id="only the days it was watched on"),
        pytest.param(9 * DAY, 2 * DAY, [5, *[0] * 6, None, None], id="silent for two days"),
    ],
)
def test_days_that_a_source_was_read_beyond_spent_nothing(
    engine: sa.Engine, settings: Settings, since: timedelta, loaded: timedelta, expected: list[int | None]
) -> None:
    insert(engine, usage_hourly, [hour_row(9 * DAY, "5")])
    tried = {"kind": "jsonl", "last_tried_at": NOW, "silent_after_minutes": 60, "failures": 0}
    days = {"first_tried_at": MIDNIGHT - since, "last_success_at": MIDNIGHT - loaded}
    events, bills = {"newest_event_at": NOW - 9 * DAY}, {"newest_event_at": None, "last_success_at": NOW}
    insert(
        engine,
        ingest_sources,
        [{"source": "log", **tried, **days, **events}, {"source": "bill", **tried, **days, **bills}],
    )
    assert history(engine, settings) == expected


def test_traffic_on_weekdays_alone_is_projected_on_weekdays_alone(engine: sa.Engine, settings: Settings) -> None:
    now = datetime(2026, 6, 1, 12, tzinfo=UTC)  # a Monday; this June has 22 weekdays
    days = [now - number * DAY for number in range(1, 43)]
    insert(engine, usage_hourly, [hour_row(NOW - day, "10") for day in days if day.weekday() < 5])
    insert(engine, usage_hourly, [hour_row(NOW - now + HOUR, "0", events=0)])
    projection = project(engine, settings, now).projection
    assert projection is not None
    assert float(projection.month_end.expected) == pytest.approx(22 * 10, rel=0.03)  # today's is spent at 12:00


def test_days_of_which_nothing_has_a_price_are_gaps_and_are_not_projected(
    engine: sa.Engine, settings: Settings
) -> None:
    rows = [hour_row(number * DAY, "5", feature="known") for number in range(3, 20)]
    unpriced = {"events": 7, "unpriced_events": 7, "model": "nobody-knows-it", "feature": "new"}
    insert(engine, usage_hourly, [*rows, *(hour_row(number * DAY, "0", **unpriced) for number in range(1, 20))])
    assert history(engine, settings) == [*[5] * 17, None, None]
    assert "feature:new" not in map(str, project(engine, settings).parts)
    alone = settings.model_copy(update={"tenant": "alone"})
    insert(engine, usage_hourly, [{**hour_row(DAY, "0", **unpriced), "tenant_id": "alone"}])
    projected = project(engine, alone)
    assert projected.projection is None
    assert summary(projected) == "no cost is known yet, 7 of 7 events have no price"
    assert "**7 of 7 events have no price** and are missing" in report_markdown(projected, NOW)


def test_what_the_month_cost_is_what_was_paid_whatever_the_prices_of_today_are(
    engine: sa.Engine, settings: Settings
) -> None:
    now = datetime(2025, 6, 20, 12, tzinfo=UTC)  # o3 became five times cheaper on 10 June 2025
    usage = {"vendor": "openai", "model": "o3", "input_tokens": 1_000_000, "output_tokens": 1_000_000}
    load(engine, [event(number * DAY, now=now, **usage) for number in range(16)], at=now)
    projected = project(engine, settings, now)
    paid = 5 * 50 + 10 * 10  # 5 to 9 June, 10 to 19 June; today's is at `now`, and so to come
    assert projected.projection is not None
    assert projected.projection.spent_usd == paid
    assert projected.parts[Scope(ScopeKind.MODEL, "openai/o3")].spent_usd == paid
    assert sum(projected.paid.values()) == paid
    assert float(projected.projection.month_end.expected) == pytest.approx(paid + 11 * 10)


def test_parts_of_a_month_that_began_today_leave_out_the_hours_before(engine: sa.Engine, settings: Settings) -> None:
    now = datetime(2026, 3, 31, 18, tzinfo=UTC)  # in Kiritimati it is April since 10:00 UTC
    insert(engine, usage_hourly, [hour_row(NOW - now + number * HOUR, "1", team_id="core") for number in range(1, 400)])
    projected = project(engine, settings, now, month_timezone="Pacific/Kiritimati")
    assert projected.parts[Scope(ScopeKind.TEAM, "core")].spent_usd == 8


def test_history_is_repriced_at_todays_prices(engine: sa.Engine, settings: Settings) -> None:
    now = datetime(2025, 6, 20, 12, tzinfo=UTC)  # o3 became five times cheaper on 10 June 2025: 10 to 2, 40 to 8 $
    usage = {"vendor": "openai", "model": "o3", "input_tokens": 1_000_000, "output_tokens": 1_000_000}
    load(engine, [event(number * DAY, now=now, **usage) for number in range(1, 16)], at=now)
    assert set(history(engine, settings, now=now)) == {2 + 8}


def test_page_lists_the_dearest_parts(engine: sa.Engine, settings: Settings) -> None:
    spend_daily(engine, 28, "6", feature="a|b [x](http://evil)")
    page = report_markdown(project(engine, settings), NOW)
    assert r"| feature:a\|b \[x\](http://evil) | $24.00 | $180.00 |" in page
