"""Price events by rate cards of contracts and the book: each distinct (vendor, model, tier, day) is looked up once.

Before it: `tasks/sources/` parse. After it: `tasks/write_usage.py` writes the events with their prices.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import asdict
from datetime import date, datetime
from decimal import Decimal
from functools import lru_cache
from typing import Any

import sqlalchemy as sa

from ops.cost.overrides import PriceOverride, cards
from ops.cost.pricing import RateCard, TokenSums, cost, price_ratio, same_prices
from ops.money import stored
from ops.usage import UsageEvent
from tasks.stores.usage import Price, add_rate_cards

CARDS = 20_000
_FREE = Price(Decimal(0), "gateway-cache")
_UNKNOWN = Price()
CardKey = tuple[str, str, str | None, date]  # vendor, model, tier, UTC day
ModelDay = tuple[datetime, str, str]  # UTC midnight, vendor, model


class Pricer:
    """Prices events, and stores the cards that it used so that a cost can be explained."""

    def __init__(self, engine: sa.Engine, overrides: tuple[PriceOverride, ...] = ()) -> None:
        self._engine = engine
        self._overrides = overrides
        self._cards: dict[CardKey, tuple[RateCard, ...]] = {}

    def price(self, events: Sequence[UsageEvent]) -> list[Price]:
        """Return the price of each event; unknown where there is none."""
        keys = [(event.vendor, event.model, event.tier, event.occurred_at.date()) for event in events]
        known = self.cards(set(keys))
        return [_price(event, known[key]) for event, key in zip(events, keys, strict=True)]

    def unknown(self, events: Sequence[UsageEvent]) -> tuple[str, ...]:
        """Name the models of these events that neither a contract nor the book knows."""
        names = {(event.vendor, event.model, event.tier, event.occurred_at.date()) for event in events}
        return tuple(sorted({f"{key[0]}/{key[1]}" for key in names if not self._cards.get(key)}))

    def cards(self, keys: Set[CardKey]) -> Mapping[CardKey, tuple[RateCard, ...]]:
        """Return the cards of these keys at least; none where a model is unknown."""
        missing = keys - self._cards.keys()
        if len(self._cards) > CARDS:
            self._cards.clear()
            missing = set(keys)
        found = {key: _cards(self._overrides, *key) for key in missing}
        add_rate_cards(self._engine, [_row(card) for _, cards in sorted(found.items(), key=repr) for card in cards])
        self._cards |= found
        return self._cards


def _price(event: UsageEvent, cards: tuple[RateCard, ...]) -> Price:
    if event.cache_hit is True:
        return _FREE
    found = cost(event, cards)
    return _UNKNOWN if found is None else Price(stored(found), cards[0].price_source, cards[0].snapshot)


def price_changes(
    usage: Mapping[ModelDay, TokenSums], today: date, overrides: tuple[PriceOverride, ...] = ()
) -> dict[ModelDay, Decimal]:
    """Return how many times as dear each day's tokens of a model would be today, where its price has changed since.

    By the cards of the standard tier and the smallest inputs: a change mostly moves all of a model's prices.
    """
    found: dict[ModelDay, Decimal] = {}
    for (day, vendor, model), sums in usage.items():
        then, now = (_cards(overrides, vendor, model, None, when) for when in (day.date(), today))
        if then and now and not same_prices(then[0], now[0]):
            found[day, vendor, model] = price_ratio(sums, then[0], now[0])
    return found


@lru_cache(maxsize=CARDS)
def _cards(
    overrides: tuple[PriceOverride, ...], vendor: str, model: str, tier: str | None, day: date
) -> tuple[RateCard, ...]:
    return cards(overrides, vendor, model, tier, day)


def card_of(
    overrides: tuple[PriceOverride, ...], model: tuple[str, str], tier: str | None, day: date, size: int
) -> RateCard | None:
    """Return the card of a model by which an input of a size is charged; of several in a day the dearest."""
    fitting = [
        card
        for card in _cards(overrides, *model, tier, day)
        if card.from_input_tokens <= size and (card.to_input_tokens is None or size < card.to_input_tokens)
    ]
    return max(fitting, key=lambda card: (card.input_usd, card.output_usd), default=None)


def price_edges(overrides: tuple[PriceOverride, ...], models: Iterable[tuple[str, str]], day: date) -> list[int]:
    """Return the input sizes, from 0 on, from which some of the models' tokens have another price."""
    return sorted({0} | {card.from_input_tokens for model in models for card in _cards(overrides, *model, None, day)})


def _row(card: RateCard) -> dict[str, Any]:
    row = asdict(card)
    row["price_snapshot"] = row.pop("snapshot")
    return row
