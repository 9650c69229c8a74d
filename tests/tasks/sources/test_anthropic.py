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
from tasks.sources import anthropic, kind_of
from tasks.sources.interface import ApiKind, Batch

MIDNIGHT = datetime(2026, 3, 4, tzinfo=UTC)
DAY = timedelta(days=1)
BUCKET = Window(MIDNIGHT, MIDNIGHT + DAY)
KEY = "sk-ant-admin-0123"
USAGE = {
    "uncached_input_tokens": 1500, "cache_read_input_tokens": 200,
    "cache_creation": {"ephemeral_1h_input_tokens": 1000, "ephemeral_5m_input_tokens": 500},
    "output_tokens": 500, "server_tool_use": {"web_search_requests": 10},
    "api_key_id": None, "workspace_id": None, "model": "claude-sonnet-4-20250514", "service_tier": "standard",
    "context_window": "0-200k", "inference_geo": "not_available", "account_id": None, "service_account_id": None,
}  # fmt: skip
COST = {
    "amount": "123.78912", "currency": "USD", "description": "Claude Sonnet 4 Usage - Input Tokens",
    "workspace_id": "wrkspc_01", "model": "claude-sonnet-4-20250514", "cost_type": "tokens",
    "token_type": "uncached_input_tokens", "service_tier": "standard", "context_window": "0-200k",
    "inference_geo": None,
}  # fmt: skip


def source(**fields: Any) -> Source:
    return Source(**{"name": "anthropic", "kind": "anthropic", "api_key": KEY, **fields})


def usage(**fields: Any) -> VendorUsage:
    return anthropic.parse_usage(BUCKET, json.dumps({**USAGE, **fields}).encode()).validated()


def cost(raw: bytes | None = None, **fields: Any) -> VendorCost:
    return anthropic.parse_cost(BUCKET, raw or json.dumps({**COST, **fields}).encode()).validated()


def written(five_minutes: Any, one_hour: Any) -> dict[str, Any]:
    return {"ephemeral_5m_input_tokens": five_minutes, "ephemeral_1h_input_tokens": one_hour}


def asked_of(settings: Source, window: Window) -> list[httpx.Request]:
    requests = []
    pager = anthropic.pages(settings, window)
    item: httpx.Request | Batch = next(pager)
    while isinstance(item, httpx.Request):
        requests.append(item)
        item = pager.send(httpx.Response(200, json={"data": [], "has_more": False, "next_page": None}))
    return requests


def query(request: httpx.Request) -> dict[str, list[str]]:
    return parse_qs(request.url.query.decode(), strict_parsing=True)


def test_kind_needs_a_key_and_no_address() -> None:
    assert isinstance(kind_of(source()), ApiKind)
    with pytest.raises(InvalidValue, match=r"sources\.anthropic\.api_key: '' is not set"):
        kind_of(source(api_key=""))


def test_settings_example_of_the_documentation_is_complete() -> None:
    text = (Path(anthropic.__file__).parent / "README.md").read_text()
    example = text.partition("\n## anthropic\n")[2].partition("```yaml\n")[2].partition("```")[0]
    (entry,) = yaml.safe_load(example)["sources"]
    assert entry["api_key"].startswith("env:")
    assert isinstance(kind_of(Source(**{**entry, "api_key": KEY})), ApiKind)


def test_window_is_a_page_of_days_and_the_last_three_are_read_again() -> None:
    assert (anthropic.KIND.longest, anthropic.KIND.look_back) == (31 * DAY, 3 * DAY)


def test_usage_and_costs_are_asked_with_the_key_and_the_version() -> None:
    requests = asked_of(source(), BUCKET)
    assert [f"{request.method} {request.url.host}{request.url.path}" for request in requests] == [
        "GET api.anthropic.com/v1/organizations/usage_report/messages",
        "GET api.anthropic.com/v1/organizations/cost_report",
    ]
    for request in requests:
        assert (request.headers["x-api-key"], request.headers["anthropic-version"]) == (KEY, "2023-06-01")


def test_request_spans_whole_days_whatever_the_window() -> None:
    noon = MIDNIGHT + timedelta(hours=12, microseconds=1)
    for request in asked_of(source(page_size=7), Window(noon - 3 * DAY, noon)):
        asked = query(request)
        assert (asked["starting_at"], asked["ending_at"]) == (["2026-03-01T00:00:00Z"], ["2026-03-05T00:00:00Z"])
        assert (asked["bucket_width"], asked["limit"]) == (["1d"], ["7"])


def test_reports_are_grouped_by_all_that_a_price_depends_on() -> None:
    messages, costs = (query(request)["group_by[]"] for request in asked_of(source(), BUCKET))
    assert messages == ["model", "workspace_id", "service_tier", "context_window", "inference_geo"]
    assert costs == ["workspace_id", "description"]


def test_own_address_may_end_with_a_slash() -> None:
    first, _ = asked_of(source(url="http://localhost:1/"), BUCKET)
    assert str(first.url).startswith("http://localhost:1/v1/organizations/usage_report/messages?")


def test_total_input_is_the_sum_of_its_parts() -> None:
    assert usage() == VendorUsage(
        vendor="anthropic", endpoint="messages", window=BUCKET, model="claude-sonnet-4-20250514",
        dimensions={"workspace_id": None, "service_tier": "standard", "context_window": "0-200k",
                    "inference_geo": "not_available"},
        requests=None,  # the vendor does not count them
        input_tokens=1500 + 1000 + 500 + 200, cached_tokens=200, cache_write_tokens=1000 + 500, output_tokens=500,
    )  # fmt: skip


def test_default_workspace_is_a_row_of_its_own() -> None:
    assert len({usage(workspace_id=name).key for name in (None, "wrkspc_01", "wrkspc_02")}) == 3


BAD_USAGE = {
    "no uncached input": ({"uncached_input_tokens": None}, "uncached_input_tokens"),
    "no cache creation": ({"cache_creation": None}, "cache_creation"),
    "half of the cache creation": ({"cache_creation": {"ephemeral_5m_input_tokens": 1}}, "ephemeral_1h_input_tokens"),
    "a negative part": ({"uncached_input_tokens": -1}, "uncached_input_tokens"),
    "a negative part of a part": ({"cache_creation": written(-1, 5)}, "cache_creation.ephemeral_5m_input_tokens"),
    "a negative output": ({"output_tokens": -1}, "output_tokens"),
    "a sum that no bigint holds": ({"uncached_input_tokens": 2**63 - 1}, "input_tokens"),
    "a text": ({"output_tokens": "5"}, "output_tokens"),
    "a fraction": ({"cache_read_input_tokens": 1.5}, "cache_read_input_tokens"),
    "a long model": ({"model": "m" * 513}, "model"),
    "a NUL": ({"workspace_id": "a\x00"}, "workspace_id"),
}


@pytest.mark.parametrize(("fields", "field"), BAD_USAGE.values(), ids=BAD_USAGE)
def test_usage_is_refused_for(fields: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidValue) as caught:
        usage(**fields)
    assert caught.value.field == field


def test_cost_comes_in_cents() -> None:
    assert cost().cost_usd == Decimal("1.2378912")  # 123.78912 cents
    assert cost(amount="123.45").cost_usd == Decimal("1.2345")


def test_cost_keeps_every_dimension_that_a_description_brings() -> None:
    row = cost()
    assert row.line_item == "Claude Sonnet 4 Usage - Input Tokens"
    assert row.dimensions == {
        "workspace_id": "wrkspc_01", "model": "claude-sonnet-4-20250514", "cost_type": "tokens",
        "token_type": "uncached_input_tokens", "service_tier": "standard", "context_window": "0-200k",
        "inference_geo": None,
    }  # fmt: skip


@pytest.mark.parametrize("name", sorted(set(COST) - {"amount", "currency"}))
def test_costs_that_differ_only_by_one_dimension_are_two_rows(name: str) -> None:
    assert cost(**{name: "one"}).key != cost(**{name: "other"}).key


AMOUNTS = {
    "whole cents": ("41280.000000", "412.8"),
    "a millionth of a cent": ("0.000001", "0.00000001"),
    "more digits than are stored": ("1234.5678901234", "12.345678901234"),
    "a credit": ("-250", "-2.5"),
    "nothing": ("0", "0"),
    "the most": ("99999999999.99", "999999999.9999"),
    "a number in place of a text": (150, "1.5"),
}


@pytest.mark.parametrize(("cents", "usd"), AMOUNTS.values(), ids=AMOUNTS)
def test_amount_is_read_to_the_digit_from(cents: Any, usd: str) -> None:
    assert cost(amount=cents).cost_usd == Decimal(usd)


BAD_COSTS = {
    "euros": ({"currency": "EUR"}, "currency"),
    "no currency": ({"currency": None}, "currency"),
    "no amount": ({"amount": None}, "amount"),
    "a word": ({"amount": "much"}, "amount"),
    "NaN": ({"amount": "NaN"}, "amount"),
    "an infinite amount": ({"amount": "-Infinity"}, "amount"),
    "a billion dollars": ({"amount": "100000000000"}, "amount"),
    "1e999999": ({"amount": "1e999999"}, "amount"),
    "a description of 513 characters": ({"description": "d" * 513}, "line_item"),
}


@pytest.mark.parametrize(("fields", "field"), BAD_COSTS.values(), ids=BAD_COSTS)
def test_cost_is_refused_for(fields: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidValue) as caught:
        cost(**fields)
    assert caught.value.field == field


def page(**times: str) -> bytes:
    bucket = {"starting_at": "2025-08-01T00:00:00Z", "ending_at": "2025-08-02T00:00:00Z", "results": [USAGE], **times}
    return json.dumps({"data": [bucket], "has_more": True, "next_page": "page_MjAyNQ=="}).encode()


def test_page_is_read_as_documented() -> None:
    read = anthropic.parse_page(page())
    (bucket,) = read.buckets
    assert (read.has_more, read.next_page) == (True, "page_MjAyNQ==")
    assert bucket.day == Window(datetime(2025, 8, 1, tzinfo=UTC), datetime(2025, 8, 2, tzinfo=UTC))
    assert [json.loads(raw) for raw in bucket.results] == [USAGE]


@pytest.mark.parametrize(
    "start",
    ["2025-08-01T00:00:00", "2025-08-01T05:00:00Z", "2025-08-01T00:00:00+02:00", "0000-01-01T00:00:00Z", "today", ""],
    ids=["a naive time", "five o'clock", "midnight elsewhere", "year 0", "a word", "nothing"],
)
def test_page_is_refused_for_a_bucket_from(start: str) -> None:
    with pytest.raises(InvalidValue):
        anthropic.parse_page(page(starting_at=start))


ODD = st.sampled_from(
    [None, True, -1, 0, 1, 2**63 - 1, 2**63, 10**30, 1.5, 1e300, "", "5", "NaN", "a\x00b", "x" * 600, [], {}, [[]]]
)


@given(st.dictionaries(st.sampled_from(sorted(USAGE)), ODD), ODD, ODD)
def test_any_usage_result_gives_a_record_or_invalid_value(fields: dict[str, Any], five: Any, hour: Any) -> None:
    with suppress(InvalidValue):
        record = usage(**{"cache_creation": written(five, hour), **fields})
        assert 0 <= (record.input_tokens or 0) < 2**63


@given(st.dictionaries(st.sampled_from(sorted(COST)), ODD))
def test_any_cost_result_gives_a_record_or_invalid_value(fields: dict[str, Any]) -> None:
    with suppress(InvalidValue):
        record = cost(**fields)
        assert record.cost_usd.is_finite()


@given(st.decimals(min_value="-99999999999", max_value="99999999999", places=6))
def test_any_cents_become_a_hundredth_of_dollars(cents: Decimal) -> None:
    assert cost(amount=str(cents)).cost_usd * 100 == cents


@given(st.binary(max_size=40))
def test_any_bytes_give_a_record_or_invalid_value(raw: bytes) -> None:
    for parse in (anthropic.parse_usage, anthropic.parse_cost):
        with pytest.raises(InvalidValue):
            parse(BUCKET, raw)
