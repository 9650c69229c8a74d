"""The causes of a change of spend add up exactly, and each stands alone when only it moved."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ops.cost.breakdown import NO_CHANGE, CauseShares, PeriodUsage, break_down, break_down_by_model
from ops.errors import InvalidValue


def usage(requests: int, tokens: int, cost_usd: str) -> PeriodUsage:
    return PeriodUsage(requests, tokens, Decimal(cost_usd))


BASE = usage(100, 1_000, "10")

SINGLE_CAUSES = {
    "twice the requests": (BASE, usage(200, 2_000, "20"), ("10", "0", "0")),
    "twice the tokens in each request": (BASE, usage(100, 2_000, "20"), ("0", "10", "0")),
    "twice the price": (BASE, usage(100, 1_000, "20"), ("0", "0", "10")),
    "half the price": (BASE, usage(100, 1_000, "5"), ("0", "0", "-5")),
    "nothing moved": (BASE, BASE, ("0", "0", "0")),
    "more requests, equally shorter": (BASE, usage(200, 1_000, "10"), ("6.931471805599", "-6.931471805599", "0")),
    "a feature that began": (usage(0, 0, "0"), BASE, ("10", "0", "0")),
    "a feature that ended": (BASE, usage(0, 0, "0"), ("-10", "0", "0")),
    "requests that began to use tokens": (usage(100, 0, "0"), BASE, ("0", "10", "0")),
    "a model that began to cost": (usage(100, 1_000, "0"), BASE, ("0", "0", "10")),
    "images without tokens, twice as many": (usage(10, 0, "4"), usage(20, 0, "8"), ("4", "0", "0")),
}


@pytest.mark.parametrize(("before", "after", "shares"), SINGLE_CAUSES.values(), ids=SINGLE_CAUSES)
def test_break_down_names_the_cause_of(before: PeriodUsage, after: PeriodUsage, shares: tuple[str, ...]) -> None:
    assert break_down(before, after) == CauseShares(*(Decimal(share) for share in shares))


def test_break_down_shares_two_causes_by_their_logarithms() -> None:
    shares = break_down(BASE, usage(200, 2_000, "80"))  # 2 x the requests, 4 x the price: ln 2 to ln 4 is 1 to 2
    assert float(shares.requests_usd) == pytest.approx(70 / 3)
    assert float(shares.price_per_token_usd) == pytest.approx(70 * 2 / 3)


PERIODS = st.builds(
    PeriodUsage, st.integers(0, 10**9), st.integers(0, 10**12), st.decimals(0, 10**6, places=10, allow_nan=False)
)


@settings(deadline=None)
@given(before=PERIODS, after=PERIODS)
def test_break_down_adds_up_to_the_last_digit(before: PeriodUsage, after: PeriodUsage) -> None:
    assert break_down(before, after).change_usd == after.cost_usd - before.cost_usd


@settings(deadline=None)
@given(before=PERIODS, after=PERIODS)
def test_break_down_backwards_is_its_negative(before: PeriodUsage, after: PeriodUsage) -> None:
    there, back = break_down(before, after), break_down(after, before)
    assert float(there.requests_usd + back.requests_usd) == pytest.approx(0, abs=1e-6)
    assert float(there.price_per_token_usd + back.price_per_token_usd) == pytest.approx(0, abs=1e-6)


def test_break_down_by_model_names_no_price_when_a_cheap_model_joins() -> None:
    dear, cheap = usage(100, 1_000, "10"), usage(900, 9_000, "2")
    assert break_down_by_model({"dear": dear}, {"dear": dear, "cheap": cheap}) == CauseShares(
        Decimal(2), Decimal(0), Decimal(0)
    )
    assert break_down(dear, usage(1_000, 10_000, "12")).price_per_token_usd < -20  # what it would be of all together
    assert break_down_by_model({}, {}) == NO_CHANGE


@settings(deadline=None)
@given(before=st.dictionaries(st.sampled_from("abc"), PERIODS), after=st.dictionaries(st.sampled_from("abc"), PERIODS))
def test_break_down_by_model_adds_up_to_the_last_digit(
    before: dict[str, PeriodUsage], after: dict[str, PeriodUsage]
) -> None:
    costs = [sum((one.cost_usd for one in side.values()), Decimal(0)) for side in (after, before)]
    assert break_down_by_model(before, after).change_usd == costs[0] - costs[1]


@pytest.mark.parametrize("field", ["requests", "tokens", "cost_usd"])
def test_period_usage_refuses_a_negative(field: str) -> None:
    amounts = {"requests": 1, "tokens": 1, "cost_usd": Decimal(1)} | {field: Decimal(-1)}
    with pytest.raises(InvalidValue, match=field):
        PeriodUsage(**amounts)  # type: ignore[arg-type]
