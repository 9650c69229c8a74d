from __future__ import annotations

from decimal import Decimal

import pytest

from ops.cost.model_selection import Candidate, Reason, Verdict, judge, select
from ops.proportions import Pairs

GOOD, BAD, FEW = Pairs(10, 10, 500), Pairs(0, 60, 500), Pairs(1, 1, 20)
COST = Decimal(100)


def candidate(model: str, pairs: Pairs, cost: str | None) -> Candidate:
    return Candidate(model, pairs, Decimal(cost) if cost else None)


@pytest.mark.parametrize(
    ("pairs", "verdict"),
    [
        pytest.param(GOOD, Verdict.ADMITTED, id="as good in many pairs"),
        pytest.param(BAD, Verdict.REJECTED, id="12 points worse in many pairs"),
        pytest.param(Pairs(20, 52, 800), Verdict.REJECTED, id="not shown as good by pairs enough"),
        pytest.param(Pairs(0, 150, 500), Verdict.REJECTED, id="30 points worse, where as good ones need more pairs"),
        pytest.param(FEW, Verdict.INSUFFICIENT_DATA, id="as good in few pairs"),
        pytest.param(Pairs(0, 0, 0), Verdict.INSUFFICIENT_DATA, id="no pairs"),
    ],
)
def test_verdict_on(pairs: Pairs, verdict: Verdict) -> None:
    found, lower, needed = judge(pairs)
    assert found is verdict
    assert (lower > -0.05) == (verdict is Verdict.ADMITTED)
    assert pairs.n < needed or verdict is not Verdict.INSUFFICIENT_DATA


def test_cheapest_admitted_model_wins_and_its_change_is_only_named() -> None:
    found = select(
        "search", "a/now", COST,
        [candidate("a/dearest", GOOD, "150"), candidate("a/good", GOOD, "40"), candidate("a/worse", BAD, "5"),
         candidate("a/good-too", GOOD, "60"), candidate("a/new", FEW, "1"), candidate("a/unpriced", GOOD, None)],
    )  # fmt: skip
    assert (found.chosen, found.reason) == ("a/good", Reason.CHEAPEST_ADMITTED)
    assert found.change == {"flag": "model.search", "from": "a/now", "to": "a/good"}
    assert found.saved_usd == 60
    assert [each.model for each in found.candidates] == [
        "a/new", "a/worse", "a/good", "a/good-too", "a/dearest", "a/unpriced"
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("candidates", "reason"),
    [
        pytest.param([], Reason.NO_PAIRS, id="without pairs"),
        pytest.param([candidate("a/x", GOOD, "150")], Reason.ALREADY_CHEAPEST, id="when every other costs more"),
        pytest.param([candidate("a/x", GOOD, "100")], Reason.ALREADY_CHEAPEST, id="when another costs the same"),
        pytest.param([candidate("a/x", GOOD, None)], Reason.ALREADY_CHEAPEST, id="when no price is known"),
        pytest.param([candidate("a/x", BAD, "5")], Reason.NOT_SHOWN, id="when the cheaper ones are worse"),
        pytest.param(
            [candidate("a/x", BAD, "5"), candidate("a/y", FEW, "6")], Reason.INSUFFICIENT_DATA, id="with few pairs"
        ),
    ],
)
def test_model_stays(candidates: list[Candidate], reason: Reason) -> None:
    found = select("search", "a/now", COST, candidates)
    assert (found.chosen, found.reason, found.change, found.saved_usd) == ("a/now", reason, None, None)


def test_stricter_bar_admits_less() -> None:
    assert select("search", "a/now", COST, [candidate("a/x", GOOD, "5")], max_drop=0.01).change is None
