"""USD as Decimal, and how people read it."""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal

PER_MILLION = Decimal(1_000_000)
DIVERGENCE = 0.01  # of what a source reports, that our own cost of the same requests may differ by
_STORED = Decimal("1e-12")


def stored(amount: Decimal) -> Decimal:
    """Round an amount to the 12 decimals that the tables hold, so that sums agree with sums of rows."""
    return amount.quantize(_STORED, ROUND_HALF_UP)


def usd(amount: Decimal | float | None) -> str:
    """Write an amount for people: `$1,234`, `$12.34`, `$0.0042`; `unknown` for None."""
    if amount is None:
        return "unknown"
    if amount < 0:
        return f"-{usd(-amount)}"
    size = Decimal(str(amount))
    if size == 0 or Decimal("0.01") <= size < 1000:
        return f"${amount:,.2f}"
    if size >= 1000:
        return f"${amount:,.0f}"
    return f"${amount:.2g}" if size >= Decimal("0.0001") else f"${amount:.1e}"
