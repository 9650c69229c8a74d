"""What a call costs: the price book of genai-prices as rate cards, each linear in the token counts.

Before it: `ops/usage.py` gives every call one shape. After it: `tasks/price_usage.py` asks for the cards of each
distinct (vendor, model, tier, day) once, stores them and applies them to all events in SQL; `cost` is the same sum for
one event. The book is read when it is first asked: it comes with an HTTP client, and every command loads this module.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from importlib.metadata import version
from typing import TYPE_CHECKING

from ops.money import PER_MILLION
from ops.usage import UsageEvent

if TYPE_CHECKING:
    from genai_prices.types import ModelInfo, ModelPrice, PriceCalculation, TieredPrices

PRICE_SOURCE = "genai-prices"
SNAPSHOT = f"{PRICE_SOURCE}/{version('genai-prices')}"
_PER_THOUSAND = 1000
_ZERO = Decimal(0)
_PRICES = ("input_usd", "cached_usd", "cache_write_usd", "cache_write_1h_usd", "output_usd", "request_usd")
_BILLED = {"input_mtok", "output_mtok", "requests_kcount"}


@dataclass(frozen=True, slots=True, kw_only=True)
class RateCard:
    """One row of the price book: what the tokens of a call cost in a span of time and of input sizes.

    Both spans are half-open. The five prices are USD per token with the book's fallbacks filled in: a cache price that
    the vendor does not name is its parent's (1-hour write -> write -> input), an embedding's output is free.
    """

    vendor: str
    model: str
    tier: str | None
    valid_from: datetime
    valid_to: datetime
    from_input_tokens: int  # the whole input, cached parts included, chooses the bracket; all tokens pay its rate
    to_input_tokens: int | None
    input_usd: Decimal
    cached_usd: Decimal
    cache_write_usd: Decimal
    cache_write_1h_usd: Decimal
    output_usd: Decimal
    request_usd: Decimal | None
    price_source: str = PRICE_SOURCE
    snapshot: str = SNAPSHOT

    def applies(self, event: UsageEvent) -> bool:
        """Say whether the event falls on this card; an unknown input counts as the smallest."""
        size = event.input_tokens or 0
        return (
            event.model == self.model
            and event.vendor == self.vendor
            and event.tier == self.tier
            and self.valid_from <= event.occurred_at < self.valid_to
            and self.from_input_tokens <= size
            and (self.to_input_tokens is None or size < self.to_input_tokens)
        )


def rate_cards(vendor: str, model: str, tier: str | None, day: date) -> tuple[RateCard, ...]:
    """Look up the cards that price every call of a model on one UTC day, in order of time and input size.

    Empty when the book does not know the model, or prices it only in units that no usage log carries (audio hours,
    pages, characters). A model that the book lists without any price is free.
    """
    try:
        spans = _spans(vendor, model, tier, day)
    except LookupError:
        return ()
    return tuple(
        _card(vendor, model, tier, span, bracket, price)
        for *span, price in spans
        if _is_billable(price)
        for bracket in _brackets(price)
    )


def cost(event: UsageEvent, cards: Iterable[RateCard]) -> Decimal | None:
    """Price one call in USD; None when no card applies or a token count that is charged for is unknown.

    An answer from the gateway's own cache costs nothing, whatever token counts the gateway repeats. Parts that the log
    does not name (cached, cache writes) are taken as none.
    """
    if event.cache_hit is True:
        return _ZERO
    card = next((card for card in cards if card.applies(event)), None)
    if card is None or _is_unknown(event, card):
        return None
    total = card.request_usd or _ZERO
    cached, written = event.cached_tokens or 0, event.cache_write_tokens or 0
    uncached = (event.input_tokens or 0) - cached - written
    if uncached:
        total += card.input_usd * uncached
    if cached:
        total += card.cached_usd * cached
    if written:
        hour_long = event.cache_write_1h_tokens or 0
        total += card.cache_write_usd * (written - hour_long) + card.cache_write_1h_usd * hour_long
    if event.output_tokens:
        total += card.output_usd * event.output_tokens
    return total


@dataclass(frozen=True, slots=True)
class TokenSums:
    """What many calls used together; the parts of the input are counted in it, as in `UsageEvent`."""

    requests: int
    input_tokens: int
    cached_tokens: int
    cache_write_tokens: int
    output_tokens: int
    cache_write_1h_tokens: int = 0


def price_ratio(sums: TokenSums, then: RateCard, now: RateCard) -> Decimal:
    """Return how many times as dear the same tokens are on another card; 1 where they cost nothing.

    Cards are linear, so the sums of many calls do as well as each: all on the same brackets.
    """
    before, after = price_of(sums, then), price_of(sums, now)
    return after / before if before else Decimal(1)


def price_of(sums: TokenSums, card: RateCard) -> Decimal:
    """Return what calls that all fall on a card cost together, in USD."""
    uncached = sums.input_tokens - sums.cached_tokens - sums.cache_write_tokens
    return (
        (card.request_usd or _ZERO) * sums.requests
        + card.input_usd * uncached
        + card.cached_usd * sums.cached_tokens
        + card.cache_write_usd * (sums.cache_write_tokens - sums.cache_write_1h_tokens)
        + card.cache_write_1h_usd * sums.cache_write_1h_tokens
        + card.output_usd * sums.output_tokens
    )


def same_prices(one: RateCard, other: RateCard) -> bool:
    """Say whether two cards charge the same."""
    return all(getattr(one, name) == getattr(other, name) for name in _PRICES)


def _is_unknown(event: UsageEvent, card: RateCard) -> bool:
    return (event.input_tokens is None and card.input_usd > 0) or (event.output_tokens is None and card.output_usd > 0)


def _spans(vendor: str, model: str, tier: str | None, day: date) -> list[tuple[datetime, datetime, ModelPrice]]:
    midnight = datetime.combine(day, time(0), tzinfo=UTC)
    model_info = _look_up(vendor, model, tier, midnight).model
    starts = sorted({midnight, *_off_peak_edges(model_info, midnight)})
    ends = [*starts[1:], midnight + timedelta(days=1)]
    return [
        (start, end, _look_up(vendor, model, tier, start).model_price) for start, end in zip(starts, ends, strict=True)
    ]


def _look_up(vendor: str, model: str, tier: str | None, when: datetime) -> PriceCalculation:
    import genai_prices

    # The book silently ignores {"service_tier": "batch"}: batch is a kind of processing there.
    context = {"processing": "batch"} if tier == "batch" else {"service_tier": tier} if tier else None
    return genai_prices.calc_price(
        genai_prices.Usage(), model, provider_id=vendor, genai_request_timestamp=when, price_context=context
    )


def _off_peak_edges(model: ModelInfo, midnight: datetime) -> set[datetime]:
    from genai_prices.types import ModelPrice, TimeOfDateConstraint

    conditional = () if isinstance(model.prices, ModelPrice) else model.prices
    constraints = [entry.constraint for entry in (*conditional, *(model.price_variants or ()))]
    clocks = {
        datetime.combine(midnight, clock, tzinfo=clock.tzinfo or UTC).astimezone(UTC).timetz()
        for constraint in constraints
        if isinstance(constraint, TimeOfDateConstraint)
        for clock in (constraint.start_time, constraint.end_time)
    }
    return {datetime.combine(midnight, clock) for clock in clocks}


def _is_billable(price: ModelPrice) -> bool:
    stated = {key for key, value in vars(price).items() if value is not None}
    return not stated or bool(stated & _BILLED)


def _brackets(price: ModelPrice) -> list[tuple[int, int | None]]:
    """Cut the input sizes where a price changes; the book's cliff starts above its threshold, on the whole input."""
    from genai_prices.types import TieredPrices

    tiered = [value for value in vars(price).values() if isinstance(value, TieredPrices)]
    cliffs = {tier.start + 1 for value in tiered for tier in value.tiers}
    starts = [0, *sorted(cliffs)]
    return list(zip(starts, [*starts[1:], None], strict=True))


def _card(
    vendor: str,
    model: str,
    tier: str | None,
    span: list[datetime],
    bracket: tuple[int, int | None],
    price: ModelPrice,
) -> RateCard:
    size = bracket[0]
    uncached = _at(price.input_mtok, size) or _ZERO
    written = _or(_at(price.cache_write_mtok, size), uncached)
    per_thousand_requests = _at(price.requests_kcount, size)
    return RateCard(
        vendor=vendor,
        model=model,
        tier=tier,
        valid_from=span[0],
        valid_to=span[1],
        from_input_tokens=size,
        to_input_tokens=bracket[1],
        input_usd=uncached / PER_MILLION,
        cached_usd=_or(_at(price.cache_read_mtok, size), uncached) / PER_MILLION,
        cache_write_usd=written / PER_MILLION,
        cache_write_1h_usd=_or(_at(price.cache_write_1h_mtok, size), written) / PER_MILLION,
        output_usd=(_at(price.output_mtok, size) or _ZERO) / PER_MILLION,
        request_usd=None if per_thousand_requests is None else per_thousand_requests / _PER_THOUSAND,
    )


def _at(price: Decimal | TieredPrices | None, size: int) -> Decimal | None:
    if price is None or isinstance(price, Decimal):
        return price
    reached = [tier.price for tier in price.tiers if size > tier.start]
    return reached[-1] if reached else price.base


def _or(price: Decimal | None, parent: Decimal) -> Decimal:
    return parent if price is None else price
