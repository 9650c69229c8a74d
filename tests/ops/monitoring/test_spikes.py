"""What is usual of an hour, and what is a spike."""

from __future__ import annotations

from statistics import fmean, median

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ops.monitoring.spikes import WEEK, Usual, usual, walk

HOURS = st.lists(st.floats(0, 1000), min_size=WEEK, max_size=WEEK + 60)


def test_nothing_is_usual_in_the_first_week() -> None:
    assert usual([1.0] * (WEEK - 1)) is None
    assert usual([1.0] * WEEK) is not None


def test_walk_tells_of_nothing_before_it_knows_three_days_and_an_error() -> None:
    found = list(walk([1.0] * 80))
    assert len(found) == 81
    assert found[: 3 * 24 + 1] == [None] * (3 * 24 + 1)
    assert found[3 * 24 + 1] == Usual(1.0, 0.03, 1.0, 1.0)


def test_usual_is_half_the_hour_of_day_and_half_what_was_just_now() -> None:
    hours = [float(number % 24) for number in range(9 * 24)]  # the next hour is midnight, which costs 0
    recent = hours[0]
    for cost in hours[1:]:
        recent += 0.5 * (cost - recent)
    found = usual(hours)
    assert found is not None
    assert found.cost == pytest.approx(0 / 2 + recent / 2)
    assert (found.dearest, found.same_hour) == (23, 0)


@pytest.mark.uncounted
@given(HOURS)
def test_usual_is_what_the_formula_says(hours: list[float]) -> None:
    found = usual(hours)
    recent, variance = hours[0], None

    def scale(number: int) -> float:
        mean = fmean(hours[max(0, number - WEEK) : number])
        return max(base(number) / mean, 0.05) ** (2 / 3) if mean else 1.0

    def base(number: int) -> float:
        return (median([hours[number - 24 * day] for day in range(1, 8) if number >= 24 * day]) + recent) / 2

    for number, cost in enumerate(hours):
        if number >= 3 * 24:
            error = ((cost - base(number)) / scale(number)) ** 2
            variance = error if variance is None else variance + 0.02 * (error - variance)
        recent = recent + 0.5 * (cost - recent) if number else cost
    week = hours[-WEEK:]
    assert found is not None
    assert variance is not None
    assert found.cost == pytest.approx(base(len(hours)), abs=1e-9)
    assert found.sigma == pytest.approx(scale(len(hours)) * variance**0.5 + 0.03 * fmean(week), rel=1e-6, abs=1e-6)
    assert found.dearest == max(week)


@pytest.mark.uncounted
@given(HOURS, st.sampled_from([0.5, 4.0]))
def test_spikes_do_not_depend_on_the_currency(hours: list[float], factor: float) -> None:
    cost = 3 * fmean(hours)
    one, other = usual(hours), usual([factor * hour for hour in hours])
    assert one is not None
    assert other is not None
    for is_whole in (True, False):
        assert one.is_spike(cost, is_whole=is_whole) == other.is_spike(factor * cost, is_whole=is_whole)


@pytest.mark.parametrize(
    ("cost", "is_whole", "is_spike"),
    [
        pytest.param(130.0, True, False, id="30 above is within 3.1 sigmas of 10"),
        pytest.param(132.0, True, True, id="32 above is not"),
        pytest.param(
            132.0, False, False, id="a part: 1.3 sigmas are 13, but its hour of the day costs 100: 1.4 times is 140"
        ),
        pytest.param(141.0, False, True, id="a part above 1.4 times, and above 95 % of the week's dearest hour"),
    ],
)
def test_spike_is_above_sigmas_and_of_a_part_above_its_week(cost: float, is_whole: bool, is_spike: bool) -> None:
    assert Usual(cost=100, sigma=10, dearest=147, same_hour=100).is_spike(cost, is_whole=is_whole) is is_spike


def test_part_below_the_dearest_hour_of_its_week_is_no_spike() -> None:
    week = Usual(cost=100, sigma=10, dearest=200, same_hour=100)  # 95 % are 190
    assert not week.is_spike(190.0, is_whole=False)
    assert week.is_spike(191.0, is_whole=False)


@pytest.mark.parametrize("cost", [0.0, 7.0])
def test_spend_that_never_changes_is_no_spike(cost: float) -> None:
    found = usual([cost] * 400)
    assert found is not None
    assert not any(found.is_spike(cost, is_whole=is_whole) for is_whole in (True, False))


def test_first_cost_ever_is_no_spike() -> None:
    found = usual([0.0] * 400)
    assert found is not None
    assert not found.is_spike(1000.0, is_whole=True)  # nobody knows by how much nothing errs
