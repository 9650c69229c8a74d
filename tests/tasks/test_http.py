from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from itertools import count
from typing import Any

import httpx
import pytest

from ops.errors import Refused, Unavailable
from tasks.http import LONGEST_WAIT_S, MOST_TIMES, TRIES, Courier, Limits, Turnstile
from tasks.resources import open_http
from tasks.sources.interface import Batch, Pager
from tests.api_server import ApiServer, Asked, Fault, api_server

DOCUMENT = {"data": [1, 2, 3], "text": "half a character is \ud83d"}
KEY = "sk-do-not-show-me"


@dataclass
class Clock:
    """Time that passes only while somebody sleeps."""

    now: float = 0.0
    slept: list[float] = field(default_factory=list)

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


def right(asked: Asked) -> tuple[int, Any]:
    return 200, DOCUMENT


@contextmanager
def courier_of(
    *faults: Fault | None,
    timeout_s: float = 30,
    limits: Limits = Limits(),  # noqa: B008  frozen
) -> Iterator[tuple[Courier, Clock, ApiServer]]:
    """Yield a courier without spacing to a server that has these faults first."""
    clock = Clock()
    with api_server(right) as server, open_http(timeout_s) as client:
        server.faults.extend(faults)
        yield Courier(client, Turnstile(1e9, clock.sleep, lambda: 0.0), clock.sleep, limits), clock, server


def get(server: ApiServer, **headers: str) -> httpx.Request:
    return httpx.Request("GET", f"{server.url}/v1/rows", params={"cursor": "c-1"}, headers=headers)


def test_answer_comes_at_once() -> None:
    with courier_of() as (courier, clock, server):
        assert courier.fetch(get(server)).json() == DOCUMENT
        assert waits(clock) == []


def waits(clock: Clock) -> list[float]:
    """What was slept for a retry, not for the spacing."""
    return [seconds for seconds in clock.slept if seconds > 0.001]


MENDED: dict[str, tuple[list[Fault | None], list[float]]] = {
    "asked to wait 7 seconds": ([Fault(429, {"retry-after": "7"})], [7.0]),
    "asked to wait half a second": ([Fault(503, {"retry-after": "0.5"})], [0.5]),
    "asked to wait as long as we do": ([Fault(429, {"retry-after": "120"})], [120.0]),
    "asked to wait for nobody knows what": ([Fault(429, {"retry-after": "soon"})], [1.0]),
    "asked to wait until yesterday": ([Fault(429, {"retry-after": "Thu, 05 Mar 2015 12:00:00 GMT"})], [1.0]),
    "asked to wait until a time without a zone": ([Fault(429, {"retry-after": "5 Mar 2015 12:00:00 -0000"})], [1.0]),
    "asked to wait below 0": ([Fault(429, {"retry-after": "-3"})], [1.0]),
    "asked to wait for no number": ([Fault(429, {"retry-after": "nan"})], [1.0]),
    "too many requests": ([Fault(429)], [1.0]),
    "server's errors, longer each time": (
        [Fault(500), Fault(502), Fault(503), Fault(504)],
        [1.0, 2.0, 4.0, 8.0],
    ),
    "half of the JSON": ([Fault(truncated=True)], [1.0]),
    "connection cut in the middle": ([Fault(cut=True), Fault(cut=True)], [1.0, 2.0]),
    "one fault after the other": (
        [Fault(529), Fault(truncated=True), Fault(cut=True), Fault(408, {"retry-after": "3"})],
        [1.0, 2.0, 4.0, 3.0],
    ),
}


@pytest.mark.parametrize(("faults", "slept"), MENDED.values(), ids=MENDED)
def test_passing_fault_is_waited_out(faults: list[Fault | None], slept: list[float]) -> None:
    with courier_of(*faults) as (courier, clock, server):
        assert courier.fetch(get(server)).json() == DOCUMENT
        assert waits(clock) == slept
        assert len(server.asked) == len(faults) + 1


def test_retry_after_may_be_a_date() -> None:
    soon = datetime.now(UTC) + timedelta(seconds=60)
    with courier_of(Fault(429, {"retry-after": format_datetime(soon, usegmt=True)})) as (courier, clock, server):
        courier.fetch(get(server))
    (slept,) = waits(clock)
    assert 30 < slept <= 60


def test_slow_answer_is_asked_for_again() -> None:
    with courier_of(Fault(seconds=3), timeout_s=1) as (courier, clock, server):
        assert courier.fetch(get(server)).json() == DOCUMENT
        assert waits(clock) == [1.0]


@pytest.mark.parametrize("asked", [str(LONGEST_WAIT_S + 1), "inf", format_datetime(datetime(2100, 1, 1, tzinfo=UTC))])
def test_longer_wait_than_ours_is_left_for_the_next_poll(asked: str) -> None:
    with (
        courier_of(Fault(429, {"retry-after": asked})) as (courier, clock, server),
        pytest.raises(Unavailable, match="it asks to wait") as caught,
    ):
        courier.fetch(get(server))
    assert caught.value.retryable
    assert (waits(clock), len(server.asked)) == ([], 1)


LASTING: dict[str, tuple[Fault, str]] = {
    "a server's error": (Fault(500), r"500 Internal Server Error .*as asked"),
    "half of the JSON": (Fault(truncated=True), "an answer that is not whole JSON"),
    "a cut connection": (Fault(cut=True), "RemoteProtocolError"),
}


@pytest.mark.parametrize(("fault", "reason"), LASTING.values(), ids=LASTING)
def test_fault_that_lasts_ends_after_five_tries(fault: Fault, reason: str) -> None:
    with (
        courier_of(*[fault] * 10) as (courier, clock, server),
        pytest.raises(Unavailable, match=rf"^127\.0\.0\.1/v1/rows is unavailable: {reason}.*, 5 times$"),
    ):
        courier.fetch(get(server))
    assert waits(clock) == [1.0, 2.0, 4.0, 8.0]
    assert len(server.asked) == TRIES


def test_nobody_there_ends_after_five_tries() -> None:
    with api_server(right) as server:
        pass
    with open_http() as client, pytest.raises(Unavailable, match="ConnectError"):
        Courier(client, Turnstile(1e9), Clock().sleep).fetch(get(server))


REFUSED = {400: "Bad Request", 401: "Unauthorized", 403: "Forbidden", 404: "Not Found", 422: "Unprocessable"}


@pytest.mark.parametrize("status", REFUSED)
def test_refusal_is_not_asked_again(status: int) -> None:
    with (
        courier_of(Fault(status, {"retry-after": "1"})) as (courier, clock, server),
        pytest.raises(Refused, match=rf"^127\.0\.0\.1/v1/rows refused: {status} {REFUSED[status]}") as caught,
    ):
        courier.fetch(get(server))
    assert not caught.value.retryable
    assert (waits(clock), len(server.asked)) == ([], 1)


@pytest.mark.parametrize("status", [301, 302, 304, 307, 308])
def test_redirect_is_refused_though_its_body_is_json(status: int) -> None:
    fault = Fault(status, {"location": "https://elsewhere.test/"})
    with courier_of(fault) as (courier, _, server), pytest.raises(Refused, match=rf"refused: {status} "):
        courier.fetch(get(server))
    assert len(server.asked) == 1


MARKS = {"if-none-match": '"a"'}, {"if-modified-since": "Thu, 05 Mar 2026 12:00:00 GMT"}


@pytest.mark.parametrize("mark", MARKS)
def test_conditional_request_may_be_answered_with_304(mark: dict[str, str]) -> None:
    with courier_of(Fault(304, content=b"")) as (courier, _, server):
        assert courier.fetch(get(server, **mark)).status_code == 304
        assert courier.fetch(get(server, **mark)).json() == DOCUMENT


@pytest.mark.parametrize(
    ("location", "words"),
    [
        pytest.param("https://new.test:8443/a?key=secret", r": it points to https://new\.test:8443/a$", id="elsewhere"),
        pytest.param("/v2/rows", r": it points to http://127\.0\.0\.1:\d+/v2/rows$", id="a path"),
    ],
)
def test_redirect_says_where_it_leads_without_its_query(location: str, words: str) -> None:
    with courier_of(Fault(302, {"location": location})) as (courier, _, server), pytest.raises(Refused, match=words):
        courier.fetch(get(server))


def test_courier_keeps_to_its_own_limits() -> None:
    limits = Limits(tries=2, longest_wait_s=3)
    with courier_of(*[Fault(500)] * 2, limits=limits) as (courier, clock, server):
        with pytest.raises(Unavailable, match=r"2 times$"):
            courier.fetch(get(server))
        assert waits(clock) == [1.0]
    with courier_of(Fault(429, {"retry-after": "4"}), limits=limits) as (courier, clock, server):
        with pytest.raises(Unavailable, match="it asks to wait 4 s"):
            courier.fetch(get(server))
        assert waits(clock) == []


NO_JSON: dict[str, tuple[int, bytes]] = {
    "a page of HTML": (200, b"<html>Sign in</html>"),
    "nothing": (200, b""),
    "no content": (204, b""),
    "bytes that are no text": (200, b'{"data": "\xff"}'),
    "20,000 levels": (200, b"[" * 20_000 + b"]" * 20_000),
    "a number of 10,000 digits": (200, b"1" * 10_000),
}


@pytest.mark.parametrize(("status", "content"), NO_JSON.values(), ids=NO_JSON)
def test_success_that_is_no_json_is_no_answer(status: int, content: bytes) -> None:
    clock = Clock()
    transport = httpx.MockTransport(lambda _: httpx.Response(status, content=content))
    with httpx.Client(transport=transport) as client, pytest.raises(Unavailable, match=r"not whole JSON.*5 times"):
        Courier(client, Turnstile(1e9), clock.sleep).fetch(httpx.Request("GET", "https://vendor.test/v1"))


def test_damaged_packing_is_asked_for_again() -> None:
    with courier_of(Fault(content=b"no gzip", headers={"content-encoding": "gzip"})) as (courier, clock, server):
        assert courier.fetch(get(server)).json() == DOCUMENT
        assert waits(clock) == [1.0]


BASIC = base64.b64encode(f"pk-1:{KEY}".encode()).decode()
CREDENTIALS = {
    "a bearer's token": {"authorization": f"Bearer {KEY}"},
    "a token alone": {"authorization": KEY},
    "a name and a password": {"authorization": f"Basic {BASIC}"},
    "a key of its own": {"x-api-key": KEY},
}


@pytest.mark.parametrize("status", [401, 500])
@pytest.mark.parametrize("headers", CREDENTIALS.values(), ids=CREDENTIALS)
def test_no_error_tells_a_secret_that_the_server_repeats(headers: dict[str, str], status: int) -> None:
    told = " ".join(headers.values())
    body = f"Incorrect API key provided: {told} ({KEY}). {'Ask for help. ' * 10} {KEY}"
    transport = httpx.MockTransport(lambda _: httpx.Response(status, text=body))
    request = httpx.Request("GET", f"https://vendor.test/v1?key={KEY}", headers=headers)
    with httpx.Client(transport=transport) as client, pytest.raises((Refused, Unavailable)) as caught:
        Courier(client, Turnstile(1e9), Clock().sleep).fetch(request)
    assert "Incorrect API key provided: " in str(caught.value)
    assert KEY not in str(caught.value)
    assert BASIC not in str(caught.value)


def test_key_with_a_line_break_is_refused_without_its_text() -> None:
    with courier_of() as (courier, _, server), pytest.raises(Refused, match="a line break in a key") as caught:
        courier.fetch(get(server, authorization=f"Bearer {KEY}\n"))
    assert KEY not in str(caught.value)
    assert server.asked == []


def nothing(clock: Clock) -> None:
    """No time passes."""


def spaced(per_minute: float, faults: list[Fault | None], busy: Callable[[Clock], None]) -> list[float]:
    """Return the sleeps of three requests; `busy` is what happens between them."""
    clock = Clock()
    with api_server(right) as server, open_http() as client:
        server.faults.extend(faults)
        courier = Courier(client, Turnstile(per_minute, clock.sleep, clock), clock.sleep)
        for _ in range(3):
            courier.fetch(get(server))
            busy(clock)
    return clock.slept


def test_requests_keep_their_distance() -> None:
    assert spaced(30, [], nothing) == [2.0, 2.0]  # 60 s / 30


def test_time_that_passed_anyway_is_not_waited_for() -> None:
    def busy(clock: Clock) -> None:
        clock.now += 1.5

    assert spaced(30, [], busy) == [0.5, 0.5]  # 2 s - 1.5 s


def test_pause_earns_no_burst() -> None:
    pauses = iter([100.0, 0.0, 0.0])

    def busy(clock: Clock) -> None:
        clock.now += next(pauses)

    assert spaced(30, [], busy) == [2.0]  # the second comes after the pause, the third 2 s behind it


def test_retry_keeps_its_distance_too() -> None:
    fault = Fault(429, {"retry-after": "0.5"})
    assert spaced(30, [fault], nothing) == [0.5, 1.5, 2.0, 2.0]  # 2 s - 0.5 s


def test_pager_is_given_each_answer_and_its_batches_pass_through() -> None:
    answers: list[Any] = []

    def pager() -> Pager:
        for page in ("1", "2"):
            answer = yield httpx.Request("GET", f"{server.url}/v1/rows", params={"page": page})
            answers.append(answer.json() if answer else None)
            answers.append((yield Batch(skipped=int(page))))

    with courier_of(Fault(500)) as (courier, _, server):
        assert [batch.skipped for batch in courier.run(pager())] == [1, 2]
        assert [asked.one("page") for asked in server.asked] == ["1", "1", "2"]
    assert answers == [DOCUMENT, None, DOCUMENT, None]


def test_pager_without_a_request_gives_nothing() -> None:
    def pager() -> Pager:
        return
        yield

    with courier_of() as (courier, _, server):
        assert list(courier.run(pager())) == []
        assert server.asked == []


def test_pager_may_ask_again_for_what_moves() -> None:
    def pager() -> Pager:
        for _ in range(MOST_TIMES):
            yield get(server)

    with courier_of() as (courier, _, server):
        assert list(courier.run(pager())) == []
        assert len(server.asked) == MOST_TIMES


ENDLESS = {"the same page for ever": 1, "pages in a circle": 3, "ever new pages": 1000}


@pytest.mark.parametrize("distinct", ENDLESS.values(), ids=ENDLESS)
def test_pages_that_never_end_are_given_up(distinct: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tasks.http.MOST_REQUESTS", 100)

    def pager() -> Pager:
        for number in count():
            yield httpx.Request("POST", f"{server.url}/v1/rows", json={"offset": number % distinct})

    with courier_of() as (courier, _, server):
        with pytest.raises(Unavailable, match=r"^127\.0\.0\.1/v1/rows is unavailable: its pages never end") as caught:
            list(courier.run(pager()))
        assert len(server.asked) == min(100, MOST_TIMES * distinct)
    assert caught.value.retryable


GZIP = {"content-encoding": "gzip"}
BOMB = gzip.compress(bytes(10_000_000))
TOO_LARGE: dict[str, tuple[Fault, str]] = {
    "an answer that is too long": (Fault(content=b" " * 200_000), "larger than 100,000 bytes as sent"),
    "an answer that never ends": (Fault(endless=True), "larger than 100,000 bytes as sent"),
    "a bomb": (Fault(content=BOMB, headers=GZIP), "larger than 100,000 bytes unpacked"),
    "a bomb in a bomb": (
        Fault(content=gzip.compress(BOMB), headers={"content-encoding": "gzip, gzip"}), "'gzip, gzip' is none of gzip",
    ),
    "a packing that we did not ask for": (Fault(content=b"x", headers={"content-encoding": "zstd"}), "'zstd' is none"),
    "a bomb beside an error": (Fault(status=500, content=BOMB, headers=GZIP), "larger than 100,000 bytes unpacked"),
}  # fmt: skip


@pytest.mark.parametrize(("fault", "words"), TOO_LARGE.values(), ids=TOO_LARGE)
def test_answer_beyond_the_limit_is_refused(fault: Fault, words: str) -> None:
    with courier_of(fault, limits=Limits(most_bytes=100_000)) as (courier, _, server):
        with pytest.raises(Refused, match=rf"^127\.0\.0\.1/v1/rows refused: .*{words}"):
            courier.fetch(get(server))
        assert len(server.asked) == 1
        assert courier.fetch(get(server)).json() == DOCUMENT


def test_answer_of_too_many_small_values_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tasks.http.MOST_COMMAS", 3)
    faults = [Fault(content=b"[1,2,3,4]"), Fault(content=b"[1,2,3,4,5]")]  # 3 commas, and 4
    with courier_of(*faults) as (courier, _, server):
        assert courier.fetch(get(server)).json() == [1, 2, 3, 4]
        with pytest.raises(Refused, match="more than 3 values: set a smaller page_size"):
            courier.fetch(get(server))


def test_answer_that_trickles_is_given_up_though_it_is_never_silent() -> None:
    with (
        courier_of(*[Fault(endless=True)] * TRIES, limits=Limits(longest_s=0.02)) as (courier, _, server),
        pytest.raises(Unavailable, match=r"Timeout no whole answer within 0\.02 s, 5 times"),
    ):
        courier.fetch(get(server))


def test_packed_answer_is_asked_for_and_unpacked() -> None:
    packed = gzip.compress(json.dumps(DOCUMENT).encode())
    with courier_of(Fault(200, content=packed, headers=GZIP)) as (courier, _, server):
        assert courier.fetch(get(server)).json() == DOCUMENT
        (asked,) = server.asked
    assert (asked.headers["accept-encoding"], asked.headers["user-agent"]) == ("gzip, deflate", "watchkeeper")
