"""The slow slide: what the CUSUM finds against a pinned baseline, and what it would not find against a moving one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import date, timedelta
from itertools import pairwise
from math import e, exp, log

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ops.monitoring.baselines import DayScores, Pinned, first_days, pin, pin_probes, whole_days
from ops.monitoring.drift import (
    CEILING,
    LIMIT,
    SLACK,
    Cusum,
    Shift,
    Slide,
    cusum,
    find_shift,
    find_slide,
    limit_of,
    slack_of,
    standardised,
    unsettled,
)
from tests.scored_days import FIRST, scored_days

# A daily mean of 100 scores scatters by .2 / sqrt(100) = .02; the slack of 25 days is .5 + 1/5 = .7
PINNED = Pinned(mean=0.8, sigma=0.2, n=2500, days=25)


def last(values: Sequence[float]) -> Cusum:
    return list(cusum(values))[-1]


def of(*means: float, first: date = FIRST, n: int = 100) -> list[DayScores]:
    return [DayScores(first + timedelta(days=number), n, mean) for number, mean in enumerate(means)]


def slide(*means: float, pinned: Pinned = PINNED, series: int = 1) -> Slide:
    return find_slide(of(*means), pinned, drop=0.1, series=series)


# The sum


def test_cusum_adds_up_what_exceeds_the_slack() -> None:
    # S = max(0, 0 - .5), 0 + 2.5 - .5 = 2, 2 + 2.5 - .5 = 4
    assert list(cusum([0, -2.5, -2.5])) == [
        Cusum(alarm=False, statistic=0.0, onset_index=None),
        Cusum(alarm=False, statistic=2.0, onset_index=1),
        Cusum(alarm=False, statistic=4.0, onset_index=1),
    ]


def test_cusum_alarms_above_its_limit_and_tells_the_onset() -> None:
    # four days 2.5 sigma low after two good ones: 4 x (2.5 - .5) = 8 > 7.1
    assert last([0, 1, *4 * [-2.5]]) == Cusum(alarm=True, statistic=8.0, onset_index=2)


def test_cusum_forgets_a_slide_that_recovered() -> None:
    # S = 2, then max(0, 2 - 2 - .5) = 0
    assert last([-2.5, 2]) == Cusum(alarm=False, statistic=0.0, onset_index=None)


@pytest.mark.parametrize(
    ("low", "alarm"),
    [
        pytest.param(2.5, False, id="2.5 - 0.5 = 2 is within 7.1"),
        pytest.param(7.5, False, id="7.5 - 0.5 = 7 is within 7.1"),
        pytest.param(7.7, True, id="7.7 - 0.5 = 7.2 is not"),
    ],
)
def test_cusum_alarms_at_seven_point_one_sigma(low: float, alarm: bool) -> None:
    assert last([-low]) == Cusum(alarm, pytest.approx(low - 0.5), 0)


def test_cusum_of_a_slide_that_is_over_clears_within_a_week() -> None:
    # the sum stops at 7.1 + 3 and loses .5 a day: 10.1 - 6 x .5 = 7.1
    found = [each.alarm for each in cusum([*50 * [-3.0], *7 * [0.0]])]
    assert found[49:] == [True] * 6 + [False] * 2
    assert max(each.statistic for each in cusum(50 * [-3.0])) == LIMIT + CEILING


@given(st.lists(st.floats(-SLACK, 5), max_size=50))
def test_cusum_never_blames_values_within_half_a_sigma_of_the_mean(values: list[float]) -> None:
    assert all(each.statistic == pytest.approx(0, abs=1e-9) for each in cusum(values))


def test_slack_gives_room_for_the_error_of_the_pinned_mean() -> None:
    assert slack_of(replace(PINNED, days=25)) == pytest.approx(0.5 + 1 / 5)
    assert slack_of(replace(PINNED, days=100)) == pytest.approx(0.5 + 1 / 10)


def days_between_alarms(limit: float) -> float:
    """Siegmund's approximation at k = 1/2: (exp(b) - b - 1) / (1/2) with b = h + 1.166."""
    b = limit + 1.166
    return (exp(b) - b - 1) / 0.5


@pytest.mark.parametrize("series", [1, 10, 100, 1000])
def test_limit_keeps_many_series_at_the_false_alarms_of_one(series: int) -> None:
    together = 365 * series / days_between_alarms(limit_of(series))
    assert together == pytest.approx(365 / days_between_alarms(LIMIT), rel=0.01)
    assert together == pytest.approx(0.047, abs=0.001)  # a year; well within .2
    assert limit_of(series) == LIMIT + log(series)


def test_limit_of_no_series_is_that_of_one() -> None:
    assert limit_of(0) == LIMIT


# The slide


def test_slide_is_standardised_by_weekday_and_number_of_scores() -> None:
    weekly = replace(PINNED, weekdays=(0.04, *6 * (0.0,)))
    [monday, tuesday] = of(0.8, 0.76)
    assert standardised([monday, tuesday], weekly) == pytest.approx([(0.8 - 0.84) / 0.02, (0.76 - 0.8) / 0.02])
    few = replace(tuesday, n=25)  # .2 / sqrt(25) = .04, and days scatter by .03 themselves: hypot .05
    assert standardised([few], replace(weekly, day_sigma=0.03)) == pytest.approx([-0.04 / 0.05])


def test_slide_tells_since_when_where_it_stands_and_when_it_reaches_ten_percent() -> None:
    # 1 % of .8 a day; z = -.4 a day: S at day d = the sum of .4 d - .7 over days 2 … d > 7.1 at d = 8
    means = [0.8, *(0.8 - 0.008 * day for day in range(1, 9))]
    found = slide(*means)
    assert (found.alarm, found.onset) == (True, FIRST + timedelta(days=2))
    assert found.statistic == pytest.approx(sum(0.4 * day - 0.7 for day in range(2, 9)))
    assert found.days == 7
    assert found.level == pytest.approx(0.8 - 0.064)
    assert found.days_left == 2  # from -8 % to -10 % at 1 % a day


def test_slide_is_not_bent_by_a_single_day() -> None:
    means = [0.8 - 0.008 * day for day in range(10)]
    means[6] = 0.2
    found = slide(*means)
    assert found.level == pytest.approx(means[-1], abs=0.003)
    assert found.days_left == 1


def test_slide_counts_days_and_not_scored_days() -> None:
    every_other = [DayScores(FIRST + timedelta(days=2 * number), 100, 0.8 - 0.01 * number) for number in range(8)]
    found = find_slide(every_other, PINNED, drop=0.1)
    assert found.alarm
    assert found.days_left == round((0.73 - 0.72) / 0.005)


@pytest.mark.parametrize(
    ("means", "left"),
    [
        pytest.param(8 * [0.76], None, id="a step leads nowhere"),
        pytest.param([0.6 - 0.01 * day for day in range(8)], None, id="it is there already"),
        pytest.param([0.76 - 0.0004 * day for day in range(8)], None, id="in 93 days is too far off to tell"),
        pytest.param([0.7, 0.5], None, id="two days have no slope"),
        pytest.param([0.7 + 0.001 * day for day in range(8)], None, id="it recovers"),
        pytest.param([0.7202 + 0.0004 * day for day in range(7, -1, -1)], 1, id="within the day"),
    ],
)
def test_slide_foresees_only_what_the_line_shows(means: list[float], left: int | None) -> None:
    found = slide(*means)
    assert (found.alarm, found.days_left) == (True, left)


@pytest.mark.parametrize(
    ("means", "pinned"),
    [
        pytest.param([], PINNED, id="without a day"),
        pytest.param([0.8, 0.9, 0.79], PINNED, id="where nothing adds up"),
        pytest.param([0.4, 0.4], replace(PINNED, days=4), id="against four days, that say nothing of a day's spread"),
    ],
)
def test_slide_is_none(means: list[float], pinned: Pinned) -> None:
    assert slide(*means, pinned=pinned) == Slide(alarm=False, statistic=0.0, limit=LIMIT)


def test_slide_that_has_begun_is_no_alarm_yet() -> None:
    found = slide(0.8, 0.72)  # z = -4: S = 3.3
    assert found == Slide(alarm=False, statistic=pytest.approx(4 - 0.7), limit=LIMIT,
                          onset=FIRST + timedelta(days=1), days=1)  # fmt: skip


def test_slide_needs_more_where_more_series_could_alarm_by_chance() -> None:
    means = (0.72, 0.72, 0.8)  # S = 3.3 + 3.3 - .7 = 5.9; a third of -4: 6.6 + 3.3 = 9.9
    assert slide(*means[:2], 0.72).alarm
    assert not slide(*means[:2], 0.72, series=round(e**3)).alarm  # 7.1 + 3 = 10.1


# The scenario: 1 % a week at 200 scores a day, and a year of nothing

Pinner = Callable[[Sequence[DayScores]], tuple[Pinned, Sequence[DayScores]]]
BASE, SEEDS = 28, 200


def pinned_once(past: Sequence[DayScores]) -> tuple[Pinned, Sequence[DayScores]]:
    """The first 28 days, for ever."""
    return pin(past[:BASE]), past[BASE:]


def pinned_every_day(past: Sequence[DayScores]) -> tuple[Pinned, Sequence[DayScores]]:
    """The mutant: the 28 days before yesterday, as of today."""
    return pin(past[-BASE - 1 : -1]), past[-1:]


def pinned_every_week(past: Sequence[DayScores]) -> tuple[Pinned, Sequence[DayScores]]:
    """The mutant that is kinder to itself: the 28 days before the last seven."""
    return pin(past[-BASE - 7 : -7]), past[-7:]


def pinned_by_itself(past: Sequence[DayScores]) -> tuple[Pinned, Sequence[DayScores]]:
    """What becomes of a new series: a week, then the first four weeks."""
    today = past[-1].day + timedelta(days=1)
    chosen = whole_days(past, today) or first_days(past, today)
    return pin(chosen), past[len(chosen) :]


def first_warning(days: Sequence[DayScores], pinner: Pinner, begin: int = BASE) -> int:
    """Return on which day after `begin` the slide is told; 99 when on none."""
    for count in range(begin + 1, len(days) + 1):
        pinned, since = pinner(days[:count])
        if find_slide(since, pinned, drop=0.1).alarm:
            return count - begin
    return 99


def warned_in_time(pinner: Pinner, begin: int = BASE) -> float:
    """Return the share of 200 series that slide by 1 % a week of which somebody is warned by the thirtieth day."""
    lives = [scored_days(seed, begin + 30, per_week=0.01, since=begin) for seed in range(SEEDS)]
    return sum(first_warning(days, pinner, begin) <= 30 for days in lives) / SEEDS


@pytest.mark.uncounted
@pytest.mark.parametrize(
    ("pinner", "begin"),
    [
        pytest.param(pinned_once, 28, id="28 days, pinned once"),
        pytest.param(pinned_by_itself, 28, id="a series that pinned itself"),
        pytest.param(pinned_by_itself, 8, id="a series that slides as soon as its first week is pinned"),
    ],
)
def test_slide_of_one_percent_a_week_is_told_within_thirty_days_in_nine_of_ten(pinner: Pinner, begin: int) -> None:
    assert warned_in_time(pinner, begin) >= 0.9


@pytest.mark.uncounted
@pytest.mark.parametrize(
    "mutant",
    [pytest.param(pinned_every_day, id="every day"), pytest.param(pinned_every_week, id="every week")],
)
def test_slide_would_not_be_told_against_a_baseline_that_moves(mutant: Pinner) -> None:
    assert warned_in_time(mutant) < 0.9


@pytest.mark.parametrize("number", [pytest.param(4, id="four days"), pytest.param(8, id="eight")])
def test_slide_of_answers_that_were_all_right_is_told_too(number: int) -> None:
    # 1,400 ones: a day's mean scatters by sqrt(3 / 1399 / 200) = .0033, and the slack of 7 days is .5 + 1 / sqrt(7)
    # 1 % a week is .00143 a day: S = sum of .436 d - .878 over days 3 to 8 = 9.1, 1.9 after four
    pinned = pin([DayScores(FIRST + timedelta(days=day), 200, 1.0) for day in range(7)])
    sinking = of(*(1 - 0.01 * day / 7 for day in range(1, number + 1)), first=FIRST + timedelta(days=7), n=200)
    assert find_slide(sinking, pinned, drop=0.1).alarm is (number == 8)


def alarms(days: Sequence[DayScores], pinned: Pinned) -> int:
    states = [each.alarm for each in cusum(standardised(days, pinned), slack_of(pinned), limit_of(1))]
    return sum(later and not before for before, later in pairwise([False, *states]))


@pytest.mark.uncounted
def test_slide_of_a_year_of_nothing_is_told_at_most_once_in_five() -> None:
    found = 0
    for seed in range(SEEDS):
        days = scored_days(seed, BASE + 365)
        first_weeks = sum(find_slide(days[7:count], pin(days[:7]), drop=0.1).alarm for count in range(8, BASE + 1))
        pinned, since = pinned_by_itself(days)
        found += bool(first_weeks) + alarms(since, pinned)
    assert found / SEEDS <= 0.2


# The judge


STEADY = pin_probes([DayScores(FIRST + timedelta(days=day), 40, 0.7 + 0.002 * (-1) ** day, 0.4) for day in range(28)])


@pytest.mark.parametrize("step", [-0.02, 0.02], ids=["stricter", "milder"])
def test_shift_is_found_either_way(step: float) -> None:
    found = find_shift("rubric-1", of(0.7, 0.7, *5 * [0.7 + step], n=40), STEADY)
    assert found == Shift("rubric-1", pytest.approx(step / 0.7), pytest.approx(0.7 + step), FIRST + timedelta(days=2))


def test_shift_says_what_moved() -> None:
    shift = Shift("rubric-1", -0.042, 0.671, date(2026, 1, 7))
    assert str(shift) == "judge rubric-1 moved, its probes stand at 0.671, 4.2 % below their baseline"


@pytest.mark.parametrize(
    "days",
    [
        pytest.param([], id="without probes"),
        pytest.param(of(*20 * [0.7, 0.702, 0.698], n=40), id="of probes that stand still"),
    ],
)
def test_shift_is_none(days: list[DayScores]) -> None:
    assert find_shift("rubric-1", days, STEADY) is None


def test_shift_of_one_of_many_judges_needs_more() -> None:
    # their days scatter by .00204, widened to .00204 x (1 + 1 / sqrt(2 x 27)) = .0023; z = -.006 / .0023 = -2.6
    # S = 5 x (2.6 - .69) = 9.5, beside 7.1 + ln(2) = 7.8 and 7.1 + ln(20,000) = 17
    days = of(*5 * [0.694], n=40)
    assert find_shift("rubric-1", days, STEADY) is not None
    assert find_shift("rubric-1", days, STEADY, series=10_000) is None


# What is no state to be held to


STANDING = of(*[0.79, 0.81] * 7)


@pytest.mark.parametrize(
    ("days", "since", "rises", "told"),
    [
        pytest.param(STANDING, (), True, None, id="days that stand"),
        pytest.param(of(*(0.8 - 0.01 * day for day in range(11))), (), False,
                     "from 0.800 on 2026-01-05 to 0.700 on 2026-01-15, 12.5 % below it", id="days that fall"),
        pytest.param(of(0.8, 0.7), (), False, None, id="two days prove nothing"),
        pytest.param(of(*(0.7 + 0.01 * day for day in range(11))), (), False, None, id="answers that get better"),
        pytest.param(of(*(0.7 + 0.01 * day for day in range(11))), (), True,
                     "from 0.700 on 2026-01-05 to 0.800 on 2026-01-15, 14.3 % above it", id="a judge that is milder"),
        pytest.param([], of(*(0.8 - 0.004 * day for day in range(26))), False,
                     "from 0.784 on 2026-01-09 to 0.700 on 2026-01-30, 10.7 % below it", id="a slide that is not over"),
        pytest.param([], of(*[0.8] * 5, *[0.7] * 20), False, None, id="a step that is over"),
        pytest.param(of(*[0.7] * 14), of(*(0.8 - 0.004 * day for day in range(26)), *[0.7] * 14), False, None,
                     id="a slide that is over"),
        pytest.param([], of(*(0.8 - 0.0001 * day for day in range(26))), False, None, id="less than a slide"),
    ],
)  # fmt: skip
def test_unsettled_tells_what_moves(
    days: Sequence[DayScores], since: Sequence[DayScores], rises: bool, told: str | None
) -> None:
    assert unsettled(days, since, PINNED, rises=rises) == told


def test_unsettled_without_a_baseline_looks_at_the_days_alone() -> None:
    assert unsettled(STANDING, of(*(0.8 - 0.01 * day for day in range(26))), None) is None


def test_unsettled_of_days_that_stand_is_rare() -> None:
    """A one-sided bound of 95 %: one in twenty is asked about for nothing."""
    asked = sum(unsettled(scored_days(seed, 14, weekend=0.0), (), None) is not None for seed in range(400))
    assert asked <= 0.05 * 400 + 2 * (400 * 0.05 * 0.95) ** 0.5  # two standard errors
