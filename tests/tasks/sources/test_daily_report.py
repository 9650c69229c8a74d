from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ops.errors import InvalidValue, Unavailable
from ops.vendor_usage import VendorUsage
from ops.window import Window
from tasks.settings import Source
from tasks.sources import openai
from tasks.sources.daily_report import DAY, Report, at, day_of, decode, read, whole_days
from tasks.sources.interface import Batch

MIDNIGHT = datetime(2026, 3, 4, tzinfo=UTC)
HOUR = timedelta(hours=1)
SOURCE = Source(name="vendor", kind="openai", api_key="k")  # type: ignore[arg-type]  pydantic makes it a secret
DAYS = Window(MIDNIGHT, MIDNIGHT + 2 * DAY)


def bucket(day: datetime, *results: Any, **fields: Any) -> dict[str, Any]:
    times = {"start_time": int(day.timestamp()), "end_time": int((day + DAY).timestamp())}
    return {**times, "results": list(results), **fields}


def row(tokens: int = 10, model: str | None = "gpt-4o", **fields: Any) -> dict[str, Any]:
    return {"input_tokens": tokens, "output_tokens": 1, "num_model_requests": 1, "model": model, **fields}


def page(*buckets: dict[str, Any], next_page: str | None = None, **fields: Any) -> dict[str, Any]:
    return {"data": list(buckets), "has_more": next_page is not None, "next_page": next_page, **fields}


def report(asked: list[str | None]) -> Report:
    def ask(token: str | None) -> httpx.Request:
        asked.append(token)
        return httpx.Request("GET", "http://vendor.test/v1/report")

    return Report("embeddings", ask, openai.parse_page, lambda day, raw: openai.parse_usage("embeddings", day, raw))


def drive(*pages: Any, days: Window = DAYS) -> tuple[Batch, list[str | None]]:
    """Answer one request after the other; return the batch and the tokens that were asked with."""
    asked: list[str | None] = []
    pager = read([report(asked)], days)
    item: httpx.Request | Batch = next(pager)
    for answer in pages:
        assert isinstance(item, httpx.Request)
        item = pager.send(httpx.Response(200, content=answer if isinstance(answer, bytes) else json.dumps(answer)))
    assert isinstance(item, Batch)
    return item, asked


WINDOWS = {
    "a day stays itself": ((0, 24), (0, 24)),
    "a start at noon goes back to midnight": ((12, 24), (0, 24)),
    "an end at noon takes in the day that has not ended": ((0, 36), (0, 48)),
    "an hour of a day is that day": ((13, 14), (0, 24)),
    "an hour over midnight is two days": ((23, 25), (0, 48)),
    "nothing at midnight is nothing": ((24, 24), (24, 24)),
}


@pytest.mark.parametrize(("hours", "expected"), WINDOWS.values(), ids=WINDOWS)
def test_window_is_widened_to_days(hours: tuple[int, int], expected: tuple[int, int]) -> None:
    start, end = (MIDNIGHT + hour * HOUR for hour in hours)
    assert whole_days(Window(start, end)) == Window(*(MIDNIGHT + hour * HOUR for hour in expected))


@given(st.datetimes(timezones=st.just(UTC)).filter(lambda when: 2 <= when.year < 9999), st.integers(1, 10**7))
def test_widened_window_is_less_than_a_day_longer_at_each_end(start: datetime, length: int) -> None:
    window = Window(start, start + timedelta(seconds=length))
    days = whole_days(window)
    assert days.start <= window.start < days.start + DAY
    assert days.end - DAY < window.end <= days.end
    assert days.length % DAY == timedelta(0)
    assert whole_days(days) == days


NO_DAYS = {
    "a start at noon": (MIDNIGHT + 12 * HOUR, MIDNIGHT + DAY),
    "two days": (MIDNIGHT, MIDNIGHT + 2 * DAY),
    "an end before the start": (MIDNIGHT, MIDNIGHT - HOUR),
    "no length": (MIDNIGHT, MIDNIGHT),
    "a naive start": (MIDNIGHT.replace(tzinfo=None), MIDNIGHT + DAY),
    "a naive end": (MIDNIGHT, (MIDNIGHT + DAY).replace(tzinfo=None)),
    "a day before all days": (
        datetime.fromisoformat("0001-01-01T00:00:00+14:00"),
        datetime.fromisoformat("0001-01-01T01:00:00+14:00"),
    ),
    "a day after all days": (datetime(9999, 12, 31, tzinfo=UTC), datetime(9999, 12, 31, 23, tzinfo=UTC)),
}


@pytest.mark.parametrize(("start", "end"), NO_DAYS.values(), ids=NO_DAYS)
def test_bucket_is_refused_for(start: datetime, end: datetime) -> None:
    with pytest.raises(InvalidValue, match=r"data\[\]\.bucket: .* is not a UTC day"):
        day_of(start, end)


def test_bucket_that_has_not_ended_is_of_its_whole_day() -> None:
    assert day_of(MIDNIGHT, MIDNIGHT + 13 * HOUR) == Window(MIDNIGHT, MIDNIGHT + DAY)


def test_bucket_in_another_zone_is_of_its_utc_day() -> None:
    start, end = (datetime.fromisoformat(f"2026-03-0{day}T02:00:00+02:00") for day in (4, 5))
    day = day_of(start, end)
    assert (day.start, day.start.tzinfo) == (MIDNIGHT, UTC)


@pytest.mark.parametrize("epoch", [2**63, -(2**62), 10**30, 253402300800], ids=["2^63", "-2^62", "10^30", "year 10000"])
def test_time_that_no_calendar_has_is_refused(epoch: int) -> None:
    with pytest.raises(InvalidValue, match=r"start_time: .* is not seconds since 1970"):
        at("start_time", epoch)


def test_all_pages_become_one_batch_that_covers_the_days() -> None:
    batch, asked = drive(page(bucket(MIDNIGHT, row(1)), next_page="p2"), page(bucket(MIDNIGHT + DAY, row(2))))
    assert asked == [None, "p2"]
    assert [(one.window.start, one.input_tokens) for one in batch.usage] == [(MIDNIGHT, 1), (MIDNIGHT + DAY, 2)]
    assert batch.covers == DAYS


def test_report_without_results_still_covers_the_days() -> None:
    batch, _ = drive(page())
    assert (batch.read, batch.covers) == (0, DAYS)


def test_page_that_comes_twice_counts_once() -> None:
    same = page(bucket(MIDNIGHT, row(7)), next_page="p2")
    batch, _ = drive(same, {**same, "next_page": "p3"}, page(bucket(MIDNIGHT + DAY, row(2))))
    assert [one.input_tokens for one in batch.usage] == [7, 2]


def test_bucket_that_is_split_over_pages_keeps_all_of_its_results() -> None:
    batch, _ = drive(page(bucket(MIDNIGHT, row(1)), next_page="p2"), page(bucket(MIDNIGHT, row(2, "o3"))))
    assert {one.model: one.input_tokens for one in batch.usage} == {"gpt-4o": 1, "o3": 2}


def test_results_of_the_same_dimensions_are_added_up() -> None:
    batch, _ = drive(page(bucket(MIDNIGHT, row(1, speed="fast"), row(2, speed="slow"))))
    assert [(one.input_tokens, one.requests) for one in batch.usage] == [(3, 2)]


def test_sum_that_no_bigint_holds_becomes_a_reject() -> None:
    batch, _ = drive(page(bucket(MIDNIGHT, row(2**63 - 1), row(1))))
    assert [reject.field for reject in batch.rejects] == ["input_tokens"]
    assert [one.input_tokens for one in batch.usage] == [2**63 - 1]


def test_day_that_was_not_asked_for_is_skipped() -> None:
    batch, _ = drive(
        page(bucket(MIDNIGHT - DAY, row(1), row(1, "o3")), bucket(MIDNIGHT, row(2)), bucket(DAYS.end, row(3)))
    )
    assert ([one.input_tokens for one in batch.usage], batch.skipped) == ([2], 3)


def test_bad_result_becomes_a_reject_that_says_where_it_stood() -> None:
    batch, _ = drive(page(bucket(MIDNIGHT, row(1)), bucket(MIDNIGHT + DAY, row(-1), row(2))))
    assert [one.input_tokens for one in batch.usage] == [1, 2]
    (reject,) = batch.rejects
    assert (reject.position, reject.field) == (2, "input_tokens")
    told = json.loads(reject.raw)
    assert (told["endpoint"], told["day"], told["result"]["input_tokens"]) == ("embeddings", "2026-03-05", -1)


CHANGED = {
    "no data": ({"has_more": False}, "missing required field `data`"),
    "data that is null": ({"data": None, "has_more": False}, r"data: "),
    "no has_more": ({"data": []}, "missing required field `has_more`"),
    "a bucket without results": (page({"start_time": 0, "end_time": 86400}), "missing required field `results`"),
    "a bucket by the hour": (page(bucket(MIDNIGHT + HOUR)), "is not a UTC day"),
    "a bucket of a year that is none": (page({"start_time": 2**63, "end_time": 0, "results": []}), "start_time"),
    "an array": ([], "Expected `object`, got `array`"),
}


@pytest.mark.parametrize(("answer", "text"), CHANGED.values(), ids=CHANGED)
def test_changed_schema_makes_the_source_unavailable_for(answer: Any, text: str) -> None:
    with pytest.raises(Unavailable, match=rf"vendor\.test/v1/report is unavailable: .* not as documented: .*{text}"):
        drive(answer)


def test_empty_page_that_leads_on_is_an_error() -> None:
    with pytest.raises(Unavailable, match="an empty page with a next_page: its pages never end"):
        drive(page(next_page="p2"))


@pytest.mark.parametrize("token", [None, ""])
def test_more_pages_without_a_token_are_an_error(token: str | None) -> None:
    with pytest.raises(Unavailable, match="it says has_more without a next_page"):
        drive({"data": [], "has_more": True, "next_page": token})


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)
WRITTEN = JSON.map(lambda value: json.dumps(value).encode())


@pytest.mark.uncounted
@given(st.binary(max_size=60) | WRITTEN)
def test_any_answer_gives_a_batch_or_makes_the_source_unavailable(content: bytes) -> None:
    try:
        batch, _ = drive(content)
    except Unavailable:
        return
    assert batch.covers == DAYS


@pytest.mark.uncounted
@given(st.lists(WRITTEN, max_size=5))
def test_any_results_become_records_or_rejects(results: list[bytes]) -> None:
    content = msgspec.json.encode(page(bucket(MIDNIGHT, *(msgspec.Raw(raw) for raw in results))))
    batch, _ = drive(content)
    assert len(batch.rejects) <= len(results)
    assert all(reject.reason for reject in batch.rejects)
    assert all(isinstance(one.validated(), VendorUsage) for one in batch.usage)


@pytest.mark.parametrize(
    ("raw", "field"),
    [(b'{"input_tokens": "1"}', "input_tokens"), (b"{}", "input_tokens"), (b"[]", "result"), (b"{", "result"),
     (b'{"input_tokens": 1, "model": "\xff"}', "result"), (b"[" * 5000, "result"), (b'{"a": ' + b"[" * 5000, "result")],
    ids=["another type", "a missing field", "an array", "half of it", "no UTF-8", "deep arrays", "a deep field"],
)  # fmt: skip
def test_decoding_names_the_field(raw: bytes, field: str) -> None:
    with pytest.raises(InvalidValue) as caught:
        decode(openai._USAGE, raw, "a result")
    assert caught.value.field == field
