"""A model without a price, or with another one than its sources report."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from ops.monitoring.alerts import Status, Tier
from ops.monitoring.rules.prices import PriceSample, evaluate


def sample(**fields: Any) -> PriceSample:
    return PriceSample(**{"model": "openai/gpt-4o", "events": 1000, **fields})


def sums(ours: str, reported: str) -> dict[str, Decimal]:
    return {"our_usd": Decimal(ours), "reported_usd": Decimal(reported)}


@pytest.mark.parametrize(
    ("fields", "breach", "near"),
    [
        pytest.param({}, False, False, id="nothing is reported and all have a price"),
        pytest.param({"unpriced_events": 1000}, True, False, id="none has a price"),
        pytest.param({"unpriced_events": 11}, True, False, id="11 of 1,000 have none"),
        pytest.param({"unpriced_events": 10}, False, True, id="10 of 1,000 are not above 1 %"),
        pytest.param({"unpriced_events": 8}, False, False, id="8 of 1,000 are far below"),
        pytest.param({"unpriced_events": 50, "failures": 50}, False, False, id="all of them can be failures"),
        pytest.param({"unpriced_events": 51, "failures": 50}, True, False, id="one of them cannot"),
        pytest.param(sums("101", "100"), False, True, id="one percent more"),
        pytest.param(sums("101.1", "100"), True, False, id="more than one percent more"),
        pytest.param(sums("98.9", "100"), True, False, id="more than one percent less"),
        pytest.param(sums("100.5", "100"), False, False, id="half a percent"),
        pytest.param(sums("0.009", "0"), False, False, id="less than a cent"),
        pytest.param(sums("5", "0"), True, False, id="a source that says it was free"),
        pytest.param({"events": 0}, False, False, id="no requests any more"),
    ],
)
def test_price_is_judged_by_what_has_none_and_what_is_reported(
    fields: dict[str, Any], breach: bool, near: bool
) -> None:
    condition = evaluate(sample(**fields))
    assert (condition.rule, condition.key) == ("prices", "model:openai/gpt-4o")
    assert (condition.status is Status.BREACH, condition.near_limit) == (breach, near)
    assert condition.tier is (Tier.INFO if breach else None)


def test_unknown_price_says_of_how_many_and_what_to_do() -> None:
    condition = evaluate(sample(unpriced_events=1000, **sums("2", "1")))
    assert condition.summary.value == "unknown for 1,000 of 1,000 requests in 24 h"
    assert condition.evidence == {
        "cause": "neither `prices` nor the price book knows it",
        "what_to_do": "name its price in `prices`, then run cost reprice",
    }
    assert evaluate(sample(unpriced_events=900)).evidence["cause"].startswith("some requests tell no tokens")  # type: ignore[union-attr]


def test_other_cost_says_both() -> None:
    condition = evaluate(sample(**sums("110", "100")))
    assert condition.summary.value == "+10.0% against what its sources report"
    assert condition.evidence == {"ours": "$110.00", "reported": "$100.00"}


def test_model_without_requests_says_so() -> None:
    assert evaluate(sample(events=0)).summary.value == "no requests in 24 h"
