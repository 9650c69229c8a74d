from __future__ import annotations

from ops.cost.right_sizing import Basis, Distribution, RouteUse, admitted_size, recommend, trials
from ops.proportions import Pairs

USE = RouteUse("search", 1000, Distribution(900, 3000, 5000, 7000, 20_000), Distribution(100, 200, 300, 500, 4000))
GOOD, BAD = Pairs(10, 10, 500), Pairs(0, 60, 500)


def test_input_is_limited_to_the_smallest_context_that_evaluations_admit() -> None:
    found = recommend(USE, {8000: GOOD, 2000: BAD, 4000: GOOD})
    assert (found.max_input, found.basis) == (4000, Basis.EVALUATED)
    assert [trial.size for trial in found.trials] == [2000, 4000, 8000]


def test_without_an_admitted_size_the_99th_percentile_is_the_limit_on_the_grid() -> None:
    found = recommend(USE, {2000: BAD})
    # 7000 / 256 = 27.3; 28 x 256 = 7168. 500 / 256 = 1.95; 2 x 256 = 512.
    assert (found.max_input, found.basis, found.max_output) == (7168, Basis.P99, 512)


def test_route_that_tells_no_tokens_gets_no_limit() -> None:
    found = recommend(RouteUse("search", 3, None, None), {})
    assert (found.max_input, found.basis, found.max_output) == (None, None, None)


def test_route_without_output_may_write_a_step_of_the_grid() -> None:
    nothing = Distribution(0, 0, 0, 0, 0)
    assert recommend(RouteUse("search", 3, nothing, nothing), {}).max_output == 256


def test_no_trial_admits_no_size() -> None:
    assert admitted_size(trials({})) is None
