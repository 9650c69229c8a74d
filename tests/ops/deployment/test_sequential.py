import random
from itertools import accumulate
from math import sqrt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ops.deployment.sequential import (
    FOUR_OF_EACH,
    Arm,
    half_width,
    mean_difference,
    proportion_bounds,
    share_difference,
)
from ops.errors import InvalidValue
from ops.proportions import Share

SHARES = st.integers(1, 2000).flatmap(lambda n: st.builds(Share, st.integers(0, n), st.just(n)))


def test_half_width_agrees_with_growthbook():
    control, canary = Arm(3000, 1396.87, 52377.9767), Arm(3461, 2422.7, 134698.29)
    difference = 2422.7 / 3461 - 1396.87 / 3000
    half = half_width(sqrt(control.variance / 3000 + canary.variance / 3461), 3000 + 3461, 0.05, tuned_at=5000)
    assert difference - half == pytest.approx(-0.12656844, abs=1e-6)
    assert difference + half == pytest.approx(0.59532178, abs=1e-6)


def test_mean_difference_agrees_with_growthbook_but_for_the_weight_of_unequal_arms():
    bounds = mean_difference([(Arm(3000, 1396.87, 52377.9767), Arm(3461, 2422.7, 134698.29))], 0.05, tuned_at=5000)
    assert (bounds.lower, bounds.upper) == pytest.approx((-0.12656844, 0.59532178), abs=1e-3)


def test_half_width_is_narrowest_where_it_is_tuned():
    assert min(range(100, 10_000, 100), key=lambda n: half_width(1, n, 0.05, tuned_at=1000)) in range(800, 1300)


@pytest.mark.parametrize("alpha", [0, 0.5, float("nan")])
def test_half_width_refuses_an_impossible_alpha(alpha):
    with pytest.raises(InvalidValue, match="alpha"):
        half_width(1, 100, alpha)


@pytest.mark.parametrize(
    ("arm", "expected"),
    [
        pytest.param(Arm(3, 1 + 2 + 6, 1 + 4 + 36), (4 + 1 + 9) / 2, id="three values"),
        pytest.param(Arm.of(Share(3, 4)), (3 * 0.25**2 + 0.75**2) / 3, id="three successes of four"),
        pytest.param(Arm(1, 5, 25), None, id="one value has no variance"),
        pytest.param(Arm(10, sum([0.1] * 10), sum([0.1**2] * 10)), 0, id="rounding is not variance"),
    ],
)
def test_arm_variance_of(arm, expected):
    assert arm.variance == (None if expected is None else pytest.approx(expected))


def test_mean_difference_weighs_stages_by_what_their_arms_can_tell():
    # weights 300 * 100 / 400 = 75 and 100 * 100 / 200 = 50; differences 0.8 - 0.9 = -0.1 and 0.6 - 0.5 = 0.1
    stages = [(Share(270, 300), Share(80, 100)), (Share(50, 100), Share(60, 100))]
    bounds = share_difference(stages, 0.05)
    assert bounds.estimate == pytest.approx((75 * -0.1 + 50 * 0.1) / (75 + 50))


def test_mean_difference_bounds_follow_the_formula():
    control, canary = Share(450, 500), Share(400, 500)
    variance_1, variance_2 = ((Arm.of(share) + FOUR_OF_EACH).variance for share in (control, canary))
    half = half_width(sqrt((variance_1 + variance_2) / 500), 1000, 0.05)
    bounds = share_difference([(control, canary)], 0.05)
    assert (bounds.lower, bounds.upper) == pytest.approx((-0.1 - half, -0.1 + half))


@pytest.mark.parametrize(
    "strata",
    [
        pytest.param([], id="there are no strata"),
        pytest.param([(Arm(5, 5, 9), Arm(0, 0, 0))], id="an arm is empty"),
        pytest.param([(Arm(5, 5, 9), Arm(0, 0, 0)), (Arm(0, 0, 0), Arm(5, 5, 9))], id="the arms never ran together"),
        pytest.param([(Arm(5, 5, 9), Arm(1, 5, 25))], id="an arm has one value"),
        pytest.param([(Arm(5, 10, 20), Arm(5, 5, 9))], id="an arm has no spread"),
    ],
)
def test_mean_difference_is_unknown_when(strata):
    assert mean_difference(strata, 0.05) is None


@pytest.mark.parametrize(
    ("share", "lower", "upper"),
    [
        # B(1/2, 3/2) / B(1/2, 1/2) = 1/2, so 1/2 / (1 - p) < 20
        pytest.param(Share(0, 1), 0, 1 - 0.05 / 2, id="no hit in one"),
        pytest.param(Share(1, 1), 0.05 / 2, 1, id="one hit in one"),
        # B(1/2, 5/2) / B(1/2, 1/2) = 3/8
        pytest.param(Share(0, 2), 0, 1 - sqrt(0.05 * 3 / 8), id="no hit in two"),
        # B(3/2, 3/2) / B(1/2, 1/2) = 1/8, so 1/8 / (p (1 - p)) < 20
        pytest.param(Share(1, 2), (1 - sqrt(1 - 0.05 / 2)) / 2, (1 + sqrt(1 - 0.05 / 2)) / 2, id="one hit in two"),
    ],
)
def test_proportion_bounds_solve_by_hand_for(share, lower, upper):
    bounds = proportion_bounds(share, 0.05)
    assert (bounds.lower, bounds.upper) == pytest.approx((lower, upper), abs=1e-9)


def test_proportion_bounds_are_unknown_without_trials():
    assert proportion_bounds(Share(0, 0), 0.05) is None


@pytest.mark.uncounted
def test_proportion_bounds_hold_at_every_look():
    def ever_excludes(seed):
        rng = random.Random(seed)  # noqa: S311  (a simulation)
        hits = accumulate(rng.random() < 0.1 for _ in range(300))
        bounds = (proportion_bounds(Share(seen, n), 0.05) for n, seen in enumerate(hits, start=1) if n % 10 == 0)
        return any(not bound.lower <= 0.1 <= bound.upper for bound in bounds)

    assert sum(map(ever_excludes, range(200))) <= 0.05 * 200


@given(SHARES, SHARES)
def test_share_difference_surrounds_its_estimate(control, canary):
    bounds = share_difference([(control, canary)], 0.05)
    assert bounds.lower <= bounds.estimate <= bounds.upper
    assert bounds.upper - bounds.lower > 0.001
    assert bounds.estimate == pytest.approx(canary.rate - control.rate)


@pytest.mark.uncounted
@given(SHARES, SHARES)
def test_share_difference_mirrors_when_the_arms_change_places(one, two):
    there, back = share_difference([(one, two)], 0.05), share_difference([(two, one)], 0.05)
    assert (there.lower, there.upper) == pytest.approx((-back.upper, -back.lower))


@pytest.mark.parametrize(
    ("control", "canary", "method"),
    [
        pytest.param(Share(200, 200), Share(180, 200), "beta-binomial", id="a control that never failed"),
        pytest.param(Share(180, 200), Share(200, 200), "beta-binomial", id="a canary that never failed"),
        pytest.param(Share(180, 200), Share(0, 200), "beta-binomial", id="a canary that never succeeded"),
        pytest.param(Share(199, 200), Share(180, 200), "asymptotic", id="one failure is enough for a variance"),
    ],
)
def test_share_difference_method_for(control, canary, method):
    assert share_difference([(control, canary)], 0.05).method == method


def test_share_difference_spends_half_of_alpha_on_each_arm_that_it_bounds_alone():
    control, canary = proportion_bounds(Share(200, 200), 0.025), proportion_bounds(Share(180, 200), 0.025)
    bounds = share_difference([(Share(120, 120), Share(30, 30)), (Share(80, 80), Share(150, 170))], 0.05)
    assert (bounds.lower, bounds.upper) == (canary.lower - control.upper, canary.upper - control.lower)


def test_share_difference_is_unknown_when_the_arms_never_ran_together():
    assert share_difference([(Share(5, 9), Share(0, 0)), (Share(0, 0), Share(5, 9))], 0.05) is None


def test_half_width_is_tuned_to_a_thousand_requests():
    assert half_width(1, 700, 0.05) == half_width(1, 700, 0.05, tuned_at=1000)


@pytest.mark.parametrize("alpha", [1e-6, 0.49])
def test_half_width_takes_any_alpha_below_a_half(alpha):
    assert half_width(1, 100, alpha) > 0


def test_half_width_grows_as_alpha_shrinks():
    assert half_width(1, 1000, 0.01) > half_width(1, 1000, 0.05) > half_width(1, 1000, 0.10)


def test_arms_add_up():
    assert Arm(1, 2, 3) + Arm(10, 20, 30) == Arm(11, 22, 33)


def test_arm_of_two_values_has_a_variance():
    assert Arm(2, 1 + 3, 1 + 9).variance == pytest.approx(((1 - 2) ** 2 + (3 - 2) ** 2) / (2 - 1))


def test_share_difference_counts_four_hits_and_four_misses_more_for_the_variance():
    def variance(hits, n):
        return hits * (n - hits) / n / (n - 1)

    # 450 of 500 and 400 of 500, each with 4 of 8 more
    error = sqrt((variance(454, 508) + variance(404, 508)) / 500)
    bounds = share_difference([(Share(450, 500), Share(400, 500))], 0.05)
    assert bounds.upper - bounds.estimate == pytest.approx(half_width(error, 1000, 0.05))


def test_mean_difference_adds_the_certainty_of_stages():
    one, two = (Arm(300, 270, 270), Arm(100, 80, 80)), (Arm(100, 50, 50), Arm(100, 60, 60))
    weights = (300 * 100 / 400, 100 * 100 / 200)  # 75 and 50
    control, canary = (one[0] + two[0]).variance, (one[1] + two[1]).variance
    squared = 75**2 * (control / 300 + canary / 100) + 50**2 * (control / 100 + canary / 100)
    half = half_width(sqrt(squared) / sum(weights), 4 * sum(weights), 0.05)
    bounds = mean_difference([one, two], 0.05)
    assert (bounds.upper - bounds.estimate, bounds.estimate - bounds.lower) == pytest.approx((half, half))


@pytest.mark.parametrize(
    "alone",
    [
        pytest.param((Share(50, 100), Share(0, 0)), id="the control ran alone"),
        pytest.param((Share(0, 0), Share(50, 100)), id="the canary ran alone"),
        pytest.param((Share(0, 0), Share(0, 0)), id="neither ran"),
    ],
)
@pytest.mark.parametrize("both", [(Share(90, 100), Share(80, 100)), (Share(100, 100), Share(80, 100))])
def test_share_difference_leaves_out_a_stage_in_which(alone, both):
    assert share_difference([both, alone], 0.05) == share_difference([both], 0.05)


@pytest.mark.parametrize("alone", [(Arm(9, 5, 7), Arm(0, 0, 0)), (Arm(0, 0, 0), Arm(9, 5, 7))])
def test_mean_difference_leaves_out_a_stage_of_one_arm(alone):
    both = (Arm(5, 5, 9), Arm(6, 7, 11))
    assert mean_difference([both, alone], 0.05) == mean_difference([both], 0.05)
