from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import httpx
import pytest
import sqlalchemy as sa

from ops.errors import Refused, Unavailable
from ops.window import Window
from tasks.http import Courier, Turnstile
from tasks.load_window import load_window
from tasks.settings import Source
from tasks.sources import openai
from tasks.stores import ingest
from tasks.stores.tables import usage_events, usage_rejects, vendor_costs, vendor_usage
from tasks.write_usage import Target
from tests import vendor_reports
from tests.api_server import ApiServer, Asked, Fault, api_server
from tests.vendor_reports import ADMIN_KEY, DAY, HOUR, MIDNIGHT, NOW, TENANT, Answer, Book, load, reports, rows_of

SPAN = Window(MIDNIGHT - 2 * DAY, NOW)
AT_ONCE = {"retry-after": "0"}


@pytest.fixture
def book() -> Book:
    """Three days of an organisation: two models, two projects, batches, embeddings and costs."""
    book = Book()
    for days in (0, 1, 2):
        at = MIDNIGHT - days * DAY + 9 * HOUR
        chat = {"model": "gpt-4o", "project_id": "p1", "batch": False, "service_tier": "default"}
        count = {"input_tokens": 1000, "input_cached_tokens": 400, "output_tokens": 500, "num_model_requests": 5}
        book.add("completions", at, **chat, user_id="u1", **count)
        book.add("completions", at + HOUR, **chat, user_id="u2", **count)
        book.add("completions", at, **{**chat, "project_id": "p2", "batch": True}, user_id="u1", **count)
        book.add(
            "embeddings", at, model="text-embedding-3-small", project_id="p1", input_tokens=9, num_model_requests=1
        )
        amount = {"value": 0.25, "currency": "usd"}
        book.add("costs", at, line_item="gpt-4o, input", project_id="p1", amount=amount)
        book.add("costs", at + HOUR, line_item="gpt-4o, input", project_id="p1", amount=amount)
    return book


@pytest.fixture
def vendor(book: Book) -> Iterator[ApiServer]:
    with api_server(vendor_reports.openai(book)) as server:
        yield server


def source(vendor: ApiServer, **fields: Any) -> Source:
    usual = {"name": "openai", "kind": "openai", "api_key": ADMIN_KEY, "since": MIDNIGHT - 2 * DAY}
    return Source(**{**usual, "url": vendor.url, "requests_per_minute": 100_000, **fields})


def tokens(engine: sa.Engine) -> dict[tuple[datetime, str], int]:
    """Return the input by day and model."""
    found: dict[tuple[datetime, str], int] = {}
    for row in rows_of(engine, vendor_usage):
        found[row.starts_at, row.model] = found.get((row.starts_at, row.model), 0) + row.input_tokens
    return found


def dollars(engine: sa.Engine) -> dict[datetime, Decimal]:
    return {row.starts_at: row.cost_usd for row in rows_of(engine, vendor_costs)}


def test_first_poll_stores_every_day_by_model(engine: sa.Engine, vendor: ApiServer) -> None:
    done = load(engine, source(vendor))
    days = [MIDNIGHT - 2 * DAY, MIDNIGHT - DAY, MIDNIGHT]
    assert tokens(engine) == {
        (day, model): count for day in days for model, count in (("gpt-4o", 3000), ("text-embedding-3-small", 9))
    }
    assert dollars(engine) == dict.fromkeys(days, Decimal("0.5"))  # 0.25 + 0.25
    assert (done.read, done.inserted, done.rejected) == (12, 12, 0)  # per day 2 of chat, 1 embedding, 1 cost
    assert rows_of(engine, usage_events) == []  # aggregates are never usage


def test_rows_hold_what_the_vendor_was_grouped_by(engine: sa.Engine, vendor: ApiServer) -> None:
    load(engine, source(vendor, since=MIDNIGHT))
    (row,) = [row for row in rows_of(engine, vendor_usage) if row.dimensions.get("batch") == "true"]
    assert (row.vendor, row.endpoint, row.model, row.requests) == ("openai", "completions", "gpt-4o", 5)
    assert (row.input_tokens, row.cached_tokens, row.cache_write_tokens, row.output_tokens) == (1000, 400, None, 500)
    assert row.dimensions == {"project_id": "p2", "batch": "true", "service_tier": "default"}
    assert (row.starts_at, row.ends_at, row.fetched_at) == (MIDNIGHT, MIDNIGHT + DAY, NOW)  # a day that has not ended


def test_dimension_that_is_not_asked_for_is_null_and_not_stored(engine: sa.Engine, vendor: ApiServer) -> None:
    load(engine, source(vendor))
    groups = {asked.path.rpartition("/")[2]: asked.query["group_by[]"] for asked in vendor.asked}
    assert "model" in groups["completions"]
    assert "user_id" not in groups["completions"]
    assert not any("user_id" in row.dimensions for row in rows_of(engine, vendor_usage))


def test_second_poll_adds_nothing(engine: sa.Engine, vendor: ApiServer) -> None:
    load(engine, source(vendor))
    first = reports(engine)
    again = load(engine, source(vendor), NOW + HOUR)
    assert reports(engine) == first
    assert (again.read, again.inserted, again.corrected, again.duplicates) == (12, 0, 0, 12)


def test_revision_replaces_and_never_adds(engine: sa.Engine, vendor: ApiServer, book: Book) -> None:
    load(engine, source(vendor))
    for row in book.rows["completions"]:
        row["input_tokens"] = 1500
    book.rows["costs"][0]["amount"] = {"value": 0.75, "currency": "usd"}
    again = load(engine, source(vendor), NOW + HOUR)
    assert tokens(engine)[MIDNIGHT, "gpt-4o"] == 3 * 1500
    assert dollars(engine)[MIDNIGHT] == Decimal(1)  # 0.75 + 0.25
    assert (again.inserted, again.corrected) == (0, 7)  # 2 of chat on 3 days, and one cost


def test_row_that_the_vendor_reports_no_more_goes(engine: sa.Engine, vendor: ApiServer, book: Book) -> None:
    load(engine, source(vendor))
    for row in [row for row in book.rows["completions"] if row["project_id"] == "p2"]:
        book.remove("completions", row)
    load(engine, source(vendor), NOW + HOUR)
    assert tokens(engine)[MIDNIGHT - DAY, "gpt-4o"] == 2000
    assert {row.dimensions["project_id"] for row in rows_of(engine, vendor_usage)} == {"p1"}


def test_day_that_the_vendor_reports_no_more_goes(engine: sa.Engine, vendor: ApiServer, book: Book) -> None:
    load(engine, source(vendor))
    for endpoint, rows in book.rows.items():
        book.rows[endpoint] = [row for row in rows if row["at"] >= MIDNIGHT or row["at"] < MIDNIGHT - DAY]
    load(engine, source(vendor), NOW + HOUR)
    assert {row["starts_at"] for row in reports(engine)} == {MIDNIGHT, MIDNIGHT - 2 * DAY}


def test_row_that_moves_to_another_model_is_not_counted_twice(engine: sa.Engine, vendor: ApiServer, book: Book) -> None:
    load(engine, source(vendor))
    for row in book.rows["completions"]:
        row["model"] = "gpt-4o-2024-08-06"
    load(engine, source(vendor), NOW + HOUR)
    assert tokens(engine)[MIDNIGHT, "gpt-4o-2024-08-06"] == 3000
    assert (MIDNIGHT, "gpt-4o") not in tokens(engine)


def test_revision_is_seen_for_three_days_and_older_days_stay(engine: sa.Engine, vendor: ApiServer, book: Book) -> None:
    old, young = MIDNIGHT - 4 * DAY, MIDNIGHT - 3 * DAY
    rows = [book.add("embeddings", at + HOUR, model="m", project_id="p", input_tokens=1) for at in (old, young)]
    load(engine, source(vendor, since=old))
    for row in rows:
        row["input_tokens"] = 2
    load(engine, source(vendor), NOW + HOUR)
    assert (tokens(engine)[old, "m"], tokens(engine)[young, "m"]) == (1, 2)


def test_look_back_of_the_source_is_kept_to_whole_days(engine: sa.Engine, vendor: ApiServer, book: Book) -> None:
    load(engine, source(vendor))
    book.add("embeddings", MIDNIGHT + HOUR, model="m", project_id="p", input_tokens=1)
    load(engine, source(vendor, look_back_minutes=0), NOW + HOUR)
    assert tokens(engine)[MIDNIGHT, "m"] == 1  # before the cursor, but of a day that has not ended
    assert tokens(engine)[MIDNIGHT, "gpt-4o"] == 3000  # nor was the morning lost


def test_day_is_whole_whatever_hour_the_windows_begin(engine: sa.Engine, vendor: ApiServer) -> None:
    load(engine, source(vendor, since=MIDNIGHT - 2 * DAY + 11 * HOUR))  # after the first day's usage
    assert tokens(engine)[MIDNIGHT - 2 * DAY, "gpt-4o"] == 3000


def test_end_is_exclusive(engine: sa.Engine, vendor: ApiServer, book: Book) -> None:
    book.add("embeddings", MIDNIGHT + DAY, model="m", project_id="p", input_tokens=1)
    load(engine, source(vendor))
    assert {asked.one("end_time") for asked in vendor.asked} == {str(int((MIDNIGHT + DAY).timestamp()))}
    assert not any(model == "m" for _, model in tokens(engine))


def test_long_history_is_asked_for_a_page_at_a_time(engine: sa.Engine, vendor: ApiServer, book: Book) -> None:
    for days in range(3, 100):
        book.add("embeddings", MIDNIGHT - days * DAY, model="m", project_id="p", input_tokens=days)
    load(engine, source(vendor, since=MIDNIGHT - 99 * DAY))
    assert {day: count for (day, model), count in tokens(engine).items() if model == "m"} == {
        MIDNIGHT - days * DAY: days for days in range(3, 100)
    }
    spans = {(int(asked.one("start_time")), int(asked.one("end_time"))) for asked in vendor.asked}
    assert len(vendor.asked) == 5 * len(spans)  # one page of each endpoint
    assert max(end - start for start, end in spans) == 31 * 86_400
    assert sorted(spans)[0][0] == int((MIDNIGHT - 99 * DAY).timestamp())


def test_small_pages_give_the_same(engine: sa.Engine, vendor: ApiServer) -> None:
    load(engine, source(vendor))
    in_one = reports(engine)
    vendor.asked.clear()
    load(engine, source(vendor, name="again", page_size=1))
    assert len(vendor.asked) == 5 * 3  # three days
    assert [{**row, "source": "openai"} for row in reports(engine) if row["source"] == "again"] == in_one


def test_busy_or_broken_vendor_is_asked_again(engine: sa.Engine, vendor: ApiServer) -> None:
    vendor.faults[:] = [Fault(429, AT_ONCE), None, Fault(500, AT_ONCE), Fault(503, AT_ONCE), None, Fault(seconds=0.05)]
    done = load(engine, source(vendor, page_size=2))
    assert (done.inserted, len(vendor.asked)) == (12, 5 * 2 + 3)


def test_half_an_answer_is_asked_for_again(engine: sa.Engine, vendor: ApiServer, book: Book) -> None:
    vendor.faults[:] = [Fault(truncated=True), Fault(cut=True), None, Fault(cut=True), Fault(truncated=True)]
    waits: list[float] = []
    with httpx.Client() as client:
        courier = Courier(client, Turnstile(1e9), waits.append)
        (batch,) = courier.run(openai.pages(source(vendor), SPAN))
    assert [wait for wait in waits if wait >= 1] == [1, 2, 1, 2]
    assert (len(batch.usage), len(batch.costs)) == (9, 3)


def test_vendor_that_breaks_down_midway_changes_nothing(engine: sa.Engine, vendor: ApiServer, book: Book) -> None:
    load(engine, source(vendor))
    before = reports(engine)
    for row in book.rows["completions"]:
        row["input_tokens"] = 9000
    vendor.faults[:] = [None, None, *[Fault(500, AT_ONCE)] * 5]
    with pytest.raises(Unavailable, match=r"127\.0\.0\.1/v1/organization/usage/embeddings is unavailable: 500"):
        load(engine, source(vendor), NOW + HOUR)
    assert reports(engine) == before
    with engine.connect() as connection:
        assert ingest.cursor(connection, TENANT, "openai") == NOW
    load(engine, source(vendor), NOW + HOUR)
    assert tokens(engine)[MIDNIGHT, "gpt-4o"] == 3 * 9000


@pytest.mark.parametrize("key", ["sk-wrong-987654321", "sk-wrong-987654321\n"], ids=["as it is", "with a line's end"])
def test_wrong_key_is_refused_and_not_told(engine: sa.Engine, vendor: ApiServer, key: str) -> None:
    with httpx.Client() as client, pytest.raises((Refused, Unavailable)) as caught:  # the server quotes the header
        list(Courier(client, Turnstile(1e6), lambda _: None).run(openai.pages(source(vendor, api_key=key), SPAN)))
    assert "987654321" not in str(caught.value)
    assert reports(engine) == []


def test_bad_rows_become_rejects_and_the_rest_is_kept(engine: sa.Engine, vendor: ApiServer, book: Book) -> None:
    book.add("completions", MIDNIGHT + HOUR, model="bad", project_id="p1", input_tokens=-1)
    book.add("costs", MIDNIGHT + HOUR, line_item="bad", project_id="p1", amount={"value": 1, "currency": "eur"})
    done = load(engine, source(vendor))
    load(engine, source(vendor), NOW + HOUR)
    assert (done.inserted, done.rejected) == (12, 2)
    kept = {(row.field, row.place) for row in rows_of(engine, usage_rejects)}  # once, however often it is read
    assert kept == {
        ("input_tokens", "2026-03-03T00:00/2026-03-05T12:00"),
        ("amount.currency", "2026-03-03T00:00/2026-03-05T12:00"),
    }
    assert len(rows_of(engine, usage_rejects)) == 2


def changed(book: Book, path: str, change: Any) -> Any:
    """Answer as the vendor, but change the document of one endpoint."""
    answer = vendor_reports.openai(book)

    def reply(asked: Asked) -> Answer:
        status, document = answer(asked)
        return status, change(document) if asked.path.endswith(path) else document

    return reply


CHANGES = {
    "data is gone": (lambda page: {"items": page["data"], "has_more": False}, "missing required field `data`"),
    "buckets are hours": (
        lambda page: {**page, "data": [{**each, "start_time": each["start_time"] + 3600} for each in page["data"]]},
        "is not a UTC day",
    ),
    "it says has_more for ever": (lambda page: {**page, "has_more": True, "next_page": "page_0"}, "never end"),
}


@pytest.mark.parametrize(("change", "text"), CHANGES.values(), ids=CHANGES)
def test_other_protocol_changes_nothing_and_says_what(engine: sa.Engine, book: Book, change: Any, text: str) -> None:
    with api_server(vendor_reports.openai(book)) as vendor:
        load(engine, source(vendor))
    before = reports(engine)
    with api_server(changed(book, "/costs", change)) as vendor, pytest.raises(Unavailable, match=text) as caught:
        load(engine, source(vendor), NOW + HOUR)
    assert "/v1/organization/costs" in str(caught.value)
    assert reports(engine) == before


def test_other_sources_and_tenants_are_left_alone(engine: sa.Engine, vendor: ApiServer, book: Book) -> None:
    load(engine, source(vendor))
    load(engine, source(vendor, name="other"))
    load(engine, source(vendor), tenant="neighbour")
    for endpoint in book.rows:
        book.rows[endpoint] = []
    load(engine, source(vendor), NOW + HOUR)
    left = {(row["tenant_id"], row["source"]) for row in reports(engine)}
    assert left == {(TENANT, "other"), ("neighbour", "openai")}


def test_report_asked_for_earlier_changes_nothing(engine: sa.Engine, vendor: ApiServer, book: Book) -> None:
    load(engine, source(vendor), NOW + HOUR)
    before = reports(engine)
    for row in book.rows["completions"]:
        row["input_tokens"] = 700
    late = load_window(Target(engine, TENANT), source(vendor), SPAN, lambda: NOW)
    assert reports(engine) == before
    assert (late.inserted, late.corrected, late.duplicates) == (0, 0, 12)


def test_poll_at_the_stroke_of_midnight_asks_for_no_day_to_come(engine: sa.Engine, vendor: ApiServer) -> None:
    load(engine, source(vendor), MIDNIGHT)
    assert {row["starts_at"] for row in reports(engine)} == {MIDNIGHT - 2 * DAY, MIDNIGHT - DAY}
    assert all(row["ends_at"] - row["starts_at"] == timedelta(days=1) for row in reports(engine))
