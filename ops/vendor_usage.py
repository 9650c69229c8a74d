"""What a vendor's own report says: tokens and dollars by bucket of time. To reconcile with, never added to events.

Before it: `tasks/sources/openai.py`, `tasks/sources/anthropic.py`. After it: rows of `vendor_usage` and `vendor_costs`,
which a later report of the same days replaces.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC
from decimal import Decimal
from typing import Any

from ops.errors import InvalidValue
from ops.money import stored
from ops.usage import check_text
from ops.window import Window

MAX_COUNT = 2**63 - 1  # what a bigint holds
MAX_USD = Decimal(1_000_000_000)  # of one row; credits are negative
COUNTS = ("requests", "input_tokens", "cached_tokens", "cache_write_tokens", "output_tokens")
INPUT_ALONE = frozenset({"embeddings", "moderations"})  # endpoints that write no token and cache none: none told is 0
Dimensions = Mapping[str, str | None]  # None: grouped by it, and the vendor names none (Anthropic's default workspace)


@dataclass(frozen=True, slots=True, kw_only=True)
class VendorUsage:
    """Tokens of one bucket and one combination of dimensions; the parts of `input_tokens` as in `UsageEvent`."""

    vendor: str
    endpoint: str  # completions, embeddings, messages, …
    window: Window  # a bucket that had not ended when it was asked for holds what there was until then
    model: str | None = None
    dimensions: Dimensions = field(default_factory=dict)  # what else the report was grouped by
    requests: int | None = None  # None where the vendor does not count them
    input_tokens: int | None = None  # with cached and cache-write ones
    cached_tokens: int | None = None
    cache_write_tokens: int | None = None
    output_tokens: int | None = None

    @property
    def key(self) -> str:
        """What identifies the bucket in every report."""
        return _key(self.vendor, self.endpoint, self.window, self.model, self.dimensions)

    def plus(self, other: VendorUsage) -> VendorUsage:
        """Add up; a count that either does not know stays unknown."""
        sums: dict[str, Any] = {name: _sum(getattr(self, name), getattr(other, name)) for name in COUNTS}
        return replace(self, **sums)

    def validated(self) -> VendorUsage:
        """Return this when every field keeps its limit.

        Raises:
            InvalidValue: naming the first field that breaks its limit.
        """
        _check_texts({"endpoint": self.endpoint, "model": self.model, **self.dimensions})
        for name in COUNTS:
            count = getattr(self, name)
            if count is not None and not 0 <= count <= MAX_COUNT:
                raise InvalidValue(name, count, "between 0 and 2^63 - 1")
        parts = (self.cached_tokens or 0) + (self.cache_write_tokens or 0)
        if parts > (self.input_tokens or 0):
            raise InvalidValue("cached_tokens + cache_write_tokens", parts, f"within input_tokens {self.input_tokens}")
        return self


@dataclass(frozen=True, slots=True, kw_only=True)
class VendorCost:
    """Dollars of one bucket and one combination of dimensions; negative for a credit."""

    vendor: str
    window: Window
    cost_usd: Decimal
    line_item: str | None = None
    dimensions: Dimensions = field(default_factory=dict)

    @property
    def key(self) -> str:
        """What identifies the bucket in every report."""
        return _key(self.vendor, "costs", self.window, self.line_item, self.dimensions)

    def plus(self, other: VendorCost) -> VendorCost:
        """Add up."""
        return replace(self, cost_usd=self.cost_usd + other.cost_usd)

    def validated(self) -> VendorCost:
        """Return this, rounded to the 12 decimals that the table holds, when every field keeps its limit.

        Raises:
            InvalidValue: naming the first field that breaks its limit.
        """
        _check_texts({"line_item": self.line_item, **self.dimensions})
        return replace(self, cost_usd=stored(checked_usd(self.cost_usd)))


def checked_usd(amount: Decimal, limit: Decimal = MAX_USD) -> Decimal:
    """Return an amount that is a number below the limit, either side of zero; safe to calculate with."""
    if not (amount.is_finite() and -limit < amount < limit):
        raise InvalidValue("amount", str(amount), f"a number between -{limit:f} and {limit:f}")
    return amount


def _check_texts(texts: Dimensions) -> None:
    for name, value in texts.items():
        if value is not None:
            check_text(name, value)


def _sum(one: int | None, other: int | None) -> int | None:
    return None if one is None or other is None else one + other


def _key(vendor: str, report: str, window: Window, name: str | None, dimensions: Dimensions) -> str:
    """Hash everything that tells two rows apart; `repr` keeps None, "" and a quote in a name apart."""
    start, seconds = window.start.astimezone(UTC).isoformat(), window.length.total_seconds()
    parts = (vendor, report, start, seconds, name, sorted(dimensions.items()))
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:32]
