"""Seasonal and pinned baselines."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest

from ops.errors import InvalidValue
from ops.monitoring.baselines import (
    Baseline,
    DayScores,
    Maturity,
    Pinned,
    Point,
    Series,
    compared,
    first_days,
    pin,
    pin_probes,
    seasonal,
    sufficient_n,
    whole_days,
)
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


def test_seasonal_of_three_days_knows_the_hour_of_the_day() -> None:
    # from three days back exactly: hours -1, 0, +1 of two days, and 0, +1 of the third
    assert seasonal([Point(at, 7) for at in hourly(3)], MONDAY_10) == Baseline(7, 0, 3 + 3 + 2, Maturity.DAILY)


def test_seasonal_looks_back_fourteen_days_when_the_weeks_are_too_thin() -> None:
    a_fortnight_ago = MONDAY_10.replace(minute=0) - timedelta(days=14)
    kept = [at for at in hourly(30) if at.weekday() != 0 or at in (a_fortnight_ago, a_fortnight_ago - HOUR)]
    # two points of the same hour of the week are too few; twelve days that are no Mondays have three each
    assert seasonal([Point(at, 7) for at in kept], MONDAY_10).n == 12 * 3 + 2


# Pinned


@pytest.mark.parametrize(
    ("mean", "sigma", "n", "days", "field"),
    [(0, 1, 1, 1, "mean"), (1, 0, 1, 1, "sigma"), (1, 1, 0, 1, "n"), (float("nan"), 1, 1, 1, "mean"),
     (1, 1, 1, 0, "days")],
)  # fmt: skip
def test_pinned_refuses_what_cannot_be_a_reference(mean: float, sigma: float, n: int, days: int, field: str) -> None:
    with pytest.raises(InvalidValue, match=rf"pinned\.{field}"):
        Pinned(mean, sigma, n, days)


@pytest.mark.parametrize(
    ("series", "name"),
    [
        pytest.param(Series("thumb"), "thumb", id="of nothing more"),
        pytest.param(Series("x", "m", "p", "j"), "x model:m prompt:p judge:j", id="of all"),
        pytest.param(Series("x", judge="j"), "x judge:j", id="of some"),
    ],
)
def test_series_is_named_by_what_is_known_of_it(series: Series, name: str) -> None:
    assert str(series) == name


def of(*means: float, n: int = 100, squares: float = 4.0, apart: int = 1) -> list[DayScores]:
    start = date(2026, 1, 5)  # a Monday
    return [DayScores(start + timedelta(days=apart * at), n, mean, squares) for at, mean in enumerate(means)]


def test_pin_describes_scores_and_days() -> None:
    pinned = pin([DayScores(date(2026, 1, 5), 300, 0.9, 12.0), DayScores(date(2026, 1, 6), 100, 0.5, 4.0)])
    mean = (300 * 0.9 + 100 * 0.5) / 400
    sigma = ((12 + 4 + 300 * (0.9 - mean) ** 2 + 100 * (0.5 - mean) ** 2 + 3 * mean**2) / 399) ** 0.5
    of_days = (0.9 - mean) ** 2 + (0.5 - mean) ** 2  # divided by 2 - 1
    assert (pinned.mean, pinned.sigma) == (pytest.approx(mean), pytest.approx(sigma))
    assert (pinned.n, pinned.days, pinned.weekdays) == (400, 2, ())
    assert pinned.day_sigma == pytest.approx((of_days - sigma**2 * (1 / 300 + 1 / 100) / 2) ** 0.5)


def test_pin_of_days_that_scatter_as_their_scores_do_leaves_nothing_to_explain() -> None:
    assert pin(of(0.8, 0.801)).day_sigma == 0


@pytest.mark.parametrize(
    ("days", "why"),
    [
        pytest.param(of(0.8, n=99), "'99 scores' is not at least 100 scores", id="of 99 scores"),
        pytest.param([], "'0 scores'", id="of none"),
        pytest.param(of(0.0), "mean 0, sigma 0.2", id="of scores without a mean to fall from"),
        pytest.param(of(1e-300, squares=0), "mean 1e-300, sigma 0", id="of a mean too small to compute with"),
        pytest.param(of(-0.3), "mean -0.3", id="of a negative mean, of which there is no share to lose"),
    ],
)
def test_pin_refuses_what_makes_no_baseline(days: list[DayScores], why: str) -> None:
    with pytest.raises(InvalidValue, match=re.escape(why)):
        pin(days)


def test_pin_of_scores_that_are_all_equal_leaves_room_for_three_that_are_not() -> None:
    # three zeros among so many ones scatter by sqrt(3 / n), nearly
    assert pin(of(*7 * [1.0], n=200, squares=0)).sigma == pytest.approx((3 / 1399) ** 0.5)


WEEK = (0.83, 0.80, 0.80, 0.80, 0.80, 0.80, 0.77)


def test_pin_tells_weekdays_apart_from_two_weeks_on() -> None:
    assert pin(of(*WEEK)).weekdays == ()
    found = pin(of(*WEEK, *WEEK))
    assert found.weekdays == pytest.approx((0.03, *5 * (0.0,), -0.03))  # each like the other: nothing is chance
    assert found.day_sigma == 0
    assert (found.weekday(date(2026, 1, 12)), found.weekday(date(2026, 1, 13))) == pytest.approx((0.03, 0))


def test_pin_shrinks_weekdays_as_far_as_chance_explains_them() -> None:
    one, other = [value + 0.01 for value in WEEK], [value - 0.01 for value in WEEK]
    # within: 14 x .01^2 / (14 - 7) = .0002, so a mean of two by chance .0001; between: 2 x .03^2 / 6 = .0003
    assert pin(of(*one, *other)).weekdays[0] == pytest.approx(0.03 * (1 - 0.0001 / 0.0003))


def test_pin_knows_no_weekdays_where_chance_explains_all() -> None:
    # within: 14 x .04^2 / 7 = .0032, by chance .0016 > .0003
    one, other = [value + 0.04 for value in WEEK], [value - 0.04 for value in WEEK]
    assert pin(of(*one, *other)).weekdays == pytest.approx(7 * (0.0,))
    assert pin(of(*14 * [0.8])).weekdays == 7 * (0.0,)


def test_pin_of_probes_scatters_only_from_day_to_day() -> None:
    pinned = pin_probes(of(*4 * [0.69, 0.71], n=25, squares=9.0))
    of_days = (8 * 0.01**2 / 7) ** 0.5 * (1 + 1 / (2 * 7) ** 0.5)
    assert (pinned.mean, pinned.n, pinned.days, pinned.day_sigma) == (pytest.approx(0.7), 200, 8, 0)
    assert pinned.sigma == pytest.approx(of_days * 5)  # / sqrt(25) is that of a day


def test_pin_of_a_judge_that_repeats_itself_still_lets_it_move_a_little() -> None:
    assert pin_probes(of(*8 * [0.8], n=25)).sigma == pytest.approx(0.0025 * 0.8 * 5)
    assert pin_probes(of(0.8)).days == 1


TODAY = date(2026, 1, 5)


@pytest.mark.parametrize(
    ("days", "age", "count"),
    [
        pytest.param(of(*6 * [0.8]), 6, 0, id="six days are too few"),
        pytest.param(of(*7 * [0.8]), 7, 7, id="a week is enough"),
        pytest.param(of(*9 * [0.8]), 9, 7, id="no more than a week"),
        pytest.param(of(0.8), 7, 1, id="of one day with scores in it"),
        pytest.param(of(*9 * [0.8], n=10), 9, 0, id="90 scores are too few"),
        pytest.param(of(*12 * [0.8], n=10), 12, 10, id="a week with too few scores is longer"),
        pytest.param(of(*4 * [0.8], apart=3), 12, 3, id="days without scores are days of the week too"),
        pytest.param([], 9, 0, id="of nothing"),
    ],
)
def test_first_days_are_a_week_or_as_many_as_it_takes(days: list[DayScores], age: int, count: int) -> None:
    assert list(first_days(days, TODAY + timedelta(days=age))) == days[:count]


STILL = [0.8, 0.81] * 20


@pytest.mark.parametrize(
    ("days", "age", "count"),
    [
        pytest.param(of(*STILL[:27]), 27, 0, id="27 days are too few"),
        pytest.param(of(*STILL[:28]), 28, 28, id="four weeks are enough"),
        pytest.param(of(*STILL[:35]), 35, 28, id="no more than four weeks"),
        pytest.param(of(*(0.8 + 0.001 * at for at in range(28))), 28, 28, id="they may rise"),
        pytest.param(of(*(0.8 - 0.001 * at for at in range(28))), 28, 0, id="they may not fall"),
        pytest.param(of(*STILL[:14], *(value - 0.02 for value in STILL[:14])), 28, 0, id="nor drop"),
        pytest.param(of(0.8, 0.7), 28, 2, id="of two days nobody knows"),
        pytest.param(of(0.8, n=99), 28, 0, id="99 scores are too few"),
        pytest.param(of(*STILL, n=3), 40, 0, id="84 are, also when the days after them bring more"),
        pytest.param([], 28, 0, id="of nothing"),
    ],
)
def test_whole_days_are_four_weeks_that_do_not_fall(days: list[DayScores], age: int, count: int) -> None:
    assert list(whole_days(days, TODAY + timedelta(days=age))) == days[:count]


@pytest.mark.parametrize(("limit", "n"), [(0.05, 52), (0.005, 539), (0.3, 7)])
def test_sufficient_n_is_where_no_failure_at_all_first_proves_the_limit_kept(limit: float, n: int) -> None:
    assert sufficient_n(limit) == n
    assert Share(0, n).upper() <= limit < Share(0, n - 1).upper()


@pytest.mark.parametrize(
    ("value", "told"),
    [
        pytest.param(0.781, "8.1 % below", id="below: .781 / .85 - 1 = -.081"),
        pytest.param(0.9, "5.9 % above", id="above: .9 / .85 - 1 = .059"),
        pytest.param(0.8499, "level with", id="nothing that a tenth of a percent shows"),
    ],
)
def test_compared_says_by_words_what_a_sign_would(value: float, told: str) -> None:
    assert compared(value, 0.85) == told


def test_usual_days_lie_within_what_their_scores_and_their_weekday_explain() -> None:
    pinned = Pinned(0.8, 0.2, 2000, 20, day_sigma=0.015, weekdays=(0.01, *[0.0] * 5, -0.01))
    # hypot(.2 / sqrt(100), .015) = hypot(.02, .015) = .025; 9 of 10 lie within 1.645 of that
    assert pinned.usual(100) == pytest.approx((0.8 - 1.645 * 0.025, 0.8 + 1.645 * 0.025), abs=1e-5)
    assert pinned.usual(100, date(2026, 1, 5)) == pytest.approx((0.81 - 0.0411, 0.81 + 0.0411), abs=1e-4)  # a Monday
