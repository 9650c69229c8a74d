"""A contract's price goes before the book's, for the calls it is of and no others."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest

from ops.cost.overrides import PriceOverride, cards, check_overlaps
from ops.cost.pricing import cost, rate_cards
from ops.errors import InvalidValue
from ops.usage import Status, UsageEvent

DAY = date(2026, 3, 2)
DEAL = PriceOverride(contract="acme-2026", vendor="openai", model="gpt-4o", input=Decimal(2), output=Decimal(8))


def override(**fields: Any) -> PriceOverride:
    return replace(DEAL, **fields)


def source(*overrides: PriceOverride, model: str = "gpt-4o", tier: str | None = None, day: date = DAY) -> str:
    return cards(overrides, "openai", model, tier, day)[0].price_source


def test_card_of_a_contract_prices_a_call_by_it() -> None:
    event = UsageEvent(
        event_id="e", occurred_at=datetime(2026, 3, 2, 12, tzinfo=UTC), vendor="openai", model="gpt-4o",
        operation="chat", status=Status.SUCCESS, input_tokens=1000, cached_tokens=300, cache_write_tokens=200,
        cache_write_1h_tokens=50, output_tokens=10,
    )  # fmt: skip
    full = override(
        cached=Decimal("0.5"), cache_write=Decimal(3), cache_write_1h=Decimal(4), per_thousand_requests=Decimal(1)
    )
    expected = 500 * 2 + 300 * Decimal("0.5") + 150 * 3 + 50 * 4 + 10 * 8
    assert cost(event, cards([full], "openai", "gpt-4o", None, DAY)) == expected / 1_000_000 + Decimal("0.001")
    assert cost(event, cards([DEAL], "openai", "gpt-4o", None, DAY)) == Decimal(1000 * 2 + 10 * 8) / 1_000_000


def test_cache_price_that_a_contract_does_not_name_is_its_parents() -> None:
    [card] = cards([override(cache_write=Decimal(3))], "openai", "gpt-4o", None, DAY)
    assert (card.cached_usd, card.cache_write_1h_usd, card.request_usd) == (Decimal("2e-6"), Decimal("3e-6"), None)


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param({"vendor": "azure"}, id="another vendor's"),
        pytest.param({"model": "gpt-4o-mini"}, id="another model's"),
        pytest.param({"tier": "batch"}, id="another tier's"),
        pytest.param({"start": date(2026, 3, 3)}, id="from the next day on"),
        pytest.param({"end": DAY}, id="until this day"),
    ],
)
def test_book_prices_what_a_contract_is_not_of(fields: dict[str, Any]) -> None:
    assert cards([override(**fields)], "openai", "gpt-4o", None, DAY) == rate_cards("openai", "gpt-4o", None, DAY)


def test_contract_without_a_tier_leaves_batch_to_the_book() -> None:
    assert source(DEAL, tier="batch") == "genai-prices"
    assert source(override(tier="batch"), tier="batch") == "contract:acme-2026"


def test_contract_holds_on_its_first_day_and_not_on_the_day_it_ends() -> None:
    deal = override(start=DAY, end=date(2026, 3, 4))
    found = [source(deal, day=date(2026, 3, number)) for number in range(1, 5)]
    assert found == ["genai-prices", *["contract:acme-2026"] * 2, "genai-prices"]


def test_most_specific_contract_wins_in_any_order() -> None:
    named, long, short = DEAL, override(contract="long", model="gpt-4o*"), override(contract="short", model="gpt*")
    for order in ([named, long, short], [short, long, named]):
        assert source(*order) == "contract:acme-2026"
        assert source(*order, model="gpt-4o-mini") == "contract:long"
        assert source(*order, model="gpt-5") == "contract:short"
    assert source(override(contract="all", model="*"), model="o3") == "contract:all"


def test_contract_prices_a_model_that_the_book_does_not_know() -> None:
    assert source(override(model="house-model"), model="house-model") == "contract:acme-2026"
    assert cards([DEAL], "openai", "house-model", None, DAY) == ()


def test_snapshot_changes_with_the_price_and_not_with_how_it_is_written() -> None:
    assert DEAL.snapshot.startswith("contract:acme-2026/")
    assert override(input=Decimal("2.00")).snapshot == DEAL.snapshot
    changed = [override(input=Decimal("2.01")), override(cached=Decimal(2)), override(tier="batch"), override(end=DAY)]
    assert len({DEAL.snapshot, *(one.snapshot for one in changed)}) == 5


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param({}, id="all days"),
        pytest.param({"start": date(2026, 1, 1), "end": date(2026, 1, 2)}, id="one day of them"),
    ],
)
def test_overlapping_contracts_of_which_neither_is_more_specific_are_refused(fields: dict[str, Any]) -> None:
    other = override(contract="other", **fields)
    with pytest.raises(InvalidValue, match=r"acme-2026: openai/gpt-4o from .* apart from other: openai/gpt-4o"):
        check_overlaps([DEAL, other])


def test_contracts_that_follow_one_another_or_are_of_different_calls_are_fine() -> None:
    check_overlaps([
        override(end=DAY), override(start=DAY), override(tier="batch"), override(model="gpt-4o*"),
        override(vendor="azure"),
    ])  # fmt: skip


def test_contract_names_its_tier_in_an_error() -> None:
    assert str(override(tier="batch", start=DAY)) == "acme-2026: openai/gpt-4o (batch) from 2026-03-02 to 9999-12-31"
