from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ops.errors import InvalidValue
from ops.vendor_usage import COUNTS, VendorCost, VendorUsage, checked_usd
from ops.window import Window

MIDNIGHT = datetime(2026, 3, 4, tzinfo=UTC)
DAY = timedelta(days=1)
BUCKET = Window(MIDNIGHT, MIDNIGHT + DAY)


def usage(**fields: Any) -> VendorUsage:
    return VendorUsage(**{"vendor": "openai", "endpoint": "completions", "window": BUCKET, **fields})


def cost(usd: str = "0.06", **fields: Any) -> VendorCost:
    return VendorCost(**{"vendor": "openai", "window": BUCKET, "cost_usd": Decimal(usd), **fields})


PLUS_ONE = timezone(timedelta(hours=1))
APART = {
    "two vendors": ({"vendor": "openai"}, {"vendor": "anthropic"}),
    "two endpoints": ({"endpoint": "completions"}, {"endpoint": "embeddings"}),
    "two days": ({}, {"window": Window(MIDNIGHT - DAY, MIDNIGHT)}),
    "two widths": ({}, {"window": Window(MIDNIGHT, MIDNIGHT + timedelta(hours=1))}),
    "two models": ({"model": "gpt-4o"}, {"model": "gpt-4o-mini"}),
    "no model and one without a name": ({"model": None}, {"model": ""}),
    "two projects": ({"dimensions": {"project_id": "a"}}, {"dimensions": {"project_id": "b"}}),
    "a dimension absent and null": ({"dimensions": {}}, {"dimensions": {"workspace_id": None}}),
    "a dimension absent and empty": ({"dimensions": {}}, {"dimensions": {"workspace_id": ""}}),
    "a dimension null and empty": ({"dimensions": {"workspace_id": None}}, {"dimensions": {"workspace_id": ""}}),
    "a dimension null and called None": (
        {"dimensions": {"workspace_id": None}},
        {"dimensions": {"workspace_id": "None"}},
    ),
    "values that changed places": ({"dimensions": {"a": "x", "b": "y"}}, {"dimensions": {"a": "y", "b": "x"}}),
    "a model and a dimension of that name": ({"model": "gpt-4o"}, {"dimensions": {"model": "gpt-4o"}}),
    "one dimension that quotes two": ({"dimensions": {"a": "x', 'b': 'y"}}, {"dimensions": {"a": "x", "b": "y"}}),
    "a separator inside of a name": ({"model": "a\x1fb"}, {"model": "a", "endpoint": "completions\x1fb"}),
}
ALIKE = {
    "dimensions in another order": ({"dimensions": {"a": "x", "b": None}}, {"dimensions": {"b": None, "a": "x"}}),
    "the same day in another zone": (
        {},
        {"window": Window(MIDNIGHT.astimezone(PLUS_ONE), (MIDNIGHT + DAY).astimezone(PLUS_ONE))},
    ),
    "other counts": ({"input_tokens": 1, "requests": 1}, {"input_tokens": 2, "output_tokens": 3}),
}


@pytest.mark.parametrize(("one", "other"), APART.values(), ids=APART)
def test_key_tells_apart(one: dict[str, Any], other: dict[str, Any]) -> None:
    assert usage(**one).key != usage(**other).key


@pytest.mark.parametrize(("one", "other"), ALIKE.values(), ids=ALIKE)
def test_key_is_the_same_for(one: dict[str, Any], other: dict[str, Any]) -> None:
    assert usage(**one).key == usage(**other).key


NAMES = st.text(max_size=4) | st.none()
DIMENSIONS = st.dictionaries(st.sampled_from(["project_id", "batch", "tier"]), NAMES)


@given(NAMES, DIMENSIONS, NAMES, DIMENSIONS)
def test_key_is_the_same_only_for_the_same_names(
    model: str | None, dimensions: dict[str, str | None], other_model: str | None, others: dict[str, str | None]
) -> None:
    one, other = usage(model=model, dimensions=dimensions), usage(model=other_model, dimensions=others)
    assert (one.key == other.key) == ((model, dimensions) == (other_model, others))


def test_key_of_a_cost_tells_line_items_and_projects_apart() -> None:
    rows = [
        cost(line_item=item, dimensions={"project_id": project})
        for item in ("gpt-4o, input", "gpt-4o, output", "", None)
        for project in ("a", "b", None)
    ]
    assert len({row.key for row in rows}) == 12
    assert cost("1").key == cost("2").key


def test_key_of_an_unstorable_name_is_still_a_key() -> None:
    assert len(usage(model="\ud800").key) == 32


BAD_USAGE = {
    "a negative count": ({"requests": -1}, "requests: -1 is not between 0 and 2"),
    "a count that no bigint holds": ({"input_tokens": 2**63}, "input_tokens"),
    "more cached than input": (
        {"input_tokens": 5, "cached_tokens": 6},
        r"cached_tokens \+ cache_write_tokens: 6 is not within input_tokens 5",
    ),
    "more cached and written than input": (
        {"input_tokens": 5, "cached_tokens": 3, "cache_write_tokens": 3},
        r"cached_tokens \+ cache_write_tokens: 6",
    ),
    "cached of an unknown input": ({"cached_tokens": 1}, r"within input_tokens None"),
    "a long model": ({"model": "m" * 513}, "model: .* is not at most 512 characters"),
    "a NUL in the model": ({"model": "gpt\x00"}, "model"),
    "a lone surrogate in a dimension": ({"dimensions": {"project_id": "\udc00"}}, "project_id"),
    "a long dimension": ({"dimensions": {"project_id": "p" * 513}}, "project_id"),
}


@pytest.mark.parametrize(("fields", "text"), BAD_USAGE.values(), ids=BAD_USAGE)
def test_usage_is_refused_with(fields: dict[str, Any], text: str) -> None:
    with pytest.raises(InvalidValue, match=text):
        usage(**fields).validated()


@pytest.mark.parametrize("name", COUNTS)
@pytest.mark.parametrize("count", [None, 0, 1, 2**63 - 1])
def test_usage_takes_every_count_that_a_bigint_holds(name: str, count: int | None) -> None:
    row = usage(**{"input_tokens": 2**63 - 1, name: count})
    assert getattr(row.validated(), name) == count


BAD_COSTS = {
    "not a number": "NaN",
    "an infinite one": "Infinity",
    "a billion": "1000000000",
    "a credit of a billion": "-1000000000",
    "more than any context holds": "1E+999999999",
}


@pytest.mark.parametrize("amount", BAD_COSTS.values(), ids=BAD_COSTS)
def test_cost_is_refused_for(amount: str) -> None:
    with pytest.raises(InvalidValue, match=r"amount: .* is not a number between -1000000000 and 1000000000"):
        cost(amount).validated()


@pytest.mark.parametrize(
    ("given_usd", "stored"),
    [("0.06", "0.06"), ("-12.5", "-12.5"), ("0", "0"), ("1E-500", "0"), ("0.060000000000000005", "0.06"),
     ("0.0000000000005", "0.000000000001"), ("999999999.999999999999", "999999999.999999999999")],
    ids=["a price", "a credit", "nothing", "next to nothing", "a float's artefact", "half a digit", "the most"],
)  # fmt: skip
def test_cost_is_rounded_to_what_the_table_holds(given_usd: str, stored: str) -> None:
    assert cost(given_usd).validated().cost_usd == Decimal(stored)
    assert cost(given_usd).validated().cost_usd.as_tuple().exponent == -12


def test_cost_names_the_line_item_that_is_too_long() -> None:
    with pytest.raises(InvalidValue, match="line_item"):
        cost(line_item="l" * 513).validated()


def test_amount_within_another_limit_is_returned_as_it_is() -> None:
    assert checked_usd(Decimal("123.45"), Decimal(1000)) == Decimal("123.45")


def test_sum_adds_counts_and_keeps_unknown_unknown() -> None:
    one = usage(model="gpt-4o", requests=1, input_tokens=10, cached_tokens=4)
    other = usage(model="gpt-4o", requests=2, input_tokens=20, output_tokens=5)
    assert one.plus(other) == usage(model="gpt-4o", requests=3, input_tokens=30)
    assert cost("0.1").plus(cost("0.2")).cost_usd == Decimal("0.3")
