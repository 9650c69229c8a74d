from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest

from ops.cost.overrides import PriceOverride
from ops.errors import InvalidValue
from tasks.ask_endpoint import Usage, _CachedTokens
from tasks.price_calls import Tariff
from tasks.settings import Endpoint

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
INPUT, CACHED, OUTPUT = Decimal("0.15e-6"), Decimal("0.075e-6"), Decimal("0.6e-6")  # gpt-4o-mini, USD per token


def tariff(*overrides: PriceOverride, **fields: Any) -> Tariff:
    usual = {"url": "http://model/v1", "model": "gpt-4o-mini", "parameters": {"max_tokens": 200}}
    return Tariff("evaluation.judge", Endpoint(**{**usual, **fields}), overrides, NOW)


def test_reserved_is_a_token_for_each_byte_and_the_longest_answer() -> None:
    # 10 and 4 bytes, and 16 tokens round each
    assert tariff().reserve("0123456789", "äö") == (10 + 16 + 4 + 16) * INPUT + 200 * OUTPUT


def test_other_name_of_the_answer_limit_counts_too() -> None:
    assert tariff(parameters={"max_completion_tokens": 7}).reserve("") == 16 * INPUT + 7 * OUTPUT


def test_vectors_are_reserved_without_an_answer() -> None:
    price = tariff(model="text-embedding-3-small", parameters={}).reserve("0123", answers=False)
    assert price == (4 + 16) * Decimal("0.02e-6")


def test_contract_goes_before_the_price_book() -> None:
    contract = PriceOverride(contract="c", vendor="openai", model="gpt-4o-mini", input=Decimal(1), output=Decimal(2),
                             start=date(2026, 1, 1))  # fmt: skip
    assert tariff(contract).reserve("") == (16 * Decimal(1) + 200 * Decimal(2)) / 1_000_000
    assert tariff(contract).settle(Usage(100, 10)) == (100 * Decimal(1) + 10 * Decimal(2)) / 1_000_000


def test_price_of_a_call_that_is_set_is_reserved() -> None:
    assert tariff(usd_per_call=Decimal("0.02"), model="nobody-knows").reserve("x" * 1000) == Decimal("0.02")


def test_long_input_is_reserved_at_the_dearest_price_that_it_may_have() -> None:
    """gemini-2.5-pro: 1.25 $ a million tokens, 2.50 $ above 200,000 of them; the answer 10 $ and 15 $."""
    gemini = tariff(vendor="google", model="gemini-2.5-pro")
    size = 300_000 + 16
    assert gemini.reserve("x" * 300_000) == size * Decimal("2.5e-6") + 200 * Decimal("15e-6")
    assert gemini.reserve("") == 16 * Decimal("1.25e-6") + 200 * Decimal("10e-6")


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"model": "nobody-knows"}, "evaluation.judge.usd_per_call: None is not set, .* known of openai/nobody-knows"),
        ({"parameters": {}}, "evaluation.judge.parameters.max_tokens: None is not a limit"),
        ({"parameters": {"max_tokens": "many"}}, "evaluation.judge.parameters.max_tokens: 'many' is not a limit"),
        ({"parameters": {"max_tokens": 0}}, "evaluation.judge.parameters.max_tokens: 0 is not a limit"),
    ],
    ids=["a model that nobody knows", "an answer without a limit", "a limit in words", "no answer"],
)
def test_call_whose_price_has_no_limit_is_refused(fields: dict[str, Any], reason: str) -> None:
    with pytest.raises(InvalidValue, match=reason):
        tariff(**fields).reserve("")


SETTLED: dict[str, tuple[Usage | None, Decimal | None]] = {
    "tokens in and out": (Usage(100, 10), 100 * INPUT + 10 * OUTPUT),
    "some from the vendor's cache": (Usage(100, 0, _CachedTokens(40)), 60 * INPUT + 40 * CACHED),
    "more cached than there were": (Usage(100, 0, _CachedTokens(400)), 100 * CACHED),
    "no answer's tokens": (Usage(100), 100 * INPUT),
    "no tokens": (Usage(), None),
    "nothing told": (None, None),
}


@pytest.mark.parametrize(("usage", "cost"), SETTLED.values(), ids=SETTLED)
def test_call_is_settled_by_what_its_answer_tells(usage: Usage | None, cost: Decimal | None) -> None:
    assert tariff().settle(usage) == cost


def test_call_of_a_model_that_nobody_knows_is_not_settled() -> None:
    assert tariff(usd_per_call=Decimal("0.02"), model="nobody-knows").settle(Usage(100, 10)) is None


def test_call_of_an_endpoint_that_is_free_is_not_settled() -> None:
    assert tariff(usd_per_call=0).settle(Usage(100, 10)) is None
