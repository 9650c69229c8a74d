"""Anthropic's own report of an organisation: tokens by day and model, dollars by day and description. To reconcile.

Traps kept in mind: the parts of the input are disjoint, so that the total is their sum; `amount` is a decimal string
in cents; null is the default workspace once it is grouped by, and nothing at all when it is not; requests are not
counted. Priority tier shows in the tokens but not in the costs.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from functools import partial

import httpx
import msgspec

from ops.errors import InvalidValue
from ops.vendor_usage import MAX_USD, VendorCost, VendorUsage, checked_usd
from ops.window import Window
from tasks.settings import Source
from tasks.sources.daily_report import DAY, LOOK_BACK, MOST_DAYS, Bucket, Page, Report, day_of, decode, read, whole_days
from tasks.sources.interface import ApiKind, Pager

URL = "https://api.anthropic.com"
VERSION = "2023-06-01"
CENTS = Decimal(100)  # in a dollar
GROUPS = ("model", "workspace_id", "service_tier", "context_window", "inference_geo")  # all that the price depends on
COST_GROUPS = ("workspace_id", "description")  # the second one brings model, token type and tier


class _Bucket(msgspec.Struct):
    starting_at: datetime
    ending_at: datetime
    results: list[msgspec.Raw]


class _Page(msgspec.Struct):
    data: list[_Bucket]
    has_more: bool
    next_page: str | None = None


class _Written(msgspec.Struct):
    ephemeral_5m_input_tokens: int
    ephemeral_1h_input_tokens: int


class _Usage(msgspec.Struct):
    uncached_input_tokens: int
    cache_read_input_tokens: int
    cache_creation: _Written
    output_tokens: int
    model: str | None = None
    workspace_id: str | None = None
    service_tier: str | None = None
    context_window: str | None = None
    inference_geo: str | None = None


class _Cost(msgspec.Struct):
    amount: Decimal
    currency: str
    description: str | None = None
    workspace_id: str | None = None
    model: str | None = None
    cost_type: str | None = None
    token_type: str | None = None
    service_tier: str | None = None
    context_window: str | None = None
    inference_geo: str | None = None


_PAGE = msgspec.json.Decoder(_Page)
_USAGE = msgspec.json.Decoder(_Usage)
_COST = msgspec.json.Decoder(_Cost)
_COST_DIMENSIONS = tuple(name for name in _Cost.__struct_fields__ if name not in ("amount", "currency", "description"))


def pages(source: Source, window: Window) -> Pager:
    """Ask for all usage and costs of the days that a window touches."""
    days = whole_days(window)
    usage = partial(_request, source, "usage_report/messages", GROUPS, days)
    costs = partial(_request, source, "cost_report", COST_GROUPS, days)
    return read(
        [Report("messages", usage, parse_page, parse_usage), Report("costs", costs, parse_page, parse_cost)], days
    )


def _request(source: Source, path: str, groups: Sequence[str], days: Window, token: str | None) -> httpx.Request:
    asked: dict[str, str | int | Sequence[str]] = {
        "starting_at": f"{days.start:%Y-%m-%dT%H:%M:%SZ}", "ending_at": f"{days.end:%Y-%m-%dT%H:%M:%SZ}",
        "bucket_width": "1d", "limit": min(source.page_size or MOST_DAYS, MOST_DAYS), "group_by[]": groups,
    }  # fmt: skip
    return httpx.Request(
        "GET",
        f"{(source.url or URL).rstrip('/')}/v1/organizations/{path}",
        params=asked | ({"page": token} if token else {}),
        headers={"x-api-key": source.api_key.get_secret_value(), "anthropic-version": VERSION},
    )


def parse_page(content: bytes) -> Page:
    """Read a page of either endpoint.

    Raises:
        InvalidValue: it is not as documented; the text names the field.
    """
    page = decode(_PAGE, content, "a page of Anthropic's report")
    buckets = [Bucket(day_of(each.starting_at, each.ending_at), [bytes(raw) for raw in each.results])
               for each in page.data]  # fmt: skip
    return Page(buckets, page.has_more, page.next_page)


def parse_usage(day: Window, raw: bytes) -> VendorUsage:
    """Read a result of the usage report: total input = uncached + written (5 minutes and 1 hour) + read.

    Raises:
        InvalidValue: a field is missing, of another type, or negative.
    """
    usage = decode(_USAGE, raw, "a usage result of Anthropic")
    parts = {
        "uncached_input_tokens": usage.uncached_input_tokens,
        "cache_creation.ephemeral_5m_input_tokens": usage.cache_creation.ephemeral_5m_input_tokens,
        "cache_creation.ephemeral_1h_input_tokens": usage.cache_creation.ephemeral_1h_input_tokens,
        "cache_read_input_tokens": usage.cache_read_input_tokens,
    }
    for name, count in parts.items():
        if count < 0:
            raise InvalidValue(name, count, "0 or more")  # it would vanish in the sum
    written = usage.cache_creation.ephemeral_5m_input_tokens + usage.cache_creation.ephemeral_1h_input_tokens
    return VendorUsage(
        vendor="anthropic", endpoint="messages", window=day, model=usage.model,
        dimensions={name: getattr(usage, name) for name in GROUPS if name != "model"},
        input_tokens=sum(parts.values()), cached_tokens=usage.cache_read_input_tokens, cache_write_tokens=written,
        output_tokens=usage.output_tokens,
    )  # fmt: skip


def parse_cost(day: Window, raw: bytes) -> VendorCost:
    """Read a result of the cost report, from cents to dollars.

    Raises:
        InvalidValue: a field is missing or of another type, or the money is not dollars.
    """
    cost = decode(_COST, raw, "a cost result of Anthropic")
    if cost.currency.lower() != "usd":
        raise InvalidValue("currency", cost.currency, "usd")
    return VendorCost(
        vendor="anthropic", window=day, cost_usd=checked_usd(cost.amount, MAX_USD * CENTS) / CENTS,
        line_item=cost.description, dimensions={name: getattr(cost, name) for name in _COST_DIMENSIONS},
    )  # fmt: skip


KIND = ApiKind(pages, needs=("api_key",), longest=MOST_DAYS * DAY, look_back=LOOK_BACK)
