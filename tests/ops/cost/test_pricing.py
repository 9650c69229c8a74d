"""Prices tie out with the price book to the last digit, on every cliff, hour and tier."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

import genai_prices
import pytest
from genai_prices.data_snapshot import get_snapshot
from genai_prices.types import ConditionalPrice, ModelInfo, ModelPrice, TimeOfDateConstraint, Usage
from hypothesis import given, settings
from hypothesis import strategies as st

from ops.cost.pricing import SNAPSHOT, RateCard, TokenSums, cost, price_of, rate_cards
from ops.usage import MAX_TOKENS, Status, UsageEvent

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
VENDORS = ("openai", "anthropic", "google", "deepseek", "mistral", "perplexity")


def call(model: str, vendor: str = "openai", when: datetime = NOON, **fields: Any) -> UsageEvent:
    return UsageEvent(
        event_id="e", occurred_at=when, vendor=vendor, model=model, operation="chat", status=Status.SUCCESS, **fields
    )


def priced(event: UsageEvent) -> Decimal | None:
    return cost(event, rate_cards(event.vendor, event.model, event.tier, event.occurred_at.date()))


TIE_OUTS = {
    "gpt-4o pays half for cached input": (
        call("gpt-4o-2024-08-06", input_tokens=2006, cached_tokens=1920, output_tokens=300),
        (2006 - 1920) * Decimal("2.5e-6") + 1920 * Decimal("1.25e-6") + 300 * Decimal("10e-6"),
        Decimal("0.005615"),
    ),
    "claude pays a tenth for reads and a quarter more for writes": (
        call(
            "claude-sonnet-4-5",
            "anthropic",
            input_tokens=32_120,
            cached_tokens=30_000,
            cache_write_tokens=2_000,
            output_tokens=340,
        ),
        120 * Decimal("3e-6") + 30_000 * Decimal(".3e-6") + 2_000 * Decimal("3.75e-6") + 340 * Decimal("15e-6"),
        Decimal("0.02196"),
    ),
    "a claude write for an hour costs twice the input": (
        call(
            "claude-sonnet-4-5",
            "anthropic",
            input_tokens=2_000,
            cache_write_tokens=2_000,
            cache_write_1h_tokens=1_500,
            output_tokens=0,
        ),
        500 * Decimal("3.75e-6") + 1_500 * Decimal("6e-6"),
        Decimal("0.010875"),
    ),
    "o3 before its price cut": (
        call("o3", when=datetime(2025, 6, 1, 12, tzinfo=UTC), input_tokens=10**6, output_tokens=10**6),
        Decimal(10 + 40),
        Decimal(50),
    ),
    "o3 after its price cut": (
        call("o3", when=datetime(2025, 6, 20, 12, tzinfo=UTC), input_tokens=10**6, output_tokens=10**6),
        Decimal(2 + 8),
        Decimal(10),
    ),
    "an embedding has no output to pay": (
        call("text-embedding-3-small", input_tokens=9),
        9 * Decimal("0.02e-6"),
        Decimal("1.8e-7"),
    ),
    "gemini on its cliff": (
        call("gemini-2.5-pro", "google", input_tokens=200_000, output_tokens=1_000),
        200_000 * Decimal("1.25e-6") + 1_000 * Decimal("10e-6"),
        Decimal("0.260"),
    ),
    "gemini one token over its cliff pays the dear rate for all": (
        call("gemini-2.5-pro", "google", input_tokens=200_001, output_tokens=1_000),
        200_001 * Decimal("2.5e-6") + 1_000 * Decimal("15e-6"),
        Decimal("0.5150025"),
    ),
    "a search model pays per request too": (
        call("sonar", "perplexity", input_tokens=1_000, output_tokens=1_000),
        2_000 * Decimal("1e-6") + Decimal(12) / 1_000,
        Decimal("0.014"),
    ),
    "batch is half price": (
        call("gpt-4o-mini", when=datetime(2026, 11, 2, tzinfo=UTC), tier="batch", input_tokens=10**6, output_tokens=0),
        Decimal("0.15") / 2,
        Decimal("0.075"),
    ),
    "priority is dearer": (
        call("gpt-4o", when=datetime(2026, 11, 2, tzinfo=UTC), tier="priority", input_tokens=10**6, output_tokens=0),
        Decimal("2.5") * Decimal("1.7"),
        Decimal("4.25"),
    ),
    "a model that the book lists as free": (call("moderation"), Decimal(0), Decimal(0)),
    "a failure that used no tokens": (call("gpt-4o", input_tokens=0, output_tokens=0), Decimal(0), Decimal(0)),
}


@pytest.mark.parametrize(("event", "arithmetic", "expected"), TIE_OUTS.values(), ids=TIE_OUTS)
def test_cost_ties_out(event: UsageEvent, arithmetic: Decimal, expected: Decimal) -> None:
    assert priced(event) == arithmetic == expected


UNPRICED = {
    "an unknown model": call("no-such-model", input_tokens=1, output_tokens=1),
    "an unknown vendor": call("gpt-4o", "no-such-vendor", input_tokens=1, output_tokens=1),
    "a model id that still carries a gateway's slash": call("openai/gpt-4o", input_tokens=1, output_tokens=1),
    "a model billed by the audio hour": call("whisper-1", input_tokens=1, output_tokens=1),
    "an unknown input": call("gpt-4o", output_tokens=1),
    "an unknown output": call("gpt-4o", input_tokens=1),
}


@pytest.mark.parametrize("event", UNPRICED.values(), ids=UNPRICED)
def test_cost_is_unknown_for(event: UsageEvent) -> None:
    assert priced(event) is None


def test_cost_is_unknown_when_cards_are_of_another_day() -> None:
    event = call("gpt-4o", input_tokens=1, output_tokens=1)
    assert cost(event, rate_cards("openai", "gpt-4o", None, event.occurred_at.date() - timedelta(days=1))) is None


def test_cost_of_a_gateway_cache_hit_is_zero_whatever_its_tokens() -> None:
    assert priced(call("gpt-4o", input_tokens=10**6, output_tokens=10**6, cache_hit=True)) == 0


def test_cost_of_a_gateway_cache_miss_is_the_vendor_price() -> None:
    assert priced(call("gpt-4o", input_tokens=10**6, output_tokens=0, cache_hit=False)) == Decimal("2.5")


def test_cost_counts_reasoning_inside_output() -> None:
    event = call("o3", input_tokens=0, output_tokens=1_000, reasoning_tokens=900)
    assert priced(event) == 1_000 * Decimal("8e-6")


def test_rate_cards_split_the_day_where_off_peak_prices_begin() -> None:
    day = date(2025, 7, 1)
    cards = rate_cards("deepseek", "deepseek-chat", None, day)
    peak = (datetime(2025, 7, 1, 0, 30, tzinfo=UTC), datetime(2025, 7, 1, 16, 30, tzinfo=UTC))
    midnight = datetime(2025, 7, 1, tzinfo=UTC)
    assert [(card.valid_from, card.valid_to) for card in cards] == [
        (midnight, peak[0]),
        peak,
        (peak[1], midnight + timedelta(days=1)),
    ]
    assert cards[0].input_usd == cards[2].input_usd < cards[1].input_usd


def test_rate_cards_split_the_input_at_a_cliff() -> None:
    cards = rate_cards("google", "gemini-2.5-pro", None, NOON.date())
    assert [(card.from_input_tokens, card.to_input_tokens) for card in cards] == [(0, 200_001), (200_001, None)]


def test_rate_cards_fill_in_the_books_fallbacks_and_name_their_source() -> None:
    (card,) = rate_cards("mistral", "mistral-large-latest", None, NOON.date())
    assert card.cache_write_usd == card.cache_write_1h_usd == card.input_usd
    assert card.request_usd is None
    assert card.price_source == "genai-prices"
    assert card.snapshot == SNAPSHOT == f"genai-prices/{genai_prices.__version__}"


def test_rate_cards_of_batch_fall_back_to_the_standard_price() -> None:
    (standard,), (batch,) = (rate_cards("openai", "gpt-3.5-turbo-0301", tier, NOON.date()) for tier in (None, "batch"))
    assert (batch.tier, batch.input_usd) == ("batch", standard.input_usd)


def is_billed_by_tokens(model: ModelInfo) -> bool:
    entries = [ConditionalPrice(prices=model.prices)] if isinstance(model.prices, ModelPrice) else model.prices
    return all("input_mtok" in vars(entry.prices) or not vars(entry.prices) for entry in entries)


def is_found(vendor: str, model: str) -> bool:
    try:
        genai_prices.calc_price(Usage(), model, provider_id=vendor, genai_request_timestamp=NOON)
    except LookupError:  # some ids of the book are patterns that their own matcher refuses
        return False
    return True


MODELS = [
    (provider.id, model.id)
    for provider in get_snapshot().providers
    if provider.id in VENDORS
    for model in provider.models
    if is_billed_by_tokens(model) and is_found(provider.id, model.id)
]


def edge_times(vendor: str, model: str) -> list[time]:
    found = genai_prices.calc_price(Usage(), model, provider_id=vendor, genai_request_timestamp=NOON).model
    entries = [] if isinstance(found.prices, ModelPrice) else found.prices
    limits = [entry.constraint for entry in entries if isinstance(entry.constraint, TimeOfDateConstraint)]
    return [clock for limit in limits for clock in (limit.start_time, limit.end_time)]


@st.composite
def events(draw: st.DrawFn) -> UsageEvent:
    vendor, model = draw(st.sampled_from(MODELS))
    total = draw(st.integers(0, 600_000) | st.sampled_from([100_000, 200_000, 272_000, 272_001, MAX_TOKENS]))
    cached = draw(st.integers(0, total))
    written = draw(st.integers(0, total - cached))
    day = draw(st.dates(date(2024, 1, 1), date(2027, 1, 1)))
    clock = draw(st.sampled_from(edge_times(vendor, model) or [time(0)]) | st.times())
    return call(
        model,
        vendor,
        datetime.combine(day, clock.replace(tzinfo=UTC)),
        tier=draw(st.sampled_from([None, "batch", "priority", "flex"])),
        input_tokens=total,
        cached_tokens=cached,
        cache_write_tokens=written,
        cache_write_1h_tokens=draw(st.integers(0, written)),
        output_tokens=draw(st.integers(0, 100_000)),
    )


CONTEXTS = {None: None, "batch": {"processing": "batch"}, "priority": {"service_tier": "priority"}}


@pytest.mark.uncounted
@settings(max_examples=300, deadline=None)
@given(event=events())
def test_cost_equals_the_price_books_own_calculation(event: UsageEvent) -> None:
    usage = Usage(
        input_tokens=event.input_tokens,
        cache_read_tokens=event.cached_tokens,
        cache_write_tokens=event.cache_write_tokens,
        cache_write_1h_tokens=event.cache_write_1h_tokens,
        output_tokens=event.output_tokens,
    )
    theirs = genai_prices.calc_price(
        usage,
        event.model,
        provider_id=event.vendor,
        genai_request_timestamp=event.occurred_at,
        price_context=CONTEXTS.get(event.tier, {"service_tier": event.tier or ""}),
    )
    assert priced(event) == theirs.total_price


@pytest.mark.parametrize(("vendor", "model"), [("google", "gemini-2.5-pro"), ("deepseek", "deepseek-chat")])
def test_rate_cards_cover_every_instant_and_size_exactly_once(vendor: str, model: str) -> None:
    cards: tuple[RateCard, ...] = rate_cards(vendor, model, None, NOON.date())
    midnight = datetime.combine(NOON.date(), time(0), tzinfo=UTC)
    for minutes in range(0, 24 * 60, 30):
        for size in (0, 200_000, 200_001, MAX_TOKENS):
            when = midnight + timedelta(minutes=minutes)
            assert sum(card.applies(call(model, vendor, when, input_tokens=size)) for card in cards) == 1


CARD = rate_cards("google", "gemini-2.5-pro", None, NOON.date())[1]
DEAR = call("gemini-2.5-pro", "google", input_tokens=200_001)


@pytest.mark.parametrize(
    ("changes", "applies"),
    [
        pytest.param({}, True, id="a call of its model, time and size"),
        pytest.param({"vendor": "openai"}, False, id="another vendor"),
        pytest.param({"model": "gemini-2.5-flash"}, False, id="another model"),
        pytest.param({"tier": "batch"}, False, id="another tier"),
        pytest.param({"input_tokens": 200_000}, False, id="one token less than its bracket"),
        pytest.param({"input_tokens": None}, False, id="an unknown size is the smallest"),
        pytest.param({"occurred_at": CARD.valid_from}, True, id="its first moment"),
        pytest.param({"occurred_at": CARD.valid_from - timedelta(microseconds=1)}, False, id="the moment before"),
        pytest.param({"occurred_at": CARD.valid_to}, False, id="the first moment after it"),
    ],
)
def test_rate_card_applies_to(changes: dict[str, Any], applies: bool) -> None:
    fields = {name: getattr(DEAR, name) for name in DEAR.__struct_fields__}
    assert CARD.applies(UsageEvent(**(fields | changes))) is applies


def test_cost_takes_the_first_card_that_applies_and_none_without_one() -> None:
    assert cost(DEAR, [CARD]) is None  # its output is charged for, and unknown
    known = call("gemini-2.5-pro", "google", input_tokens=200_001, output_tokens=0)
    assert cost(known, [CARD]) == 200_001 * CARD.input_usd
    assert cost(known, []) is None


def test_sums_are_priced_like_the_calls_they_are_of() -> None:
    [card] = rate_cards("anthropic", "claude-haiku-4-5", None, date(2026, 11, 1))
    # 700 uncached at 1 $, 200 read at 0.10 $, 60 written at 1.25 $, 40 for an hour at 2 $, 50 out at 5 $ a million
    sums = TokenSums(2, 1000, 200, 100, 50, 40)
    assert price_of(sums, card) == Decimal("0.000700") + Decimal("0.000020") + Decimal("0.000075") + Decimal(
        "0.000080"
    ) + Decimal("0.000250")
