"""OpenAI's own report of an organisation: tokens by day and model, dollars by day and line item. For reconciliation.

Traps kept in mind: `input_tokens` includes cached and written ones; a dimension is null unless it is grouped by;
`end_time` is exclusive; `amount.value` comes as a number and as a string. What has no tokens (images, audio, vector
stores, searches, sessions) shows in the costs alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from functools import partial

import httpx
import msgspec

from ops.errors import InvalidValue
from ops.vendor_usage import VendorCost, VendorUsage
from ops.window import Window
from tasks.settings import Source
from tasks.sources.daily_report import (
    DAY,
    LOOK_BACK,
    MOST_DAYS,
    Bucket,
    Page,
    Report,
    at,
    day_of,
    decode,
    read,
    whole_days,
)
from tasks.sources.interface import ApiKind, Pager

URL = "https://api.openai.com"
_BY_MODEL = ("model", "project_id")
GROUPS = {  # the endpoints that report tokens, and what to group each by, as far as it allows
    "completions": (*_BY_MODEL, "batch", "service_tier"),
    "decisions": (*_BY_MODEL, "batch", "service_tier"),
    "embeddings": _BY_MODEL,
    "moderations": _BY_MODEL,
}
COST_GROUPS = ("line_item", "project_id")


class _Bucket(msgspec.Struct):
    start_time: int
    end_time: int
    results: list[msgspec.Raw]


class _Page(msgspec.Struct):
    data: list[_Bucket]
    has_more: bool
    next_page: str | None = None


class _Usage(msgspec.Struct):
    input_tokens: int
    output_tokens: int | None = None
    input_cached_tokens: int | None = None
    input_cache_write_tokens: int | None = None
    num_model_requests: int | None = None
    model: str | None = None
    project_id: str | None = None
    batch: bool | None = None
    service_tier: str | None = None


class _Amount(msgspec.Struct):
    value: Decimal
    currency: str


class _Cost(msgspec.Struct):
    amount: _Amount
    line_item: str | None = None
    project_id: str | None = None


_PAGE = msgspec.json.Decoder(_Page)
_USAGE = msgspec.json.Decoder(_Usage)
_COST = msgspec.json.Decoder(_Cost)


def pages(source: Source, window: Window) -> Pager:
    """Ask for all usage and costs of the days that a window touches."""
    days = whole_days(window)
    reports = [
        Report(name, partial(_request, source, f"usage/{name}", groups, days), parse_page, partial(parse_usage, name))
        for name, groups in GROUPS.items()
    ]
    reports.append(Report("costs", partial(_request, source, "costs", COST_GROUPS, days), parse_page, parse_cost))
    return read(reports, days)


def _request(source: Source, path: str, groups: Sequence[str], days: Window, token: str | None) -> httpx.Request:
    asked: dict[str, str | int | Sequence[str]] = {
        "start_time": int(days.start.timestamp()), "end_time": int(days.end.timestamp()), "bucket_width": "1d",
        "limit": min(source.page_size or MOST_DAYS, MOST_DAYS), "group_by[]": groups,
    }  # fmt: skip
    return httpx.Request(
        "GET",
        f"{(source.url or URL).rstrip('/')}/v1/organization/{path}",
        params=asked | ({"page": token} if token else {}),
        headers={"authorization": f"Bearer {source.api_key.get_secret_value()}"},
    )


def parse_page(content: bytes) -> Page:
    """Read a page of any endpoint.

    Raises:
        InvalidValue: it is not as documented; the text names the field.
    """
    page = decode(_PAGE, content, "a page of OpenAI's report")
    return Page([_bucket(bucket) for bucket in page.data], page.has_more, page.next_page)


def _bucket(bucket: _Bucket) -> Bucket:
    day = day_of(at("start_time", bucket.start_time), at("end_time", bucket.end_time))
    return Bucket(day, [bytes(raw) for raw in bucket.results])


def parse_usage(endpoint: str, day: Window, raw: bytes) -> VendorUsage:
    """Read a result of a usage endpoint.

    Raises:
        InvalidValue: a field is missing or of another type.
    """
    usage = decode(_USAGE, raw, "a usage result of OpenAI")
    groups = {
        "project_id": usage.project_id,
        "batch": None if usage.batch is None else str(usage.batch).lower(),
        "service_tier": usage.service_tier,
    }
    return VendorUsage(
        vendor="openai", endpoint=endpoint, window=day, model=usage.model,
        dimensions={name: value for name, value in groups.items() if name in GROUPS[endpoint]},
        requests=usage.num_model_requests, input_tokens=usage.input_tokens, cached_tokens=usage.input_cached_tokens,
        cache_write_tokens=usage.input_cache_write_tokens, output_tokens=usage.output_tokens,
    )  # fmt: skip


def parse_cost(day: Window, raw: bytes) -> VendorCost:
    """Read a result of the costs.

    Raises:
        InvalidValue: a field is missing or of another type, or the money is not dollars.
    """
    cost = decode(_COST, raw, "a cost result of OpenAI")
    if cost.amount.currency.lower() != "usd":
        raise InvalidValue("amount.currency", cost.amount.currency, "usd")
    return VendorCost(
        vendor="openai", window=day, cost_usd=cost.amount.value, line_item=cost.line_item,
        dimensions={"project_id": cost.project_id},
    )  # fmt: skip


KIND = ApiKind(pages, needs=("api_key",), longest=MOST_DAYS * DAY, look_back=LOOK_BACK)
