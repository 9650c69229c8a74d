from __future__ import annotations

from decimal import Decimal

import pytest

from ops.money import PER_MILLION, usd

WRITTEN = {
    "nothing known": (None, "unknown"),
    "nothing": (Decimal(0), "$0.00"),
    "cents": (Decimal("12.344"), "$12.34"),
    "the last amount with cents": (Decimal("999.99"), "$999.99"),
    "thousands lose their cents": (Decimal(1000), "$1,000"),
    "millions are grouped": (1_234_567.8, "$1,234,568"),
    "one cent": (Decimal("0.01"), "$0.01"),
    "below a cent two digits count": (Decimal("0.004215"), "$0.0042"),
    "the smallest written out": (Decimal("0.0001"), "$0.0001"),
    "the price of an embedding": (Decimal("0.00000018"), "$1.8e-7"),
    "a float": (0.5, "$0.50"),
    "a saving is negative": (Decimal("-12.5"), "-$12.50"),
    "a small saving": (Decimal("-0.0042"), "-$0.0042"),
}


@pytest.mark.parametrize(("amount", "text"), WRITTEN.values(), ids=WRITTEN)
def test_amount_is_written_for_people(amount: Decimal | float | None, text: str) -> None:
    assert usd(amount) == text


def test_a_price_per_million_is_exact_per_token() -> None:
    assert Decimal("2.5") / PER_MILLION == Decimal("0.0000025")
