from __future__ import annotations

from decimal import Decimal

import pytest

from ops.monitoring.evaluation_calls import Outcome, charge, is_believed

RESERVED, TOLD = Decimal("0.02"), Decimal("0.007")


@pytest.mark.parametrize("outcome", Outcome)
def test_call_that_tells_what_it_took_is_charged_that(outcome: Outcome) -> None:
    assert charge(outcome, RESERVED, TOLD) == (TOLD, False)


@pytest.mark.parametrize("outcome", [Outcome.RATE_LIMITED, Outcome.REFUSED, Outcome.UNREACHABLE])
def test_call_that_was_not_answered_for_certain_costs_nothing(outcome: Outcome) -> None:
    assert charge(outcome, RESERVED, None) == (0, False)


@pytest.mark.parametrize(
    "outcome",
    [
        Outcome.OK,
        Outcome.SERVER_ERROR,
        Outcome.TIMEOUT,
        Outcome.BROKEN,
        Outcome.GARBAGE,
        Outcome.EMPTY,
        Outcome.INTERRUPTED,
    ],
)
def test_call_that_may_have_been_answered_is_charged_what_was_reserved_and_says_so(outcome: Outcome) -> None:
    assert charge(outcome, RESERVED, None) == (RESERVED, True)


def test_call_that_is_free_is_no_assumption() -> None:
    assert charge(Outcome.TIMEOUT, Decimal(0), None) == (0, False)


BUDGET = Decimal(1)
BELIEVED: dict[str, tuple[Decimal, Decimal | None, bool]] = {
    "what a call may cost": (TOLD, TOLD, True),
    "more than a call may cost": (TOLD, Decimal("0.006"), False),
    "what the whole run may cost": (BUDGET, None, True),
    "more than the whole run may cost": (BUDGET + TOLD, None, False),
}


@pytest.mark.parametrize(("told", "most", "expected"), BELIEVED.values(), ids=BELIEVED)
def test_price_is_believed_up_to(told: Decimal, most: Decimal | None, expected: bool) -> None:
    assert is_believed(told, most, BUDGET) is expected
