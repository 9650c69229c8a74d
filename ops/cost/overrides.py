"""Negotiated prices: which contract, if any, prices a call before the price book does.

Before it: the settings' `prices`. After it: `tasks/price_usage.py` prices every call by `cards`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from itertools import combinations

from ops.cost.pricing import RateCard, rate_cards
from ops.errors import InvalidValue
from ops.money import PER_MILLION

_PER_THOUSAND = 1000
_WILD = "*"


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceOverride:
    """What a contract says of a model, or with a `*` at its end of all whose names begin so, on UTC days [start, end).

    The prices are USD per million tokens and per thousand requests; a cache price that is not named is its parent's, as
    in the book: 1-hour write -> write -> input. Without a tier it is of the standard tier alone.
    """

    contract: str
    vendor: str
    model: str
    tier: str | None = None
    start: date = date.min
    end: date = date.max
    input: Decimal
    cached: Decimal | None = None
    cache_write: Decimal | None = None
    cache_write_1h: Decimal | None = None
    output: Decimal
    per_thousand_requests: Decimal | None = None

    def __str__(self) -> str:
        """Name it as an error does."""
        tier = f" ({self.tier})" if self.tier else ""
        return f"{self.contract}: {self.vendor}/{self.model}{tier} from {self.start} to {self.end}"

    @property
    def snapshot(self) -> str:
        """Identify its content: another price has another one."""
        content = repr((self.vendor, self.model, self.tier, self.start, self.end, *map(_plain, self._prices)))
        return f"contract:{self.contract}/{hashlib.sha256(content.encode()).hexdigest()[:12]}"

    @property
    def _prices(self) -> tuple[Decimal | None, ...]:
        return (self.input, self.cached, self.cache_write, self.cache_write_1h, self.output, self.per_thousand_requests)

    def applies(self, vendor: str, model: str, tier: str | None, day: date) -> bool:
        """Say whether it prices a model's calls of a day."""
        return (
            (vendor, tier) == (self.vendor, self.tier) and self.start <= day < self.end and _matches(self.model, model)
        )

    def card(self, model: str, day: date) -> RateCard:
        """Return its price of a model on one UTC day, of every input size."""
        midnight = datetime.combine(day, time(0), tzinfo=UTC)
        cached = self.input if self.cached is None else self.cached
        written = self.input if self.cache_write is None else self.cache_write
        hour_long = written if self.cache_write_1h is None else self.cache_write_1h
        requests = self.per_thousand_requests
        return RateCard(
            vendor=self.vendor, model=model, tier=self.tier,
            valid_from=midnight, valid_to=midnight + timedelta(days=1), from_input_tokens=0, to_input_tokens=None,
            input_usd=self.input / PER_MILLION, cached_usd=cached / PER_MILLION,
            cache_write_usd=written / PER_MILLION, cache_write_1h_usd=hour_long / PER_MILLION,
            output_usd=self.output / PER_MILLION, request_usd=None if requests is None else requests / _PER_THOUSAND,
            price_source=f"contract:{self.contract}", snapshot=self.snapshot,
        )  # fmt: skip


def cards(
    overrides: Iterable[PriceOverride], vendor: str, model: str, tier: str | None, day: date
) -> tuple[RateCard, ...]:
    """Return what prices a model's calls on one UTC day: the most specific override, else the book's cards.

    A whole name is more specific than a beginning, a longer beginning than a shorter one.
    """
    found = [override for override in overrides if override.applies(vendor, model, tier, day)]
    if not found:
        return rate_cards(vendor, model, tier, day)
    return (max(found, key=lambda override: _specificity(override.model)).card(model, day),)


def check_overlaps(overrides: Sequence[PriceOverride]) -> None:
    """Refuse two overrides of which neither is the more specific one, and that both apply on some day.

    Raises:
        InvalidValue: naming both.
    """
    for one, other in combinations(overrides, 2):
        same = (one.vendor, one.model, one.tier) == (other.vendor, other.model, other.tier)
        if same and one.start < other.end and other.start < one.end:
            raise InvalidValue("prices", str(one), f"apart from {other}: both apply, and neither is more specific")


def _matches(pattern: str, model: str) -> bool:
    return model.startswith(pattern[:-1]) if pattern.endswith(_WILD) else model == pattern


def _specificity(pattern: str) -> tuple[bool, int]:
    return not pattern.endswith(_WILD), len(pattern)


def _plain(price: Decimal | None) -> str:
    return "" if price is None else f"{price.normalize():f}"
