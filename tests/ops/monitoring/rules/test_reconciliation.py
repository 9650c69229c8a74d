"""A vendor's bill that our logs do not explain."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from ops.errors import InvalidValue
from ops.monitoring.alerts import Status, Tier
from ops.monitoring.rules.reconciliation import BillSample, evaluate


def sample(ours: str | None, theirs: str | None, **changes: Any) -> BillSample:
    """Sample a final day; 5 % and a dollar are allowed."""
    usual: dict[str, Any] = {
        "vendor": "openai", "day": date(2026, 3, 4), "tolerance": 0.05, "floor_usd": Decimal(1),
        "ours": None if ours is None else Decimal(ours), "theirs": None if theirs is None else Decimal(theirs),
        "shows": "our logs miss usage",
    }  # fmt: skip
    return BillSample(**{**usual, **changes})


@pytest.mark.parametrize(
    ("measured", "status"),
    [
        pytest.param(sample("100", "100"), Status.OK, id="equal"),
        pytest.param(sample("95", "100"), Status.OK, id="5 % less is allowed"),
        pytest.param(sample("94.9", "100"), Status.BREACH, id="5.1 % are not"),
        pytest.param(sample("105.1", "100"), Status.BREACH, id="nor are 5.1 % more"),
        pytest.param(sample("0.1", "1"), Status.OK, id="90 cents are nothing to tell"),
        pytest.param(sample("5", "0"), Status.BREACH, id="the vendor charged nothing for what we count"),
        pytest.param(sample("0", "0"), Status.OK, id="a day without usage"),
        pytest.param(sample("10", "20", unit="tokens"), Status.BREACH, id="tokens have no floor in dollars"),
        pytest.param(sample(None, "100"), Status.INSUFFICIENT_DATA, id="our side is unknown"),
        pytest.param(sample("100", None), Status.INSUFFICIENT_DATA, id="theirs is"),
        pytest.param(sample("100", "100", day=None), Status.INSUFFICIENT_DATA, id="no final day"),
    ],
)
def test_bill_is_judged_by_share_and_dollars(measured: BillSample, status: Status) -> None:
    condition = evaluate(measured)
    assert (condition.status, condition.key, condition.rule) == (status, "vendor:openai", "reconciliation")
    assert condition.tier is (Tier.WARNING if status is Status.BREACH else None)


def test_bill_tells_both_sides_and_where_they_differ() -> None:
    condition = evaluate(sample("90", "100", worst={"gpt-4o": "our logs miss usage"}))
    assert condition.summary.value == "-10.0% against openai's own figure of 2026-03-04"
    assert condition.evidence == {
        "cause": "our logs miss usage", "ours": "$90.00", "theirs": "$100.00", "gpt-4o": "our logs miss usage",
    }  # fmt: skip
    assert evaluate(sample("90", "100", unit="tokens")).evidence["ours"] == "90 tokens"


def test_bill_needs_a_tolerance() -> None:
    with pytest.raises(InvalidValue, match=r"alerting\.bill_tolerance"):
        sample("1", "1", tolerance=0)
