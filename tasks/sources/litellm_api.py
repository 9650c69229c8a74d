"""LiteLLM's spend log through the proxy's own API: `GET /spend/logs/v2`, with its admin key.

The API has pages by number, which shift when a late row comes in between, and counts to 10,000 only. So there is no
second page here: the first one, sorted by start, then the first one of what began in the second that it ended with or
later. Only a second with more rows than a page is read by number, again until nothing moved. A row goes to the
table once its request is over, up to a minute later, but is found by its start: hence the look-back.

After it: `litellm_rows.py` parses the rows.
"""

from __future__ import annotations

from collections.abc import Generator, Set
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import msgspec

from ops.errors import InvalidValue, Refused, Unavailable
from ops.window import Window
from tasks.settings import Source
from tasks.sources.interface import ApiKind, Batch, Pager, collect
from tasks.sources.litellm_rows import moment, parse, parse_again

if TYPE_CHECKING:
    import httpx

LARGEST_PAGE = 1000  # what the API allows
COUNTS_TO = 10_000
_READINGS = 10
_SECOND = timedelta(seconds=1)


class _Key(msgspec.Struct):
    request_id: str
    startTime: str


class _Answer(msgspec.Struct):
    data: list[msgspec.Raw]
    total: int
    page_size: int | None = None


@dataclass(frozen=True, slots=True)
class _Page:
    rows: list[msgspec.Raw]
    ids: list[str]
    starts: list[datetime]
    total: int  # of all pages, as far as the API counts
    size: int  # that the API gave us, at most


def pages(source: Source, window: Window) -> Pager:
    """Yield requests and batches until every row that began in `window` is read; see `interface.Pager`.

    Raises:
        Refused: an answer of another shape or order, or more rows in one second than the API can list.
        Unavailable: rows of one second that never hold still.
    """
    at, end = _whole(window.start), _whole(window.end - timedelta(microseconds=1)) + _SECOND
    known: Set[str] = frozenset()
    while at < end:
        page = _read(source, (yield _request(source, at, end)))
        yield _batch(page, known, window)
        if page.total <= len({name for name, start in zip(page.ids, page.starts, strict=True) if start >= at}):
            return
        last = _whole(page.starts[-1]) if page.starts else at
        if last > at:
            at, known = last, frozenset(page.ids)
        else:
            known = yield from _whole_second(source, at, window, known | set(page.ids))
            at += _SECOND


def _whole_second(
    source: Source, at: datetime, window: Window, known: Set[str]
) -> Generator[httpx.Request | Batch, httpx.Response | None, Set[str]]:
    """Read all that began in one second, page by page: again until no row is missing; return their ids."""
    seen: set[str] = set()
    for _ in range(_READINGS):
        number, total, size = 0, 1, 1
        while number * size < total:
            number += 1
            page = _read(source, (yield _request(source, at, at + _SECOND, number)))
            if page.total >= COUNTS_TO:
                told = f"{COUNTS_TO:,} or more requests that began in the second {at:%Y-%m-%d %H:%M:%S}"
                raise Refused(_where(source), f"it cannot list the {told}; kind litellm_table can")
            yield _batch(page, known, window)
            known, total, size = known | set(page.ids), page.total, page.size
            seen |= set(page.ids)
        if len(seen) >= total:
            return known
    told = f"it lists fewer rows than it counts of the second {at:%Y-%m-%d %H:%M:%S}, in {_READINGS} readings"
    raise Unavailable(_where(source), told)


def _request(source: Source, start: datetime, end: datetime, number: int = 1) -> httpx.Request:
    """Ask for what began from `start` to `end`, both whole seconds and both included."""
    import httpx

    params: dict[str, Any] = {
        "start_date": f"{start:%Y-%m-%d %H:%M:%S}", "end_date": f"{end:%Y-%m-%d %H:%M:%S}", "page": number,
        "page_size": min(source.page_size or LARGEST_PAGE, LARGEST_PAGE), "sort_by": "startTime", "sort_order": "asc",
    }  # fmt: skip
    headers = {"authorization": f"Bearer {source.api_key.get_secret_value()}"}
    return httpx.Request("GET", f"{(source.url or '').rstrip('/')}/spend/logs/v2", params=params, headers=headers)


def _read(source: Source, response: httpx.Response | None) -> _Page:
    assert response is not None  # noqa: S101  the courier answers every request
    try:
        answer = msgspec.json.decode(response.content, type=_Answer)
        keys = [msgspec.json.decode(row, type=_Key) for row in answer.data]
        starts = [moment("startTime", key.startTime) for key in keys]
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, InvalidValue) as error:
        raise Refused(_where(source), f"its answer has another shape ({error})") from None
    if starts != sorted(starts):
        raise Refused(_where(source), "its rows are not sorted by startTime: a LiteLLM without sort_by; upgrade it")
    size = min(answer.page_size or LARGEST_PAGE, source.page_size or LARGEST_PAGE)
    return _Page(answer.data, [key.request_id for key in keys], starts, answer.total, max(size, 1))


def _batch(page: _Page, known: Set[str], window: Window) -> Batch:
    """Return the rows of the window that no page before had: both its ends are included in what the API answers."""
    rows = [row for row, name, start in zip(page.rows, page.ids, page.starts, strict=True)
            if start in window and name not in known]  # fmt: skip
    return collect(rows, lambda row: parse(bytes(row)), window.end)


def _where(source: Source) -> str:
    return f"LiteLLM of source {source.name}"


def _whole(when: datetime) -> datetime:
    return when.astimezone(UTC).replace(microsecond=0)


KIND = ApiKind(pages, longest=timedelta(hours=6), row=parse_again)
