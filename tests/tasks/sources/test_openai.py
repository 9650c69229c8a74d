from __future__ import annotations

import json
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import httpx
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from ops.errors import InvalidValue
from ops.vendor_usage import VendorCost, VendorUsage
from ops.window import Window
from tasks.settings import Source
from tasks.sources import kind_of, openai
from tasks.sources.interface import ApiKind, Batch

MIDNIGHT = datetime(2026, 3, 4, tzinfo=UTC)
DAY = timedelta(days=1)
BUCKET = Window(MIDNIGHT, MIDNIGHT + DAY)
KEY = "sk-admin-0123"
# As the vendor documents them, on one page of each endpoint.
COMPLETIONS = {
    "object": "organization.usage.completions.result", "input_tokens": 1000, "output_tokens": 500,
    "input_cached_tokens": 400, "input_cache_write_tokens": 100, "input_uncached_tokens": 500,
    "input_audio_tokens": 0, "output_audio_tokens": 0, "num_model_requests": 5, "project_id": "proj_abc",
    "user_id": None, "api_key_id": None, "model": "gpt-4o-2024-08-06", "batch": False, "service_tier": "default",
}  # fmt: skip
EMBEDDINGS = {
    "object": "organization.usage.embeddings.result", "input_tokens": 16, "num_model_requests": 2,
    "project_id": None, "user_id": None, "api_key_id": None, "model": "text-embedding-3-small",
}  # fmt: skip
COST = {
    "object": "organization.costs.result", "amount": {"value": 0.06, "currency": "usd"},
    "line_item": "gpt-4o-2024-08-06, input", "project_id": "proj_abc", "quantity": 24000, "quantity_unit": "tokens",
}  # fmt: skip


def source(**fields: Any) -> Source:
    return Source(**{"name": "openai", "kind": "openai", "api_key": KEY, **fields})


def usage(endpoint: str = "completions", **fields: Any) -> VendorUsage:
    return openai.parse_usage(endpoint, BUCKET, json.dumps({**COMPLETIONS, **fields}).encode())


def cost(raw: bytes | None = None, **fields: Any) -> VendorCost:
    return openai.parse_cost(BUCKET, raw or json.dumps({**COST, **fields}).encode()).validated()


def asked_of(settings: Source, window: Window) -> list[httpx.Request]:
    """Return the first request of every endpoint, each answered by an empty page."""
    requests = []
    pager = openai.pages(settings, window)
    item: httpx.Request | Batch = next(pager)
    while isinstance(item, httpx.Request):
        requests.append(item)
        item = pager.send(httpx.Response(200, json={"data": [], "has_more": False}))
    return requests


def query(request: httpx.Request) -> dict[str, list[str]]:
    return parse_qs(request.url.query.decode(), strict_parsing=True)


def test_kind_needs_a_key_and_no_address() -> None:
    assert isinstance(kind_of(source()), ApiKind)
    with pytest.raises(InvalidValue, match=r"sources\.openai\.api_key: '' is not set"):
        kind_of(source(api_key=""))


def test_settings_example_of_the_documentation_is_complete() -> None:
    text = (Path(openai.__file__).parent / "README.md").read_text()
    example = text.partition("\n## openai\n")[2].partition("```yaml\n")[2].partition("```")[0]
    (entry,) = yaml.safe_load(example)["sources"]
    assert entry["api_key"].startswith("env:")
    assert isinstance(kind_of(Source(**{**entry, "api_key": KEY})), ApiKind)


def test_window_is_a_page_of_days_and_the_last_three_are_read_again() -> None:
    assert (openai.KIND.longest, openai.KIND.look_back) == (31 * DAY, 3 * DAY)


def test_every_endpoint_with_tokens_and_the_costs_are_asked() -> None:
    requests = asked_of(source(), BUCKET)
    assert [f"{request.method} {request.url.host}{request.url.path}" for request in requests] == [
        f"GET api.openai.com/v1/organization/{path}"
        for path in ("usage/completions", "usage/decisions", "usage/embeddings", "usage/moderations", "costs")
    ]
    assert {request.headers["authorization"] for request in requests} == {f"Bearer {KEY}"}


def test_request_spans_whole_days_whatever_the_window() -> None:
    noon = MIDNIGHT + timedelta(hours=12)
    for request in asked_of(source(), Window(noon - 3 * DAY, noon)):
        asked = query(request)
        assert asked["start_time"] == [str(int((MIDNIGHT - 3 * DAY).timestamp()))]
        assert asked["end_time"] == [str(int((MIDNIGHT + DAY).timestamp()))]
        assert asked["bucket_width"] == ["1d"]


@pytest.mark.parametrize(
    ("page_size", "limit"),
    [(None, "31"), (5, "5"), (180, "31")],
    ids=["the most by default", "less as set", "never more than allowed"],
)
def test_limit_is(page_size: int | None, limit: str) -> None:
    assert {query(request)["limit"][0] for request in asked_of(source(page_size=page_size), BUCKET)} == {limit}


def test_each_endpoint_is_grouped_as_far_as_it_allows() -> None:
    groups = {
        request.url.path.rpartition("/")[2]: query(request)["group_by[]"] for request in asked_of(source(), BUCKET)
    }
    assert groups == {
        "completions": ["model", "project_id", "batch", "service_tier"],
        "decisions": ["model", "project_id", "batch", "service_tier"],
        "embeddings": ["model", "project_id"],
        "moderations": ["model", "project_id"],
        "costs": ["line_item", "project_id"],
    }


def test_own_address_may_end_with_a_slash() -> None:
    first, *_ = asked_of(source(url="http://localhost:1/openai/"), BUCKET)
    assert str(first.url).startswith("http://localhost:1/openai/v1/organization/usage/completions?")


def test_completions_become_usage_whose_input_includes_the_cache() -> None:
    assert usage() == VendorUsage(
        vendor="openai", endpoint="completions", window=BUCKET, model="gpt-4o-2024-08-06",
        dimensions={"project_id": "proj_abc", "batch": "false", "service_tier": "default"},
        requests=5, input_tokens=1000, cached_tokens=400, cache_write_tokens=100, output_tokens=500,
    )  # fmt: skip


def test_embeddings_have_no_output_and_no_cache_that_we_know_of() -> None:
    row = openai.parse_usage("embeddings", BUCKET, json.dumps(EMBEDDINGS).encode())
    assert row == VendorUsage(
        vendor="openai", endpoint="embeddings", window=BUCKET, model="text-embedding-3-small",
        dimensions={"project_id": None}, requests=2, input_tokens=16,
    )  # fmt: skip


@pytest.mark.parametrize(("batch", "dimension"), [(True, "true"), (False, "false"), (None, None)])
def test_batch_is_a_dimension_of_three_values(batch: bool | None, dimension: str | None) -> None:
    assert usage(batch=batch).dimensions["batch"] == dimension


BAD_USAGE = {
    "no input": ({"input_tokens": None}, "input_tokens"),
    "a text": ({"output_tokens": "5"}, "output_tokens"),
    "a fraction": ({"num_model_requests": 1.5}, "num_model_requests"),
    "a negative count": ({"input_cached_tokens": -1}, "cached_tokens"),
    "2^63": ({"output_tokens": 2**63}, "output_tokens"),
    "a model that is a number": ({"model": 4}, "model"),
    "a model of 513 characters": ({"model": "m" * 513}, "model"),
    "a NUL": ({"project_id": "a\x00"}, "project_id"),
    "a batch that is a text": ({"batch": "true"}, "batch"),
    "more cached than input": ({"input_cached_tokens": 1001}, "cached_tokens + cache_write_tokens"),
}


@pytest.mark.parametrize(("fields", "field"), BAD_USAGE.values(), ids=BAD_USAGE)
def test_usage_is_refused_for(fields: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidValue) as caught:
        usage(**fields).validated()
    assert caught.value.field == field


def test_cost_is_in_dollars_as_it_says() -> None:
    assert cost() == VendorCost(
        vendor="openai", window=BUCKET, cost_usd=Decimal("0.06"), line_item="gpt-4o-2024-08-06, input",
        dimensions={"project_id": "proj_abc"},
    )  # fmt: skip


AMOUNTS = {
    "a number": (b"0.06", "0.06"),
    "a text": (b'"12.50"', "12.5"),
    "a number with a float's artefact": (b"0.30000000000000004", "0.3"),
    "an integer": (b"3", "3"),
    "with an exponent": (b"6.1e-7", "0.00000061"),
    "a credit": (b"-1.25", "-1.25"),
    "next to nothing": (b"1e-400", "0"),
}


@pytest.mark.parametrize(("value", "usd"), AMOUNTS.values(), ids=AMOUNTS)
def test_amount_is_read_to_the_digit_from(value: bytes, usd: str) -> None:
    assert cost(b'{"amount":{"value":%s,"currency":"usd"}}' % value).cost_usd == Decimal(usd)


BAD_COSTS = {
    "euros": (b'{"amount":{"value":1,"currency":"eur"}}', "amount.currency"),
    "no currency": (b'{"amount":{"value":1}}', "currency"),
    "no amount": (b'{"line_item":"x"}', "amount"),
    "null": (b'{"amount":null}', "amount"),
    "no value": (b'{"amount":{"currency":"usd"}}', "value"),
    "a word": (b'{"amount":{"value":"much","currency":"usd"}}', "amount.value"),
    "NaN": (b'{"amount":{"value":"NaN","currency":"usd"}}', "amount"),
    "1e400": (b'{"amount":{"value":1e400,"currency":"usd"}}', "amount"),
    "true": (b'{"amount":{"value":true,"currency":"usd"}}', "amount.value"),
}


@pytest.mark.parametrize(("raw", "field"), BAD_COSTS.values(), ids=BAD_COSTS)
def test_cost_is_refused_for(raw: bytes, field: str) -> None:
    with pytest.raises(InvalidValue) as caught:
        cost(raw)
    assert caught.value.field == field


def test_currency_may_be_in_capitals() -> None:
    assert cost(amount={"value": 1, "currency": "USD"}).cost_usd == 1


def test_page_is_read_as_documented() -> None:
    document = {
        "object": "page", "has_more": True, "next_page": "AAAAAGdGxdEiJdKOAAAAAGcqsYA=",
        "data": [{"object": "bucket", "start_time": 1730419200, "end_time": 1730505600, "results": [COMPLETIONS]}],
    }  # fmt: skip
    page = openai.parse_page(json.dumps(document).encode())
    (bucket,) = page.buckets
    assert (page.has_more, page.next_page) == (True, "AAAAAGdGxdEiJdKOAAAAAGcqsYA=")
    assert bucket.day == Window(datetime(2024, 11, 1, tzinfo=UTC), datetime(2024, 11, 2, tzinfo=UTC))
    assert [json.loads(raw) for raw in bucket.results] == [COMPLETIONS]


ODD = st.sampled_from(
    [None, True, -1, 0, 1, 2**63 - 1, 2**63, 10**30, 1.5, 1e300, "", "5", "NaN", "a\x00b", "x" * 600, [], {}, [[]]]
)


@given(st.dictionaries(st.sampled_from(sorted(COMPLETIONS)), ODD), st.sampled_from(sorted(openai.GROUPS)))
def test_any_usage_result_gives_a_record_or_invalid_value(fields: dict[str, Any], endpoint: str) -> None:
    with suppress(InvalidValue):
        record = usage(endpoint, **fields).validated()
        assert record.model is None or len(record.model) <= 512


@given(st.dictionaries(st.sampled_from(sorted(COST)), ODD), ODD, ODD)
def test_any_cost_result_gives_a_record_or_invalid_value(fields: dict[str, Any], value: Any, currency: Any) -> None:
    with suppress(InvalidValue):
        record = cost(**{"amount": {"value": value, "currency": currency}, **fields})
        assert record.cost_usd.is_finite()


@given(st.binary(max_size=40))
def test_any_bytes_give_a_record_or_invalid_value(raw: bytes) -> None:
    for parse in (lambda: openai.parse_usage("completions", BUCKET, raw), lambda: openai.parse_cost(BUCKET, raw)):
        with pytest.raises(InvalidValue):
            parse()
