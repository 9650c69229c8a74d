"""Seasonal and pinned baselines, and the slow slide that only the pinned one finds."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from statistics import median, quantiles

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ops.errors import InvalidValue
from ops.monitoring.baselines import Baseline, Cusum, Maturity, Pinned, Point, cusum, seasonal, sufficient_n
from ops.proportions import Share

MONDAY_10 = datetime(2026, 7, 20, 10, 25, tzinfo=UTC)
HOUR = timedelta(hours=1)


def hourly(days: float) -> Iterator[datetime]:
    start = MONDAY_10.replace(minute=0)
    return (start - hours * HOUR for hours in range(1, int(days * 24) + 1))


def busy_mondays(at: datetime) -> float:
    """100 on Mondays from 9 to 11 h, plus the hour's distance from 10; 1 at any other time."""
    return 100 + abs(at.hour - 10) if at.weekday() == 0 and 9 <= at.hour <= 11 else 1


def test_seasonal_takes_twelve_points_of_the_same_hour_of_the_week() -> None:
    points = [Point(at, busy_mondays(at)) for at in hourly(60)]
    # 4 weeks x (101, 100, 101): median 101, deviations 0, 1, 0: median 0
    assert seasonal(points, MONDAY_10) == Baseline(101, 0, 4 * 3, Maturity.WEEKLY)


def test_seasonal_measures_the_median_absolute_deviation() -> None:
    at = MONDAY_10 - timedelta(weeks=1)
    old = Point(MONDAY_10 - timedelta(days=40), 0)  # long history, but no point that counts
    points = [old, Point(at - HOUR, Decimal(10)), Point(at, Decimal(14)), Point(at + HOUR, Decimal(40))]
    # median 14; |10 - 14|, |14 - 14|, |40 - 14| = 4, 0, 26: median 4
    assert seasonal(points, MONDAY_10) == Baseline(14, 4, 3, Maturity.WEEKLY)


@pytest.mark.parametrize(
    ("days", "maturity", "n"),
    [
        pytest.param(28.1, Maturity.WEEKLY, 12, id="four weeks know the week"),
        pytest.param(14, Maturity.WEEKLY, 3 + 2, id="two weeks know the week"),
        pytest.param(13.9, Maturity.DAILY, 13 * 3, id="under two weeks know the day"),
        pytest.param(3, Maturity.DAILY, 2 * 3 + 2, id="three days know the day"),
        pytest.param(2.9, Maturity.IMMATURE, 2 * 3, id="under three days know nothing"),
        pytest.param(0, Maturity.IMMATURE, 0, id="no history knows nothing"),
    ],
)
def test_seasonal_says_how_mature_it_is(days: float, maturity: Maturity, n: int) -> None:
    baseline = seasonal([Point(at, 7) for at in hourly(days)], MONDAY_10)
    assert (baseline.maturity, baseline.n) == (maturity, n)
    assert baseline.centre == (None if maturity is Maturity.IMMATURE else 7)


def test_seasonal_ignores_the_present_and_the_future() -> None:
    points = [Point(at, 7) for at in hourly(30)] + [Point(MONDAY_10 + hours * HOUR, 900) for hours in range(-1, 9)]
    assert seasonal(points, MONDAY_10).centre == 7


def test_seasonal_falls_back_to_the_day_when_incidents_were_cut_out_of_the_weeks() -> None:
    points = [Point(at, 7) for at in hourly(30) if at.weekday() != 0]
    assert seasonal(points, MONDAY_10).maturity is Maturity.DAILY


def test_seasonal_is_immature_when_too_few_points_match() -> None:
    points = [Point(MONDAY_10 - timedelta(days=20, hours=5), 7)]
    assert seasonal(points, MONDAY_10) == Baseline(None, None, 0, Maturity.IMMATURE)


def test_cusum_adds_up_what_exceeds_the_slack() -> None:
    # z = 0, -2.5, -2.5: S = max(0, 0 - .5), 0 + 2.5 - .5 = 2, 2 + 2.5 - .5 = 4
    assert cusum([10, 7.5, 7.5], Pinned(mean=10, sigma=1, n=50)) == Cusum(alarm=False, statistic=4.0, onset_index=1)


def test_cusum_alarms_above_its_limit_and_tells_the_onset() -> None:
    # four days 2.5 sigma low after two good ones: 4 x (2.5 - .5) = 8 > 7.1
    assert cusum([10, 12, *4 * [7.5]], Pinned(10, 1, 50)) == Cusum(alarm=True, statistic=8.0, onset_index=2)


def test_cusum_forgets_a_slide_that_recovered() -> None:
    # S = 2, then max(0, 2 - 4 - .5) = 0
    assert cusum([7.5, 14], Pinned(10, 1, 50)) == Cusum(alarm=False, statistic=0.0, onset_index=None)


@pytest.mark.parametrize(
    ("low", "alarm"),
    [
        pytest.param(2.5, False, id="2.5 - 0.5 = 2 is within 7.1"),
        pytest.param(7.5, False, id="7.5 - 0.5 = 7 is within 7.1"),
        pytest.param(7.7, True, id="7.7 - 0.5 = 7.2 is not"),
    ],
)
def test_cusum_alarms_at_seven_point_one_sigma(low: float, alarm: bool) -> None:
    found = cusum([20 - 2 * low], Pinned(mean=20, sigma=2, n=50))
    assert found.alarm is alarm
    assert found.statistic == pytest.approx(low - 0.5)


def test_seasonal_of_three_days_knows_the_hour_of_the_day() -> None:
    # from three days back exactly: hours -1, 0, +1 of two days, and 0, +1 of the third
    assert seasonal([Point(at, 7) for at in hourly(3)], MONDAY_10) == Baseline(7, 0, 3 + 3 + 2, Maturity.DAILY)


def test_seasonal_looks_back_fourteen_days_when_the_weeks_are_too_thin() -> None:
    a_fortnight_ago = MONDAY_10.replace(minute=0) - timedelta(days=14)
    kept = [at for at in hourly(30) if at.weekday() != 0 or at in (a_fortnight_ago, a_fortnight_ago - HOUR)]
    # two points of the same hour of the week are too few; twelve days that are no Mondays have three each
    assert seasonal([Point(at, 7) for at in kept], MONDAY_10).n == 12 * 3 + 2


@given(st.lists(st.floats(0.81, 0.99), max_size=50))
def test_cusum_never_blames_values_within_half_a_sigma_of_the_mean(values: list[float]) -> None:
    assert cusum(values, Pinned(mean=0.9, sigma=0.2, n=10)).statistic == pytest.approx(0, abs=1e-9)


def slide(seed: int, days: int, per_week: float) -> list[float]:
    noise = random.Random(seed)  # noqa: S311 - a seeded simulation
    return [0.85 * (1 - per_week * day / 7) + noise.gauss(0, SIGMA) for day in range(days)]


SIGMA = 0.0128  # of a daily mean: 1.5 % of 0.85
REFERENCE = Pinned(0.85, SIGMA, 28)


def first_alarm(values: list[float]) -> int | None:
    return next((day for day in range(1, len(values) + 1) if cusum(values[:day], REFERENCE).alarm), None)


def test_cusum_finds_a_slide_of_one_percent_a_week_within_thirty_days() -> None:
    days = [first_alarm(slide(seed, days=40, per_week=0.01)) or 99 for seed in range(200)]
    assert sum(day <= 30 for day in days) >= 0.9 * 200
    assert 15 <= median(days) <= 23
    assert quantiles(days, n=10)[8] <= 27


def test_cusum_alarms_at_most_once_in_five_quiet_years() -> None:
    alarms = sum(first_alarm(slide(seed, days=365, per_week=0)) is not None for seed in range(20))
    assert alarms <= 0.2 * 20


@pytest.mark.parametrize(
    ("mean", "sigma", "n", "field"),
    [(0, 1, 1, "mean"), (1, 0, 1, "sigma"), (1, 1, 0, "n"), (float("nan"), 1, 1, "mean")],
)
def test_pinned_refuses_what_cannot_be_a_reference(mean: float, sigma: float, n: int, field: str) -> None:
    with pytest.raises(InvalidValue, match=rf"pinned\.{field}"):
        Pinned(mean, sigma, n)


@pytest.mark.parametrize(("limit", "n"), [(0.05, 52), (0.005, 539), (0.3, 7)])
def test_sufficient_n_is_where_no_failure_at_all_first_proves_the_limit_kept(limit: float, n: int) -> None:
    assert sufficient_n(limit) == n
    assert Share(0, n).upper() <= limit < Share(0, n - 1).upper()
