"""What a vendor's own report says: tokens and dollars by bucket of time. To reconcile with, never added to events.

Before it: `tasks/sources/openai.py`, `tasks/sources/anthropic.py`. After it: rows of `vendor_usage` and `vendor_costs`,
which a later report of the same bucket replaces.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal

from ops.window import Window


@dataclass(frozen=True, slots=True, kw_only=True)
class VendorUsage:
    """Tokens of one bucket and one combination of dimensions; the parts of `input_tokens` as in `UsageEvent`."""

    vendor: str
    endpoint: str  # completions, embeddings, messages, …
    window: Window
    model: str | None = None
    dimensions: dict[str, str] = field(default_factory=dict)  # what else the report was grouped by
    requests: int | None = None  # None where the vendor does not count them
    input_tokens: int | None = None
    cached_tokens: int | None = None
    cache_write_tokens: int | None = None
    output_tokens: int | None = None

    @property
    def key(self) -> str:
        """What identifies the bucket in every report."""
        return _key(self.vendor, self.endpoint, self.window, {**self.dimensions, "model": self.model or ""})


@dataclass(frozen=True, slots=True, kw_only=True)
class VendorCost:
    """Dollars of one bucket and one combination of dimensions."""

    vendor: str
    window: Window
    cost_usd: Decimal
    line_item: str | None = None
    dimensions: dict[str, str] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """What identifies the bucket in every report."""
        return _key(self.vendor, "costs", self.window, {**self.dimensions, "line_item": self.line_item or ""})


def _key(vendor: str, endpoint: str, window: Window, dimensions: dict[str, str]) -> str:
    start: datetime = window.start
    parts = [vendor, endpoint, start.isoformat(), str(window.length), repr(sorted(dimensions.items()))]
    return hashlib.sha256("\x1f".join(parts).encode()).hexdigest()[:32]
