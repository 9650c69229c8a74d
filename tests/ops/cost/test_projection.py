"""A steady bill projects to itself on any day; shape, shifts, gaps and ignorance each show in the result."""

from __future__ import annotations

import random
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from math import exp
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ops.cost.projection import DaySpend, Method, Projection, project_month
from ops.window import Window

NOVEMBER = Window(datetime(2026, 11, 1, tzinfo=UTC), datetime(2026, 12, 1, tzinfo=UTC))


def days_before(now: datetime, costs: list[float | None]) -> list[DaySpend]:
    first = now.date() - timedelta(days=len(costs))
    return [
        DaySpend(first + timedelta(days=index), None if cost is None else Decimal(str(cost)))
        for index, cost in enumerate(costs)
    ]


def project(now: datetime, costs: list[float | None], today_spent: float = 0, month: Window = NOVEMBER) -> Projection:
    projection = project_month(days_before(now, costs), Decimal(str(today_spent)), month, now)
    assert projection is not None
    return projection


@pytest.mark.uncounted
@pytest.mark.parametrize("day", range(1, 31))
@pytest.mark.parametrize("hour", [0, 9, 23])
def test_projection_of_a_steady_bill_is_the_same_every_hour_of_the_month(day: int, hour: int) -> None:
    now = datetime(2026, 11, day, hour, tzinfo=UTC)
    projection = project(now, [10.0] * 40, today_spent=10 * hour / 24)
    assert float(projection.month_end.expected) == pytest.approx(30 * 10, rel=1e-6)
    assert float(projection.spent_usd) == pytest.approx((day - 1) * 10 + 10 * hour / 24)
    assert (projection.level_usd_per_day, projection.change_point) == (Decimal(10), None)


def test_projection_needs_two_weeks_to_be_sure_of_itself() -> None:
    now = datetime(2026, 11, 21, tzinfo=UTC)
    sure, unsure = project(now, [10.0] * 14), project(now, [10.0] * 13)
    assert (sure.low_history, sure.history_days) == (False, 14)
    assert (unsure.low_history, unsure.history_days) == (True, 13)
    assert sure.month_end.high95 < unsure.month_end.high95


def test_projection_with_low_history_widens_the_part_to_come() -> None:
    projection = project(datetime(2026, 11, 21, tzinfo=UTC), [10.0] * 5)
    assert (projection.spent_usd, projection.month_end.expected) == (50, 50 + 10 * 10)
    assert (projection.month_end.low80, projection.month_end.high80) == (50 + Decimal("0.45") * 100, 50 + 6 * 100)
    assert (projection.month_end.low95, projection.month_end.high95) == (
        projection.month_end.low80,
        projection.month_end.high80,
    )


def test_projection_intervals_of_a_faultless_history_shrink_the_typical_error() -> None:
    projection = project(datetime(2026, 11, 21, tzinfo=UTC), [10.0] * 28)
    error = (0 + 0 + 4 * 0.12) / (2 + 4)  # two 7-day projections with 14 days before them, both right
    error *= (10 / 14) ** 0.25  # for ten days to come
    to_come = 10 * 10
    assert float(projection.month_end.low80) == pytest.approx(200 + to_come * (1 - 0.99 * error))
    assert float(projection.month_end.high80) == pytest.approx(200 + to_come * (1 + 1.75 * error))
    assert float(projection.month_end.low95) == pytest.approx(200 + to_come * (1 - 1.94 * error))
    assert float(projection.month_end.high95) == pytest.approx(200 + to_come * (1 + 3.73 * error))


def test_projection_intervals_widen_by_the_errors_that_its_own_method_made() -> None:
    projection = project(datetime(2026, 11, 21, tzinfo=UTC), [10.0] * 21 + [12.0] * 7)
    # a week ago 70 were projected and 84 came, the week before that 70 and 70
    error = (0.2 + 0 + 4 * 0.12) / (2 + 4) * (10 / 14) ** 0.25
    to_come = float(projection.month_end.expected - projection.spent_usd)
    assert float(projection.month_end.high80 - projection.spent_usd) == pytest.approx(to_come * (1 + 1.75 * error))
    assert float(projection.month_end.low95 - projection.spent_usd) == pytest.approx(to_come * (1 - 1.94 * error))


def test_projection_of_an_erratic_account_promises_no_negative_cost() -> None:
    projection = project(datetime(2026, 11, 21, tzinfo=UTC), ([1.0] * 7 + [40.0] * 7) * 4)
    assert (
        projection.month_end.low95 == projection.month_end.low80 == projection.spent_usd
    )  # 1 - 0.99 x error is below 0


def test_projection_is_none_when_nothing_is_known_or_spent() -> None:
    now = datetime(2026, 11, 21, tzinfo=UTC)
    assert project_month([], Decimal(0), NOVEMBER, now) is None
    assert project_month(days_before(now, [None, None]), Decimal(0), NOVEMBER, now) is None


def test_projection_of_a_known_zero_is_zero() -> None:
    projection = project(datetime(2026, 11, 21, tzinfo=UTC), [0.0] * 30)
    assert (projection.month_end.expected, projection.month_end.high95, projection.low_history) == (0, 0, False)


@pytest.mark.parametrize(
    ("now", "spent", "per_day"),
    [
        pytest.param(datetime(2026, 11, 1, 12, tzinfo=UTC), 5, 5 / 0.5, id="half a day goes on at its pace"),
        pytest.param(datetime(2026, 11, 1, 0, 1, tzinfo=UTC), 1, 1 * 24, id="the first minute counts as an hour"),
    ],
)
def test_projection_without_history_is_the_run_rate(now: datetime, spent: float, per_day: float) -> None:
    projection = project(now, [], today_spent=spent)
    days_left = (NOVEMBER.end - now) / timedelta(days=1)
    assert (projection.method, projection.low_history, projection.history_days) == (Method.RUN_RATE, True, 0)
    assert float(projection.month_end.expected) == pytest.approx(spent + per_day * days_left)


def test_projection_uses_the_run_rate_when_all_it_knows_is_months_old() -> None:
    projection = project(datetime(2026, 11, 1, 12, tzinfo=UTC), [10.0] * 20 + [None] * 60, today_spent=5)
    assert (projection.method, projection.level_usd_per_day) == (Method.RUN_RATE, 10)


def test_projection_learns_the_weekday_profile() -> None:
    now = datetime(2026, 11, 23, tzinfo=UTC)  # a Monday
    shape = [12.0] * 5 + [5.0] * 2  # Monday first, mean 10
    projection = project(now, list(shape) * 8)
    assert projection.change_point is None
    weekday, weekend = (8 * 1.2 + 0.5) / (8 + 0.5), (8 * 0.5 + 0.5) / (8 + 0.5)  # 1.19 and 0.53, shrunk towards 1
    level = float(projection.level_usd_per_day)
    assert 5 / weekend < level < 12 / weekday + 1e-6
    assert float(projection.month_end.expected - projection.spent_usd) == pytest.approx(
        level * (6 * weekday + 2 * weekend)
    )
    assert float(projection.month_end.expected) == pytest.approx(16 * 12 + 6 * 5 + 6 * 12 + 2 * 5, rel=0.03)


def test_projection_of_one_week_is_flat() -> None:
    projection = project(datetime(2026, 11, 23, tzinfo=UTC), [12.0] * 5 + [5.0] * 2)
    to_come = projection.month_end.expected - projection.spent_usd
    assert float(to_come) == pytest.approx(8 * float(projection.level_usd_per_day))


def test_projection_clips_one_wild_day() -> None:
    now = datetime(2026, 11, 21, tzinfo=UTC)
    calm = [10.0, 11.0, 9.0, 10.5, 9.5] * 8
    wild = [*calm[:-2], 1_000.0, calm[-1]]
    assert float(project(now, wild).level_usd_per_day) < 1.2 * float(project(now, calm).level_usd_per_day)


@pytest.mark.parametrize(
    ("days", "level", "found"),
    [
        pytest.param(4, 30.0, False, id="four dear days are not yet a new level"),
        pytest.param(5, 30.0, True, id="five dear days are"),
        pytest.param(20, 30.0, True, id="twenty dear days keep their first day"),
        pytest.param(5, 5.0, True, id="five cheap days are a new level too"),
        pytest.param(14, 13.9, False, id="a rise by 1.39 times is drift"),
        pytest.param(14, 14.5, True, id="by 1.45 times it is a new level"),
        pytest.param(28, 30.0, True, id="four weeks of dear days keep their first day"),
    ],
)
def test_projection_dates_a_change_of_level(days: int, level: float, found: bool) -> None:
    now = datetime(2026, 11, 21, tzinfo=UTC)
    projection = project(now, [10.0] * (56 - days) + [level] * days)
    assert projection.change_point == (now.date() - timedelta(days=days) if found else None)
    if found:
        # The days of the shift tilt the weekday profile a little.
        assert float(projection.level_usd_per_day) == pytest.approx(level, rel=0.15)


def test_projection_dates_an_old_change_of_level_four_weeks_back_at_most() -> None:
    now = datetime(2026, 11, 21, tzinfo=UTC)
    assert project(now, [10.0] * 20 + [30.0] * 36).change_point == now.date() - timedelta(days=28)


@pytest.mark.parametrize(
    ("before", "found"),
    [
        pytest.param([10.0] * 7, True, id="a week before it is enough to compare with"),
        pytest.param([10.0] * 6, False, id="six days are not"),
        pytest.param([10.0] * 3 + [40.0] + [10.0] * 4, True, id="one dear day before it does not hide it"),
    ],
)
def test_projection_compares_a_change_with_a_usual_week(before: list[float], found: bool) -> None:
    now = datetime(2026, 11, 21, tzinfo=UTC)
    expected = now.date() - timedelta(days=5) if found else None
    assert project(now, [*before, *[30.0] * 5]).change_point == expected


def test_projection_weighs_days_by_a_half_life_of_four() -> None:
    costs = [8.0, 9.0, 10.0, 11.0, 12.0] * 2 + [10.0, 9.0, 11.0]  # 13 days: too few for a weekday profile
    weights = [2 ** (-(13 - index) / 4) for index in range(13)]  # yesterday is a day old
    expected = sum(weight * cost for weight, cost in zip(weights, costs, strict=True)) / sum(weights)
    level = project(datetime(2026, 11, 21, tzinfo=UTC), list(costs)).level_usd_per_day
    assert float(level) == pytest.approx(expected, abs=1e-6)


def test_projection_clips_at_three_sigma_of_the_median() -> None:
    costs = [8.0, 9.0, 10.0, 11.0, 12.0] * 2 + [10.0, 10.0, 100.0]
    # median 10; deviations 0 x 4, 1 x 4, 2 x 4, 90: median 1
    clipped = [*costs[:-1], 10 + 3 * 1.4826 * 1]
    weights = [2 ** (-(13 - index) / 4) for index in range(13)]
    expected = sum(weight * cost for weight, cost in zip(weights, clipped, strict=True)) / sum(weights)
    level = project(datetime(2026, 11, 21, tzinfo=UTC), list(costs)).level_usd_per_day
    assert float(level) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(
    ("days_ago", "method"),
    [
        pytest.param(56, Method.WEEKDAY_LEVEL, id="a day eight weeks ago is known"),
        pytest.param(57, Method.RUN_RATE, id="a day before that is forgotten"),
    ],
)
def test_projection_looks_back_eight_weeks(days_ago: int, method: Method) -> None:
    gaps: list[float | None] = [None] * (days_ago - 1)
    assert project(datetime(2026, 11, 21, tzinfo=UTC), [10.0, *gaps], today_spent=1).method is method


def test_projection_learns_the_weekday_profile_from_two_weeks() -> None:
    projection = project(datetime(2026, 11, 23, tzinfo=UTC), ([12.0] * 5 + [5.0] * 2) * 2)
    weekday, weekend = (2 * 1.2 + 0.5) / (2 + 0.5), (2 * 0.5 + 0.5) / (2 + 0.5)  # 1.16 and 0.6, of mean 1
    level = float(projection.level_usd_per_day)
    to_come = float(projection.month_end.expected - projection.spent_usd)
    assert to_come == pytest.approx(level * (6 * weekday + 2 * weekend), rel=1e-6)


def test_projection_follows_spend_that_began_in_an_idle_account() -> None:
    projection = project(datetime(2026, 11, 21, tzinfo=UTC), [0.0] * 50 + [10.0] * 6)
    assert projection.change_point == date(2026, 11, 15)


@pytest.mark.parametrize("test_usd", [0.000001, 0.01, 1])
def test_launch_after_tests_is_projected_by_what_it_costs_whatever_they_did(test_usd: float) -> None:
    projection = project(datetime(2026, 11, 21, tzinfo=UTC), [test_usd] * 35 + [100.0] * 8)
    assert float(projection.level_usd_per_day) == pytest.approx(100)
    assert float(projection.month_end.high95) < float(projection.spent_usd) + 4 * 10 * 100


def workdays(level: float, days: int, last: date = date(2026, 11, 20)) -> list[float | None]:
    return [0.0 if (last - timedelta(days=back)).weekday() > 4 else level for back in reversed(range(days))]


@pytest.mark.parametrize("day", range(20, 31))
def test_projection_of_workdays_is_of_the_workdays_to_come(day: int) -> None:
    now = datetime(2026, 11, day, tzinfo=UTC)
    projection = project(now, workdays(10, 56, now.date() - timedelta(days=1)))
    assert float(projection.month_end.expected) == pytest.approx(21 * 10, rel=0.01)  # of 30 days, 9 are of weekends
    assert projection.change_point is None


def test_projection_follows_a_shift_of_workdays() -> None:
    now = datetime(2026, 11, 21, tzinfo=UTC)
    costs = [*workdays(10, 42, date(2026, 11, 6)), *workdays(30, 14)]
    projection = project(now, costs)
    assert projection.change_point == date(2026, 11, 9)
    assert float(projection.month_end.expected) == pytest.approx(5 * 10 + 16 * 30, rel=0.05)


def test_what_was_paid_of_the_month_goes_before_what_its_days_would_cost_today() -> None:
    now = datetime(2026, 11, 21, tzinfo=UTC)
    projection = project_month(days_before(now, [10.0] * 40), Decimal(0), NOVEMBER, now, Decimal(500))
    assert projection is not None
    assert (projection.spent_usd, projection.month_end.expected) == (500, 500 + 10 * 10)


def test_projection_of_a_mostly_idle_account_keeps_its_busy_days() -> None:
    now = datetime(2026, 11, 21, tzinfo=UTC)
    projection = project(now, [0.0, 0.0, 9.0] * 18)
    assert float(projection.level_usd_per_day) == pytest.approx(9 / 3, rel=0.35)


def test_projection_estimates_a_gap_and_believes_a_zero() -> None:
    now = datetime(2026, 11, 21, tzinfo=UTC)
    gap, zero = project(now, [10.0] * 40 + [None] * 2 + [10.0] * 3), project(now, [10.0] * 40 + [0.0] * 2 + [10.0] * 3)
    assert gap.spent_usd == zero.spent_usd == 18 * 10
    assert float(gap.month_end.expected) == pytest.approx(30 * 10)
    assert float(zero.month_end.expected) < 29 * 10


def test_projection_ignores_entries_of_today_and_later() -> None:
    now = datetime(2026, 11, 21, tzinfo=UTC)
    history = [*days_before(now, [10.0] * 30), DaySpend(now.date(), Decimal(999))]
    projection = project_month(history, Decimal(0), NOVEMBER, now)
    assert projection is not None
    assert projection.spent_usd == 20 * 10


@pytest.mark.parametrize(
    ("now", "expected"),
    [
        pytest.param(datetime(2026, 12, 5, tzinfo=UTC), 30 * 10, id="a month that is over is only its spend"),
        pytest.param(datetime(2026, 10, 30, tzinfo=UTC), 30 * 10, id="a month to come is only projected"),
    ],
)
def test_projection_of_another_month(now: datetime, expected: float) -> None:
    assert float(project(now, [10.0] * 60).month_end.expected) == pytest.approx(expected)


def test_projection_counts_the_hours_of_a_month_in_another_zone() -> None:
    now = datetime(2026, 11, 21, tzinfo=UTC)
    month = Window.month_of(now, ZoneInfo("America/New_York"))  # from 1 November 04:00 to 1 December 05:00 UTC
    projection = project(now, [10.0] * 40, month=month)
    assert float(projection.spent_usd) == pytest.approx(10 * (20 - 4 / 24))
    assert float(projection.month_end.expected) == pytest.approx(10 * (30 + 1 / 24))


@pytest.mark.uncounted
def test_projection_intervals_cover_simulated_months() -> None:
    covered = {80: 0, 95: 0}
    for seed in range(120):
        noise = random.Random(seed)  # noqa: S311 - simulated spend, not a secret
        costs = [100 * exp(noise.gauss(0, 0.3)) * (0.5 if index % 7 > 4 else 1) for index in range(90)]
        now = datetime(2026, 11, 11, tzinfo=UTC)
        projection = project(now, list(costs[:70]))
        truth = sum(costs[60:90])
        covered[80] += projection.month_end.low80 <= truth <= projection.month_end.high80
        covered[95] += projection.month_end.low95 <= truth <= projection.month_end.high95
    assert 0.65 * 120 < covered[80] < covered[95]
    assert covered[95] > 0.9 * 120


@settings(max_examples=60, deadline=None)
@given(
    costs=st.lists(st.none() | st.floats(0, 1e6), max_size=70),
    spent=st.floats(0, 1e6),
    day=st.integers(1, 30),
    clock=st.times(),
)
def test_projection_never_ends_below_what_is_spent(
    costs: list[float | None], spent: float, day: int, clock: time
) -> None:
    now = datetime.combine(date(2026, 11, day), clock, tzinfo=UTC)
    projection = project_month(days_before(now, costs), Decimal(str(spent)), NOVEMBER, now)
    if projection:
        p = projection
        assert (
            p.spent_usd
            <= p.month_end.low95
            <= p.month_end.low80
            <= p.month_end.expected
            <= p.month_end.high80
            <= p.month_end.high95
        )


def test_seven_days_are_projected_with_intervals_of_their_own() -> None:
    projection = project(datetime(2026, 11, 28, tzinfo=UTC), [10.0] * 28)
    error = (0 + 0 + 4 * 0.12) / (2 + 4)
    week = projection.seven_days
    assert week.expected == 7 * 10
    assert [float(end) for end in (week.low80, week.high80)] == pytest.approx(
        [70 * (1 - 1.16 * error), 70 * (1 + 1.93 * error)]
    )
    assert [float(end) for end in (week.low95, week.high95)] == pytest.approx(
        [70 * (1 - 2.2 * error), 70 * (1 + 6 * error)]
    )


def test_days_ahead_begin_with_the_rest_of_today_and_reach_over_the_months_end() -> None:
    projection = project(datetime(2026, 11, 28, 6, tzinfo=UTC), [10.0] * 28, today_spent=2.5)
    assert projection.days[0] == (date(2026, 11, 28), Decimal("7.5"))
    assert projection.days[-1][0] >= date(2026, 12, 5)
    assert {amount for _, amount in projection.days[1:-1]} == {Decimal(10)}


@pytest.mark.parametrize(
    ("budget", "day"),
    [
        pytest.param(205, date(2026, 11, 21), id="today"),
        pytest.param(240, date(2026, 11, 24), id="the day that fills it"),
        pytest.param(241, date(2026, 11, 25), id="the day after is needed for a dollar more"),
        pytest.param(300, date(2026, 11, 30), id="the last day of the month"),
        pytest.param(301, None, id="never in this month"),
        pytest.param(100, date(2026, 11, 21), id="it is exhausted already"),
    ],
)
def test_budget_is_exhausted_on(budget: int, day: date | None) -> None:
    projection = project(datetime(2026, 11, 21, tzinfo=UTC), [10.0] * 28)
    assert projection.exhausts(Decimal(budget)) == day


@given(factor=st.sampled_from([0.01, 3.0, 1e4]), costs=st.lists(st.floats(0.5, 100), min_size=20, max_size=60))
@settings(max_examples=30, deadline=None)
def test_projection_of_dearer_days_is_as_much_dearer(factor: float, costs: list[float]) -> None:
    now = datetime(2026, 11, 21, tzinfo=UTC)
    one, other = project(now, list(costs)), project(now, [factor * cost for cost in costs])
    assert float(other.month_end.expected) == pytest.approx(factor * float(one.month_end.expected), rel=1e-3, abs=1e-4)


def test_steady_bill_that_moves_by_a_fifth_is_followed_at_once() -> None:
    projection = project(datetime(2026, 11, 21, tzinfo=UTC), [10.0] * 40 + [11.5] * 8)
    weights = [2 ** (-number / 4) for number in range(48)]  # the newest first
    expected = (11.5 * sum(weights[:8]) + 10 * sum(weights[8:])) / sum(weights)
    assert float(projection.level_usd_per_day) == pytest.approx(expected, rel=0.02)
