from __future__ import annotations

from decimal import Decimal
from random import Random

import pytest

from ops.cost.holdout import Calibration, Group, realised
from ops.cost.levers import Lever


def group(users: int, per_call: str, calls: int = 10) -> Group:
    made = Group()
    for _ in range(users):
        made.add(calls, calls * Decimal(per_call))
    return made


def test_realised_saving_is_that_of_a_call_against_the_held_out() -> None:
    # 0.6 $ a call against 0.8 $: 1 - 0.75; 1000 calls would have cost 800 $, and cost 600 $
    found = realised(Lever.RESPONSE_CACHE, group(100, "0.6"), group(40, "0.8"), 0.25)
    assert found.realised == pytest.approx(0.25)
    assert (found.low80, found.high80) == (pytest.approx(0.25), pytest.approx(0.25))  # users do not differ
    assert float(found.saved_usd or 0) == pytest.approx(200)
    assert (found.users, found.held_out_users, found.calibration) == (100, 40, Calibration.HOLDS)


@pytest.mark.parametrize(
    ("predicted", "calibration"),
    [
        pytest.param(0.20, Calibration.HOLDS, id="1.25 times as predicted"),
        pytest.param(0.199, Calibration.RECALIBRATE, id="more than 1.25 times as predicted"),
        pytest.param(0.3125, Calibration.HOLDS, id="0.8 times as predicted"),
        pytest.param(0.32, Calibration.RECALIBRATE, id="less than 0.8 times as predicted"),
        pytest.param(None, Calibration.NO_ESTIMATE, id="nothing was predicted"),
    ],
)
def test_estimate(predicted: float | None, calibration: Calibration) -> None:
    found = realised(Lever.RESPONSE_CACHE, group(100, "0.375"), group(40, "0.5"), predicted)
    assert found.calibration is calibration
    assert found.ratio == (pytest.approx(0.25 / predicted) if predicted else None)


@pytest.mark.parametrize(
    ("treated", "held_out"),
    [
        pytest.param(group(29, "1"), group(40, "1"), id="few users"),
        pytest.param(group(100, "1"), group(29, "1"), id="few held out"),
        pytest.param(group(100, "1"), group(40, "0"), id="a hold-out that costs nothing"),
        pytest.param(group(100, "1"), group(40, "1", calls=0), id="a hold-out without calls"),
    ],
)
def test_nothing_is_said_of(treated: Group, held_out: Group) -> None:
    found = realised(Lever.RESPONSE_CACHE, treated, held_out, 0.3)
    assert (found.realised, found.saved_usd, found.ratio) == (None, None, None)
    assert found.calibration is Calibration.TOO_LITTLE


def test_all_saved_is_all_of_it() -> None:
    assert realised(Lever.EMBEDDING_CACHE, group(100, "0"), group(40, "1"), 1.0).realised == 1


@pytest.mark.uncounted
def test_interval_covers_the_truth_in_four_of_five_cases() -> None:
    draw, runs, covered = Random(3), 200, 0  # noqa: S311
    for _ in range(runs):
        treated, held_out = Group(), Group()
        for number in range(400):
            calls = 1 + int(draw.expovariate(0.05))
            cost = Decimal(sum(draw.expovariate(1) for _ in range(calls)))
            if number % 4:
                treated.add(calls, cost * Decimal("0.7"))
            else:
                held_out.add(calls, cost)
        found = realised(Lever.RESPONSE_CACHE, treated, held_out, None)
        assert found.low80 is not None
        assert found.high80 is not None
        covered += found.low80 <= 0.3 <= found.high80
    # 80 % of 200, and three standard deviations: 3 sqrt(200 x 0.8 x 0.2) = 17
    assert 160 - 17 <= covered <= 160 + 17
