"""Send the requests of a pager, one after the other: spaced, retried, with errors of our own tree.

Before it: a pager of `tasks/sources/` yields requests and is sent responses. After it: `tasks/load_window.py` writes
each `Batch` that the pager yields in between.
"""

from __future__ import annotations

import threading
import time
from base64 import b64decode
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import httpx

from ops.errors import Refused, Unavailable
from tasks.request_body import Refusal, too_large, unpack
from tasks.sources.interface import Batch, Pager
from tasks.timed_http import LONGEST_S, limited

TRIES = 5
MOST_REQUESTS = 10_000  # of one window: a server whose pages never end is not waited for
MOST_TIMES = 20  # that a window asks for one page: a pager may read again what moved, a cursor that repeats is no such
MOST_COMMAS = 4_000_000  # of one answer, so about as many values: Python holds 200 bytes for a small object
MOST_BYTES = 128 * 1024 * 1024  # of one answer, as sent and unpacked
LONGEST_WAIT_S = 120.0  # who asks us to wait longer is asked again at the next poll
NOT_MODIFIED = 304
_CREDENTIALS = ("authorization", "x-api-key", "api-key")
_OF_THE_WAY = (b"content-encoding", b"content-length", b"transfer-encoding")  # true of what was sent, not of ours
_CONDITIONS = ("if-none-match", "if-modified-since")
_PASSING = frozenset({408, 425, 429, 500, 502, 503, 504, 529})


@dataclass(slots=True)
class Turnstile:
    """Lets requests through one behind the other, never faster than `per_minute`, whichever threads send them."""

    per_minute: float = 60
    sleep: Callable[[float], None] = time.sleep
    clock: Callable[[], float] = time.monotonic
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _free_at: float = 0.0

    def wait(self) -> None:
        """Return when it is this request's turn."""
        with self._lock:
            now = self.clock()
            turn = max(now, self._free_at)
            self._free_at = turn + 60 / self.per_minute
        if turn > now:
            self.sleep(turn - now)


@dataclass(frozen=True, slots=True)
class Limits:
    """What one request may take."""

    tries: int = TRIES
    most_bytes: int = MOST_BYTES
    longest_s: float = LONGEST_S  # from the connection to the end of the answer
    longest_wait_s: float = LONGEST_WAIT_S
    too_large_hint: str = ": set a smaller page_size"


@dataclass(slots=True)
class Courier:
    """A client that never sends faster than its turnstile lets it; couriers of one source share theirs."""

    client: httpx.Client
    turnstile: Turnstile = field(default_factory=Turnstile)
    sleep: Callable[[float], None] = time.sleep
    limits: Limits = Limits()

    def run(self, pager: Pager) -> Iterator[Batch]:
        """Yield the pager's batches.

        Raises:
            Unavailable: no whole answer after the last try, or a longer wait asked for than we wait; or the pages
                never end.
            Refused: an answer that waiting does not mend: of the 4xx class, or a redirect to somewhere else.
        """
        answer: httpx.Response | None = None
        asked: Counter[tuple[str, bytes]] = Counter()
        while True:
            try:
                item = pager.send(answer)
            except StopIteration:
                return
            if isinstance(item, Batch):
                answer = None
                yield item
                continue
            page = (str(item.url), item.read())
            if asked[page] == MOST_TIMES or asked.total() == MOST_REQUESTS:
                told = f"{asked.total():,} requests for {len(asked):,} of them"
                raise Unavailable(_where(item), f"its pages never end: {told}")
            asked[page] += 1
            answer = self.fetch(item)

    def fetch(self, request: httpx.Request) -> httpx.Response:
        """Send one request until there is a whole JSON answer to it; to a conditional one 304 is an answer too."""
        where = _where(request)
        for attempt in range(1, self.limits.tries + 1):
            self.turnstile.wait()
            answer = self._attempt(request)
            if isinstance(answer, httpx.Response) and _is_answer(answer):
                return answer
            wait = _wait_after(answer, attempt)
            _refuse(where, answer)
            if attempt < self.limits.tries and wait <= self.limits.longest_wait_s:
                self.sleep(wait)
            elif wait > self.limits.longest_wait_s:
                raise Unavailable(where, f"it asks to wait {wait:.0f} s")
        raise Unavailable(where, f"{_words(answer)}, {self.limits.tries} times")

    def _attempt(self, request: httpx.Request) -> httpx.Response | str:
        """Return the answer, or what kept a whole one from coming."""
        try:
            answer = received(self.client, request, self.limits)
            if answer.is_success:
                if answer.content.count(b",") > MOST_COMMAS:
                    raise Refusal(413, f"the body has more than {MOST_COMMAS:,} values")
                answer.json()  # not msgspec: one row with half a character must not cost the others
        except httpx.TransportError as error:
            return f"{type(error).__name__} {error}".strip()
        except (ValueError, RecursionError) as error:
            return f"an answer that is not whole JSON ({error})"
        except Refusal as refusal:
            if refusal.status == 400:  # damaged on its way
                return f"an answer that is not whole: {refusal.reason}"
            mend = self.limits.too_large_hint if refusal.status == 413 else ""
            raise Refused(_where(request), refusal.reason + mend) from None
        return answer


def received(client: httpx.Client, request: httpx.Request, limits: Limits) -> httpx.Response:
    """Send a request once and return the whole answer.

    Raises:
        Refusal: it is larger than the limit, packed in a way that we did not ask for, or damaged.
        httpx.TransportError: no answer, or one that takes longer than the limit.
        Refused: a header of ours that HTTP cannot carry; nothing was sent.
    """
    request.headers = httpx.Headers({**client.headers, **request.headers, "accept-encoding": "gzip, deflate"})
    try:
        answer = client.send(limited(request, limits.longest_s), stream=True)
    except httpx.LocalProtocolError:  # its text quotes the header
        raise Refused(request.url.host, "HTTP cannot carry a header of ours: a line break in a key?") from None
    try:
        packed = _body(answer, limits)
    finally:
        answer.close()
    body = unpack(packed, answer.headers.get("content-encoding", ""), limits.most_bytes)
    headers = [(name, value) for name, value in answer.headers.raw if name.lower() not in _OF_THE_WAY]  # not all ASCII
    return httpx.Response(answer.status_code, headers=headers, content=body, request=request,
                          extensions=answer.extensions)  # fmt: skip


def _body(answer: httpx.Response, limits: Limits) -> bytes:
    """Return the bytes as they are sent: httpx would unpack each piece whole, whatever comes out."""
    assert isinstance(answer.stream, httpx.SyncByteStream)  # noqa: S101  the client is no asynchronous one
    body = bytearray()
    for chunk in answer.stream:
        body += chunk
        if len(body) > limits.most_bytes:
            raise too_large(limits.most_bytes, "as sent")
    return bytes(body)


def _where(request: httpx.Request) -> str:
    return f"{request.url.host}{request.url.path}"


def _is_answer(answer: httpx.Response) -> bool:
    conditional = any(name in answer.request.headers for name in _CONDITIONS)
    return answer.is_success or (conditional and answer.status_code == NOT_MODIFIED)


def _refuse(where: str, answer: httpx.Response | str) -> None:
    if isinstance(answer, httpx.Response) and answer.status_code not in _PASSING:
        raise Refused(where, _words(answer))


def _words(answer: httpx.Response | str) -> str:
    if isinstance(answer, str):
        return answer
    return f"{answer.status_code} {answer.reason_phrase} {hidden(answer)[:200]!r}{_moved(answer)}"


def _moved(answer: httpx.Response) -> str:
    """Say where a redirect, which we do not follow, leads: without its query, which may hold what is ours."""
    if not answer.has_redirect_location:
        return ""
    url = answer.request.url.join(answer.headers["location"])
    return f": it points to {url.scheme}://{url.netloc.decode()}{url.path}"


def hidden(answer: httpx.Response, part: str | None = None) -> str:
    """Return an answer's text, or a part, without the credentials of its request: some servers tell what they heard."""
    headers = answer.request.headers
    told = [word for name in _CREDENTIALS for word in headers.get(name, "").split()[-1:]]
    text = answer.text if part is None else part
    for secret in (*told, *(part for word in told for part in _decoded(word))):
        text = text.replace(secret, "…")
    return text


def _decoded(word: str) -> list[str]:
    """Return the password in what Basic authentication encodes."""
    try:
        return list(filter(None, b64decode(word, validate=True).decode().split(":", 1)[1:]))
    except ValueError:
        return []


def _wait_after(answer: httpx.Response | str, attempt: int) -> float:
    """Return the seconds that Retry-After asks for, else 1, 2, 4, 8."""
    asked = answer.headers.get("retry-after") if isinstance(answer, httpx.Response) else None
    return _seconds(asked) if asked and _seconds(asked) >= 0 else 2.0 ** (attempt - 1)


def _seconds(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        pass
    try:
        return (parsedate_to_datetime(text) - datetime.now(UTC)).total_seconds()
    except (ValueError, TypeError):
        return -1.0
