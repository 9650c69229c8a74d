from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import msgspec
import pytest
import sqlalchemy as sa

from ops.cost.pricing import rate_cards
from ops.usage import Status, UsageEvent
from tasks.price_usage import price_staged
from tasks.stores import usage
from tasks.stores.tables import rate_cards as table

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
CALL = UsageEvent(
    event_id="e", occurred_at=NOON, vendor="openai", model="gpt-4o", operation="chat", status=Status.SUCCESS
)


def call(**fields: Any) -> UsageEvent:
    return msgspec.structs.replace(CALL, **fields)


def price(engine: sa.Engine, *events: UsageEvent) -> list[str]:
    with engine.begin() as connection:
        usage.stage(connection, "t", "log", events)
        return price_staged(connection)


@pytest.fixture
def cards(engine: sa.Engine):
    def found() -> list[Any]:
        with engine.connect() as connection:
            return list(connection.execute(sa.select(table).order_by(table.c.valid_from, table.c.from_input_tokens)))

    return found


def test_card_is_stored_as_the_book_has_it(cards, engine: sa.Engine) -> None:
    assert price(engine, call(), call(event_id="f")) == []
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
    assert price(engine, *events) == ["openai/mystery-1", "openai/mystery-2"]
    assert cards() == []
