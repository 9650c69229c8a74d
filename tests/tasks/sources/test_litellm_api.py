from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from functools import partial
from typing import Any
from urllib.parse import parse_qs

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from ops.errors import InvalidValue, Refused, Unavailable
from ops.window import Window
from tasks.http import Courier, Turnstile
from tasks.settings import Source
from tasks.sources import kind_of
from tasks.sources.interface import ApiKind, Batch
from tasks.sources.litellm_api import KIND, pages
from tests.api_server import ApiServer, Asked, Fault, api_server
from tests.litellm_proxy import KEY, NOON, Proxy, spend_row

SECOND, HOUR = timedelta(seconds=1), timedelta(hours=1)
WINDOW = Window(NOON, NOON + HOUR)


def source(url: str = "http://proxy:4000", **changes: Any) -> Source:
    return Source(name="proxy", kind="litellm_api", url=url, **{"api_key": SecretStr(KEY), **changes})


def row(name: str, seconds: float) -> dict[str, Any]:
    return spend_row(name, NOON + timedelta(seconds=seconds))


def read(proxy: Proxy, window: Window = WINDOW, **changes: Any) -> list[Batch]:
    """Read a window without a server."""

    def answer(request: httpx.Request) -> httpx.Response:
        query = parse_qs(request.url.query.decode())
        status, document = proxy.answer(Asked(request.method, request.url.path, query, dict(request.headers), b""))
        return httpx.Response(status, json=document)

    with httpx.Client(transport=httpx.MockTransport(answer)) as client:
        return list(Courier(client, Turnstile(1e9)).run(pages(source(**changes), window)))


def names(batches: list[Batch]) -> list[str]:
    return [event.event_id for batch in batches for event in batch.events]


@contextmanager
def served(proxy: Proxy) -> Iterator[ApiServer]:
    with api_server(proxy.answer) as server:
        yield server


def test_kind_needs_an_address_and_a_key() -> None:
    assert kind_of(source()) is KIND
    with pytest.raises(InvalidValue, match=r"sources\.proxy\.api_key: '' is not set: kind litellm_api needs it"):
        kind_of(source(api_key=SecretStr("")))
    with pytest.raises(InvalidValue, match=r"sources\.proxy\.url"):
        kind_of(Source(name="proxy", kind="litellm_api", api_key=SecretStr(KEY)))


def test_request_is_what_the_proxy_takes() -> None:
    window = Window(NOON + timedelta(milliseconds=1500), NOON + timedelta(milliseconds=2500))
    request = next(pages(source("https://proxy.example/litellm/"), window))
    assert isinstance(request, httpx.Request)
    assert (request.method, str(request.url.copy_with(query=None))) == (
        "GET", "https://proxy.example/litellm/spend/logs/v2",
    )  # fmt: skip
    assert dict(request.url.params) == {
        "start_date": "2026-03-02 12:00:01", "end_date": "2026-03-02 12:00:03", "page": "1", "page_size": "1000",
        "sort_by": "startTime", "sort_order": "asc",
    }  # fmt: skip
    assert request.headers["authorization"] == f"Bearer {KEY}"


@pytest.mark.parametrize(("given", "asked"), [(None, "1000"), (50, "50"), (10_000, "1000")])
def test_page_is_never_larger_than_the_proxy_allows(given: int | None, asked: str) -> None:
    request = next(pages(source(page_size=given), WINDOW))
    assert isinstance(request, httpx.Request)
    assert request.url.params["page_size"] == asked


READ: dict[str, tuple[list[float], int]] = {
    "nothing": ([], 2),
    "one row": ([0], 2),
    "a page to its last row": ([0, 1], 2),
    "a row more than a page": ([0, 1, 2], 2),
    "pages that end within a second": ([0, 0.1, 1.2, 1.3, 1.4, 2], 2),
    "a second of many pages": ([0, *[1 + number / 10 for number in range(9)], 5], 2),
    "a second of many pages first": ([*[number / 10 for number in range(9)], 5], 2),
    "a second of many pages last": ([0, *[3599 + number / 10 for number in range(9)]], 2),
    "rows of one instant over many pages": ([0, *[7.5] * 9, 8], 2),
    "a row a page": ([0, 0, 1, 1.5, 2, 2, 2, 9], 1),
}


@pytest.mark.parametrize(("seconds", "size"), READ.values(), ids=READ)
def test_every_row_is_read_once(seconds: list[float], size: int) -> None:
    proxy = Proxy([row(f"r{number}", second) for number, second in enumerate(seconds)])
    found = names(read(proxy, page_size=size))
    assert sorted(found) == sorted(f"r{number}" for number in range(len(seconds)))


BOUNDS = [("before", -0.001), ("first", 0), ("last", 3599.999), ("end", 3600), ("after", 3600.001)]


def test_window_holds_its_start_and_not_its_end_though_the_proxy_answers_with_both() -> None:
    proxy = Proxy([row(name, second) for name, second in BOUNDS])
    assert names(read(proxy)) == ["first", "last"]
    assert names(read(proxy, Window(NOON + HOUR, NOON + 2 * HOUR))) == ["end", "after"]
    assert names(read(proxy, Window(NOON - HOUR, NOON))) == ["before"]


def test_windows_that_meet_within_a_second_share_no_row_and_lose_none() -> None:
    proxy = Proxy([row(f"r{number}", number / 10) for number in range(30)])
    middle = NOON + timedelta(microseconds=1_234_567)
    first, second = (
        names(read(proxy, window, page_size=4)) for window in (Window(NOON, middle), Window(middle, NOON + HOUR))
    )
    assert (len(first), len(second)) == (13, 17)  # 0.0 to 1.2 seconds, and the rest
    assert sorted([*first, *second]) == sorted(f"r{number}" for number in range(30))


SECONDS = st.integers(0, 6000).map(lambda millis: millis / 1000) | st.sampled_from([0.0, 1.5, 1.5, 2.0])


@pytest.mark.uncounted
@given(st.lists(SECONDS, max_size=30), st.integers(1, 4), st.lists(st.tuples(st.integers(1, 20), SECONDS), max_size=10))
def test_no_row_is_missed_however_others_come_in_between(
    seconds: list[float], size: int, late: list[tuple[int, float]]
) -> None:
    proxy = Proxy([row(f"r{number}", second) for number, second in enumerate(seconds)])

    def arrive(number: int) -> None:
        proxy.rows += [row(f"late{place}", second) for place, (at, second) in enumerate(late) if at == number]

    proxy.before = arrive
    found = names(read(proxy, page_size=size))
    assert {f"r{number}" for number in range(len(seconds))} <= set(found)
    assert len(found) == len(set(found))


def test_late_row_that_shifts_the_pages_costs_no_other() -> None:
    """By page numbers, r1 would come a second time, in place of r2 or of the row that came late."""
    proxy = Proxy([row(f"r{number}", 10 * number) for number in range(6)])
    proxy.before = lambda number: proxy.rows.append(row("late", 1)) if number == 2 else None
    assert names(read(proxy, page_size=2)) == ["r0", "r1", "r2", "r3", "r4", "r5"]


def test_row_deleted_in_between_costs_no_other() -> None:
    proxy = Proxy([row(f"r{number}", 10 * number) for number in range(6)])
    proxy.before = lambda number: proxy.rows.pop(0) if number == 2 else None
    assert names(read(proxy, page_size=2)) == ["r0", "r1", "r2", "r3", "r4", "r5"]


def test_second_with_more_rows_than_a_page_is_read_again_when_it_moved() -> None:
    proxy = Proxy([row(f"r{number}", 1 + number / 10) for number in range(6)])
    proxy.before = lambda number: proxy.rows.append(row("late", 1.05)) if number == 4 else None
    found = names(read(proxy, page_size=2))
    assert sorted(found) == ["late", *[f"r{number}" for number in range(6)]]


@pytest.mark.parametrize("seconds", [[1.5] * 6, [0, 1, 1.5], []], ids=["within a second", "at the end", "of nothing"])
def test_rows_that_are_counted_but_never_listed_are_not_passed_over(seconds: list[float]) -> None:
    proxy = Proxy([row(f"r{number}", second) for number, second in enumerate(seconds)], hides=1)
    with pytest.raises(
        Unavailable, match=r"it lists fewer rows than it counts of the second 2026-03-02 12:0\d:\d\d, in 10"
    ):
        read(proxy, page_size=2)


def test_window_with_more_rows_than_the_proxy_counts_loses_none() -> None:
    proxy = Proxy([row(f"r{number}", number / 4) for number in range(10_500)])
    found = names(read(proxy))
    assert (len(found), len(set(found))) == (10_500, 10_500)
    assert proxy.requests == 11  # 10.5 pages: each later one begins with a second that it shares with the one before


def test_second_with_more_rows_than_the_proxy_counts_is_refused() -> None:
    proxy = Proxy([row(f"r{number}", 1.5) for number in range(25)], counts_to=10_000)
    proxy.rows *= 401  # 25 names, 10,025 rows
    with pytest.raises(
        Refused, match="cannot list the 10,000 or more requests that began in the second 2026-03-02 12:00:01"
    ):
        read(proxy)


def test_proxy_may_give_smaller_pages_than_asked_for() -> None:
    proxy = Proxy([row(f"r{number}", number / 5) for number in range(60)], largest_page=7)
    assert sorted(names(read(proxy))) == sorted(f"r{number}" for number in range(60))


def test_bad_row_is_rejected_and_the_others_go_on() -> None:
    bad = {**row("bad", 1), "prompt_tokens": -1}
    odd = {**row("odd", 2), "metadata": {"usage_object": 7}}
    [batch] = read(Proxy([row("a", 0), bad, odd, row("b", 3)]))
    assert names([batch]) == ["a", "b"]
    assert [(reject.position, reject.field) for reject in batch.rejects] == [(2, "input_tokens"), (3, "line")]
    assert b'"request_id":"bad"' in batch.rejects[0].raw


def test_page_of_nothing_but_bad_rows_does_not_end_the_reading() -> None:
    proxy = Proxy([{**row(f"r{number}", number), "model": 7} for number in range(5)] + [row("good", 9)])
    batches = read(proxy, page_size=2)
    assert names(batches) == ["good"]
    assert sum(len(batch.rejects) for batch in batches) == 5


SHAPES: dict[str, tuple[Any, str]] = {
    "no total": ({"data": []}, "missing required field `total`"),
    "no data": ({"total": 0, "rows": []}, "missing required field `data`"),
    "a list": ([], "Expected `object`, got `array`"),
    "rows without an id": ({"data": [{"startTime": "2026-03-02"}], "total": 1}, "missing required field `request_id`"),
    "rows without a start": ({"data": [{"request_id": "a"}], "total": 1}, "missing required field `startTime`"),
    "rows with a start that is no time": (
        {"data": [{"request_id": "a", "startTime": "soon"}], "total": 1},
        "'soon' is not an ISO 8601 time",
    ),
    "rows that are none": ({"data": [7], "total": 1}, "Expected `object`, got `int`"),
}


@pytest.mark.parametrize(("document", "reason"), SHAPES.values(), ids=SHAPES)
def test_answer_of_another_shape_is_refused(document: Any, reason: str) -> None:
    pager = pages(source(), WINDOW)
    next(pager)
    with pytest.raises(Refused, match=f"LiteLLM of source proxy refused: its answer has another shape .*{reason}"):
        pager.send(httpx.Response(200, json=document))


def test_proxy_that_does_not_sort_is_refused() -> None:
    with pytest.raises(Refused, match="not sorted by startTime: a LiteLLM without sort_by; upgrade it"):
        read(Proxy([row("a", 0), row("b", 1)], sorts=False))


def fetch(server: ApiServer, waits: list[float], **changes: Any) -> list[Batch]:
    with httpx.Client(timeout=5) as client:
        courier = Courier(client, Turnstile(1e9), waits.append)
        return list(courier.run(pages(source(server.url, page_size=4, **changes), WINDOW)))


FAULTS: dict[str, list[Fault | None]] = {
    "none": [],
    "a limit on the first page": [Fault(429, {"retry-after": "7"})],
    "a limit on a later page": [None, Fault(429, {"retry-after": "7"})],
    "an error of the server, twice": [None, Fault(500), Fault(502)],
    "half a JSON": [None, Fault(truncated=True)],
    "a connection cut in the middle of a page": [Fault(cut=True), None, Fault(cut=True)],
}


@pytest.mark.parametrize("faults", FAULTS.values(), ids=FAULTS)
def test_rows_are_the_same_after(faults: list[Fault | None]) -> None:
    proxy = Proxy([row(f"r{number}", number / 3) for number in range(20)])
    with served(proxy) as server:
        server.faults = list(faults)
        waits: list[float] = []
        found = names(fetch(server, waits))
    assert sorted(found) == sorted(f"r{number}" for number in range(20))
    assert len([wait for wait in waits if wait >= 1]) == len([fault for fault in faults if fault])
    assert (7 in waits) == any(fault is not None and fault.status == 429 for fault in faults)


def test_wrong_key_is_refused_and_not_told() -> None:
    with served(Proxy([row("a", 0)])) as server, pytest.raises(Refused, match="401") as caught:
        fetch(server, [], api_key=SecretStr("sk-wrong-2718281828"))
    assert "2718281828" not in str(caught.value)
    assert len(server.asked) == 1


def test_proxy_of_another_kind_is_refused() -> None:
    with served(Proxy()) as server, pytest.raises(Refused, match="404"):
        fetch(ApiServer(f"{server.url}/elsewhere"), [])


def test_kind_looks_back_an_hour_and_corrects() -> None:
    assert (KIND.look_back, KIND.corrects, isinstance(KIND, ApiKind)) == (HOUR, True, True)


def test_event_after_the_window_by_its_clock_is_none_of_its_rows() -> None:
    """The bound of clock skew is the window's end: a row of it can't be later."""
    far = partial(datetime.__add__, NOON)
    assert names(read(Proxy([spend_row("a", far(30 * HOUR))]), Window(NOON, far(31 * HOUR)))) == ["a"]
