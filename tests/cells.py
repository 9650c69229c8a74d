"""Cells made by hand, at prices to reckon with: a token of the dear model is a dollar, of the cheap a dime."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

from ops.cost.levers import Cell, Model
from ops.cost.pricing import RateCard, TokenSums

DEAR, CHEAP, UNKNOWN = ("acme", "dear"), ("acme", "cheap"), ("acme", "unheard-of")
DAY = date(2026, 3, 5)
_RATES = {DEAR: Decimal(1), CHEAP: Decimal("0.1")}
_FROM, _TO = datetime(2020, 1, 1, tzinfo=UTC), datetime(2030, 1, 1, tzinfo=UTC)
_LARGE = 100_000  # from here on everything costs twice as much


def prices(model: Model, tier: str | None, day: date, size: int) -> RateCard | None:
    """Cached input at a tenth, writes at 1.25, output as input; `batch` of the cheap model at a quarter."""
    rate = _RATES.get(model)
    if rate is None:
        return None
    rate *= 2 if size >= _LARGE else 1
    rate *= Decimal("0.25") if (model, tier) == (CHEAP, "batch") else 1
    return RateCard(
        vendor=model[0], model=model[1], tier=tier, valid_from=_FROM, valid_to=_TO,
        from_input_tokens=0 if size < _LARGE else _LARGE, to_input_tokens=_LARGE if size < _LARGE else None,
        input_usd=rate, cached_usd=rate / 10, cache_write_usd=rate * Decimal("1.25"), cache_write_1h_usd=rate * 2,
        output_usd=rate, request_usd=None,
    )  # fmt: skip


def sums(tokens: int, output: int = 0, requests: int = 1, cached: int = 0) -> TokenSums:
    """Make sums without cache writes."""
    return TokenSums(requests, tokens, cached, 0, output)


def cell(cost: str, tokens: int = 100, **fields: Any) -> Cell:
    """Make a cell of chats of the dear model on the route `search`."""
    used = fields.pop("sums", sums(tokens))
    model = fields.pop("model", DEAR)
    usual: dict[str, Any] = {
        "day": DAY, "route": "search", "model": model, "logged_model": model, "tier": None, "operation": "chat",
        "repeats": False, "size": 0, "sums": used, "trimmed_size": 0, "trimmed": used, "cost_usd": Decimal(cost),
    }  # fmt: skip
    return Cell(**{**usual, **fields})
