from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from typing import Any

import httpx
import pytest
import sqlalchemy as sa

from ops.errors import Refused, Unavailable
from ops.window import Window
from tasks.http import Courier, Turnstile
from tasks.settings import Source
from tasks.sources import anthropic
from tasks.stores import ingest
from tasks.stores.tables import usage_events, usage_rejects, vendor_costs, vendor_usage
from tests import vendor_reports
from tests.api_server import ApiServer, Asked, Fault, api_server
from tests.vendor_reports import ADMIN_KEY, DAY, HOUR, MIDNIGHT, NOW, TENANT, Answer, Book, load, reports, rows_of

SPAN = Window(MIDNIGHT - 2 * DAY, NOW)
AT_ONCE = {"retry-after": "0"}
MODEL = "claude-sonnet-4-20250514"


@pytest.fixture
def book() -> Book:
    """Three days of an organisation: one model in two workspaces, two API keys, input and output charged apart."""
    book = Book()
    for days in (0, 1, 2):
        at = MIDNIGHT - days * DAY + 9 * HOUR
        chat = {"model": MODEL, "service_tier": "standard", "context_window": "0-200k", "inference_geo": "global"}
        count = {
            "uncached_input_tokens": 1500, "cache_read_input_tokens": 200, "output_tokens": 500,
            "cache_creation": {"ephemeral_5m_input_tokens": 500, "ephemeral_1h_input_tokens": 1000},
        }  # fmt: skip
        book.add("messages", at, **chat, workspace_id=None, api_key_id="k1", **count)
        book.add("messages", at + HOUR, **chat, workspace_id=None, api_key_id="k2", **count)
        book.add("messages", at, **chat, workspace_id="wrkspc_01", api_key_id="k1", **count)
        for window in ("0-200k", "200k-1M"):
            charged = {**chat, "context_window": window, "cost_type": "tokens", "token_type": "output_tokens"}
            book.add("costs", at, **charged, workspace_id=None, description="Output", amount="123.45", currency="USD")
    return book


@pytest.fixture
def vendor(book: Book) -> Iterator[ApiServer]:
    with api_server(vendor_reports.anthropic(book)) as server:
        yield server


def source(vendor: ApiServer, **fields: Any) -> Source:
    usual = {"name": "anthropic", "kind": "anthropic", "api_key": ADMIN_KEY, "since": MIDNIGHT - 2 * DAY}
    return Source(**{**usual, "url": vendor.url, "requests_per_minute": 100_000, **fields})


def tokens(engine: sa.Engine) -> dict[datetime, int]:
    """Return the total input by day."""
    found: dict[datetime, int] = {}
    for row in rows_of(engine, vendor_usage):
        found[row.starts_at] = found.get(row.starts_at, 0) + row.input_tokens
    return found


def dollars(engine: sa.Engine) -> dict[datetime, Decimal]:
    found: dict[datetime, Decimal] = {}
    for row in rows_of(engine, vendor_costs):
        found[row.starts_at] = found.get(row.starts_at, Decimal(0)) + row.cost_usd
    return found


def test_first_poll_stores_every_day(engine: sa.Engine, vendor: ApiServer) -> None:
    done = load(engine, source(vendor))
    days = [MIDNIGHT - 2 * DAY, MIDNIGHT - DAY, MIDNIGHT]
    assert tokens(engine) == dict.fromkeys(days, 3 * 3200)  # three times 1500 + 500 + 1000 + 200
    assert dollars(engine) == dict.fromkeys(days, Decimal("2.469"))  # 2 x 123.45 cents
    assert (done.read, done.inserted, done.rejected) == (12, 12, 0)  # per day two workspaces and two costs
    assert rows_of(engine, usage_events) == []  # aggregates are never usage


def test_rows_keep_the_parts_and_no_count_of_requests(engine: sa.Engine, vendor: ApiServer) -> None:
    load(engine, source(vendor, since=MIDNIGHT))
    by_workspace = {row.dimensions["workspace_id"]: row for row in rows_of(engine, vendor_usage)}
    row = by_workspace[None]  # two API keys of the default workspace in one
    assert (row.input_tokens, row.cached_tokens, row.cache_write_tokens, row.output_tokens) == (6400, 400, 3000, 1000)
    assert (row.vendor, row.endpoint, row.model, row.requests) == ("anthropic", "messages", MODEL, None)
    assert row.dimensions == {
        "workspace_id": None, "service_tier": "standard", "context_window": "0-200k", "inference_geo": "global",
    }  # fmt: skip
    assert by_workspace["wrkspc_01"].input_tokens == 3200


def test_costs_that_differ_by_the_context_window_alone_are_both_kept(engine: sa.Engine, vendor: ApiServer) -> None:
    load(engine, source(vendor, since=MIDNIGHT))
    rows = rows_of(engine, vendor_costs)
    assert {row.dimensions["context_window"] for row in rows} == {"0-200k", "200k-1M"}
    assert {row.cost_usd for row in rows} == {Decimal("1.2345")}
    assert {row.line_item for row in rows} == {"Output"}


def test_today_is_stored_though_only_buckets_that_have_ended_are_sent_by_default(
    engine: sa.Engine, vendor: ApiServer
) -> None:
    load(engine, source(vendor))
    assert {asked.one("ending_at") for asked in vendor.asked} == {"2026-03-06T00:00:00Z"}
    (today,) = {(row.ends_at, row.fetched_at) for row in rows_of(engine, vendor_costs) if row.starts_at == MIDNIGHT}
    assert today == (MIDNIGHT + DAY, NOW)  # fetched before its end: not all of the day


def test_second_poll_adds_nothing(engine: sa.Engine, vendor: ApiServer) -> None:
    load(engine, source(vendor))
    first = reports(engine)
    again = load(engine, source(vendor), NOW + HOUR)
    assert reports(engine) == first
    assert (again.inserted, again.corrected, again.duplicates) == (0, 0, 12)


def test_next_day_completes_the_one_that_had_not_ended(engine: sa.Engine, vendor: ApiServer, book: Book) -> None:
    load(engine, source(vendor))
    for row in book.rows["messages"][:2]:  # today's of the default workspace
        row["uncached_input_tokens"] = 2500
    done = load(engine, source(vendor), NOW + DAY)
    assert tokens(engine)[MIDNIGHT] == 3 * 3200 + 2 * 1000
    assert (done.inserted, done.corrected) == (0, 1)


def test_revision_replaces_and_never_adds(engine: sa.Engine, vendor: ApiServer, book: Book) -> None:
    load(engine, source(vendor))
    for row in book.rows["costs"]:
        row["amount"] = "100"
    again = load(engine, source(vendor), NOW + HOUR)
    assert set(dollars(engine).values()) == {Decimal(2)}
    assert (again.inserted, again.corrected) == (0, 6)


def test_row_and_day_that_the_vendor_reports_no_more_go(engine: sa.Engine, vendor: ApiServer, book: Book) -> None:
    load(engine, source(vendor))
    book.rows["costs"] = [row for row in book.rows["costs"] if row["at"] >= MIDNIGHT]
    book.rows["messages"] = [row for row in book.rows["messages"] if row["workspace_id"] is None]
    load(engine, source(vendor), NOW + HOUR)
    assert dollars(engine) == {MIDNIGHT: Decimal("2.469")}
    assert set(tokens(engine).values()) == {2 * 3200}


def test_workspace_that_gets_a_name_is_not_counted_twice(engine: sa.Engine, vendor: ApiServer, book: Book) -> None:
    load(engine, source(vendor))
    for row in book.rows["messages"]:
        row["workspace_id"] = "wrkspc_01"
    load(engine, source(vendor), NOW + HOUR)
    assert set(tokens(engine).values()) == {3 * 3200}


def test_small_pages_give_the_same(engine: sa.Engine, vendor: ApiServer) -> None:
    load(engine, source(vendor))
    in_one = reports(engine)
    vendor.asked.clear()
    load(engine, source(vendor, page_size=1), NOW + HOUR)
    assert [asked.one("page") for asked in vendor.asked][:4] == ["", "page_1", "page_2", "page_3"]
    assert reports(engine) == in_one


def test_busy_or_broken_vendor_is_asked_again(engine: sa.Engine, vendor: ApiServer) -> None:
    vendor.faults[:] = [Fault(429, AT_ONCE), Fault(529, AT_ONCE), Fault(seconds=0.05), Fault(500, AT_ONCE)]
    assert load(engine, source(vendor)).inserted == 12
    assert len(vendor.asked) == 2 + 3


def test_half_an_answer_is_asked_for_again(vendor: ApiServer) -> None:
    vendor.faults[:] = [Fault(truncated=True), Fault(cut=True), None, Fault(cut=True)]
    waits: list[float] = []
    with httpx.Client() as client:
        courier = Courier(client, Turnstile(1e9), waits.append)
        (batch,) = courier.run(anthropic.pages(source(vendor), SPAN))
    assert [wait for wait in waits if wait >= 1] == [1, 2, 1]
    assert (len(batch.usage), len(batch.costs)) == (6, 6)


def test_vendor_that_asks_to_wait_for_an_hour_is_left_until_the_next_poll(
    engine: sa.Engine, vendor: ApiServer, book: Book
) -> None:
    load(engine, source(vendor))
    before = reports(engine)
    for row in book.rows["messages"]:
        row["output_tokens"] = 1
    vendor.faults[:] = [None, Fault(429, {"retry-after": "3600"})]
    with pytest.raises(Unavailable, match="it asks to wait 3600 s"):
        load(engine, source(vendor), NOW + HOUR)
    assert reports(engine) == before  # though the usage had been read
    with engine.connect() as connection:
        assert ingest.cursor(connection, TENANT, "anthropic") == NOW


@pytest.mark.parametrize("key", ["sk-ant-987654321", "sk-ant-987654321\n"], ids=["as it is", "with a line's end"])
def test_wrong_key_is_refused_and_not_told(vendor: ApiServer, key: str) -> None:
    with httpx.Client() as client, pytest.raises((Refused, Unavailable)) as caught:  # the server quotes the header
        list(Courier(client, Turnstile(1e6), lambda _: None).run(anthropic.pages(source(vendor, api_key=key), SPAN)))
    assert "987654321" not in str(caught.value)


def test_bad_rows_become_rejects_and_the_rest_is_kept(engine: sa.Engine, vendor: ApiServer, book: Book) -> None:
    book.add("messages", MIDNIGHT + HOUR, model="bad", output_tokens=5)
    book.add("costs", MIDNIGHT + HOUR, description="bad", amount="1", currency="EUR")
    done = load(engine, source(vendor))
    assert (done.inserted, done.rejected) == (12, 2)
    rejects = {row.field: json.loads(row.raw) for row in rows_of(engine, usage_rejects)}
    assert set(rejects) == {"uncached_input_tokens", "currency"}
    assert (rejects["currency"]["endpoint"], rejects["currency"]["day"]) == ("costs", "2026-03-05")


def changed(book: Book, path: str, change: Any) -> Any:
    """Answer as the vendor, but change the document of one endpoint."""
    answer = vendor_reports.anthropic(book)

    def reply(asked: Asked) -> Answer:
        status, document = answer(asked)
        return status, change(document) if asked.path.endswith(path) else document

    return reply


CHANGES = {
    "data is gone": (lambda page: {"buckets": page["data"], "has_more": False}, "missing required field `data`"),
    "a bucket lost its start": (
        lambda page: {**page, "data": [{"ending_at": each["ending_at"], "results": []} for each in page["data"]]},
        "missing required field `starting_at`",
    ),
    "it says has_more for ever": (lambda page: {**page, "has_more": True, "next_page": "page_0"}, "never end"),
    "it says has_more without a token": (lambda page: {**page, "has_more": True}, "has_more without a next_page"),
}


@pytest.mark.parametrize(("change", "text"), CHANGES.values(), ids=CHANGES)
def test_other_protocol_changes_nothing_and_says_what(engine: sa.Engine, book: Book, change: Any, text: str) -> None:
    with api_server(vendor_reports.anthropic(book)) as vendor:
        load(engine, source(vendor))
    before = reports(engine)
    for endpoint in ("usage_report/messages", "cost_report"):
        with api_server(changed(book, endpoint, change)) as vendor, pytest.raises(Unavailable, match=text) as caught:
            load(engine, source(vendor), NOW + HOUR)
        assert f"/v1/organizations/{endpoint}" in str(caught.value)
    assert reports(engine) == before
