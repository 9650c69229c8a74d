from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import msgspec
import pytest
import sqlalchemy as sa

from ops.cost.overrides import PriceOverride
from ops.cost.pricing import TokenSums, rate_cards
from ops.usage import Status, UsageEvent
from ops.window import floor_day
from tasks import price_usage
from tasks.price_usage import Pricer
from tasks.stores.tables import rate_cards as table

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
CALL = UsageEvent(
    event_id="e", occurred_at=NOON, vendor="openai", model="gpt-4o", operation="chat", status=Status.SUCCESS
)


def call(**fields: Any) -> UsageEvent:
    return msgspec.structs.replace(CALL, **fields)


def price(engine: sa.Engine, *events: UsageEvent) -> tuple[str, ...]:
    pricer = Pricer(engine)
    pricer.price(events)
    return pricer.unknown(events)


@pytest.fixture
def cards(engine: sa.Engine):
    def found() -> list[Any]:
        with engine.connect() as connection:
            return list(connection.execute(sa.select(table).order_by(table.c.valid_from, table.c.from_input_tokens)))

    return found


def test_card_is_stored_as_the_book_has_it(cards, engine: sa.Engine) -> None:
    assert price(engine, call(), call(event_id="f")) == ()
    [expected] = rate_cards("openai", "gpt-4o", None, NOON.date())
    [row] = cards()
    assert row.input_usd == Decimal("0.0000025")
    for name in ("vendor", "model", "tier", "valid_from", "valid_to", "cached_usd", "output_usd", "request_usd"):
        assert getattr(row, name) == getattr(expected, name), name
    assert (row.price_source, row.price_snapshot) == (expected.price_source, expected.snapshot)


def test_cards_of_a_cliff_are_stored_together(cards, engine: sa.Engine) -> None:
    price(engine, call(vendor="google", model="gemini-2.5-pro", input_tokens=1))
    brackets = [(row.from_input_tokens, row.to_input_tokens) for row in cards()]
    assert brackets == [(0, 200_001), (200_001, None)]


def test_every_day_and_tier_has_its_own_card(cards, engine: sa.Engine) -> None:
    price(engine, call(), call(occurred_at=NOON + timedelta(days=1)), call(tier="priority"))
    assert len(cards()) == 3


def test_card_that_is_there_stays_as_it_is(cards, engine: sa.Engine) -> None:
    price(engine, call())
    with engine.begin() as connection:
        connection.execute(sa.update(table).values(input_usd=Decimal("0.000001"), price_source="contract"))
    price(engine, call())
    assert [(row.input_usd, row.price_source) for row in cards()] == [(Decimal("0.000001"), "contract")]


def test_unknown_models_are_named_once_in_order_and_get_no_card(cards, engine: sa.Engine) -> None:
    days = [NOON, NOON + timedelta(days=1)]
    events = [call(model=name, occurred_at=when) for when in days for name in ("mystery-2", "mystery-1")]
    assert price(engine, *events) == ("openai/mystery-1", "openai/mystery-2")
    assert cards() == []


def test_price_names_its_book_and_edition_and_is_rounded_as_stored(engine: sa.Engine) -> None:
    [found] = Pricer(engine).price([call(model="text-embedding-3-small", input_tokens=1)])
    [card] = rate_cards("openai", "text-embedding-3-small", None, NOON.date())
    assert found == (Decimal("0.000000020000"), card.price_source, card.snapshot)  # 1 x $0.02 / 1,000,000


def test_unknown_model_has_no_price_and_a_cache_hit_of_it_is_free(engine: sa.Engine) -> None:
    unknown, hit = Pricer(engine).price([call(model="mystery"), call(model="mystery", cache_hit=True)])
    assert unknown == (None, None, None)
    assert hit == (0, "gateway-cache", None)


def test_pricer_that_has_seen_too_many_cards_begins_anew(
    cards, engine: sa.Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(price_usage, "CARDS", 1)
    pricer = Pricer(engine)
    costs = [pricer.price([call(model=name, input_tokens=1, output_tokens=0)])[0].cost_usd
             for name in ("gpt-4o", "gpt-4o-mini", "o3", "gpt-4o")]  # fmt: skip
    assert costs[0] == costs[3] == Decimal("0.0000025")
    assert len(cards()) == 3


DEAL = PriceOverride(contract="deal", vendor="openai", model="gpt-4o", input=Decimal(1), output=Decimal(2))


def test_contract_prices_an_event_and_both_its_card_and_the_books_are_kept(cards, engine: sa.Engine) -> None:
    event = call(input_tokens=10, output_tokens=1)
    [ours] = Pricer(engine, (DEAL,)).price([event])
    [listed] = Pricer(engine).price([event])
    assert ours == (Decimal(10 * 1 + 1 * 2) / 1_000_000, "contract:deal", DEAL.snapshot)
    assert listed.cost_usd == Decimal("0.000035")  # 10 x $2.50 / 1,000,000 + 1 x $10 / 1,000,000
    assert {(row.price_source, row.price_snapshot, row.input_usd) for row in cards()} == {
        ("contract:deal", DEAL.snapshot, Decimal("0.000001")), (listed.source, listed.snapshot, Decimal("0.0000025")),
    }  # fmt: skip


def test_card_keeps_every_decimal_of_the_book(cards, engine: sa.Engine) -> None:
    name = "google/gemini-3.8-flash"
    model = call(vendor="openrouter", model=name, occurred_at=datetime(2026, 11, 1, tzinfo=UTC))
    price(engine, model)
    expected = rate_cards("openrouter", name, None, model.occurred_at.date())
    assert [row.cache_write_usd for row in cards()] == [card.cache_write_usd for card in expected]


def test_price_changes_are_those_of_contracts_too() -> None:
    ends = replace(DEAL, end=NOON.date())
    sums = TokenSums(requests=1, input_tokens=10, cached_tokens=0, cache_write_tokens=0, output_tokens=0)
    yesterday = (floor_day(NOON) - timedelta(days=1), "openai", "gpt-4o")
    assert price_usage.price_changes({yesterday: sums}, NOON.date(), (ends,)) == {yesterday: Decimal("2.5")}
    assert price_usage.price_changes({yesterday: sums}, NOON.date()) == {}
