"""Read a vendor's report of whole UTC days: every endpoint, page after page, and one batch for all of a window.

One batch, because it replaces all that is stored of its days in one transaction: nobody ever sees half of a day, and
a row that the vendor reports no more goes. So a window is stored when its last page is there, or not at all.
Used by `openai.py` and `anthropic.py`, which say what to ask and how to read a row.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, TypeVar

import msgspec

from ops.errors import InvalidValue, Unavailable
from ops.vendor_usage import VendorCost, VendorUsage
from ops.window import Window, floor_day
from tasks.sources.interface import Batch, Pager, Reject

if TYPE_CHECKING:
    import httpx

DAY = timedelta(days=1)
MOST_DAYS = 31  # what both vendors put on one page
LOOK_BACK = timedelta(days=3)  # vendors revise the last days
Record = VendorUsage | VendorCost
Asking = Generator["httpx.Request | Batch", "httpx.Response | None", None]
Typed = TypeVar("Typed")


@dataclass(frozen=True, slots=True)
class Bucket:
    """A day of the report: each result as the vendor wrote it."""

    day: Window
    results: list[bytes]


@dataclass(frozen=True, slots=True)
class Page:
    """Some days of the report."""

    buckets: list[Bucket]
    has_more: bool
    next_page: str | None


@dataclass(frozen=True, slots=True)
class Report:
    """One endpoint: how its pages are asked for and read, and what a result says."""

    endpoint: str
    ask: Callable[[str | None], httpx.Request]  # with the token of the page, None for the first
    page: Callable[[bytes], Page]  # InvalidValue when the vendor has changed what it sends
    record: Callable[[Window, bytes], Record]  # InvalidValue when the result is wrong


def whole_days(window: Window) -> Window:
    """Widen a window to UTC days, today's included: a bucket is never cut, and one that has not ended is read again."""
    start, end = floor_day(window.start), floor_day(window.end)
    return Window(start, end if end == window.end else end + DAY)


def read(reports: Iterable[Report], days: Window) -> Pager:
    """Ask for every page of every endpoint, then yield the one batch that covers the days.

    Raises:
        Unavailable: an answer is not as documented, or leads on from an empty page; nothing of the window is stored.
    """
    reading = _Reading(days)
    for report in reports:
        yield from _pages(report, reading)
    yield reading.batch()


def _pages(report: Report, reading: _Reading) -> Asking:
    token: str | None = None
    while True:
        request = report.ask(token)
        where = f"{request.url.host}{request.url.path}"
        answer = yield request
        assert answer is not None  # noqa: S101  it follows a request
        page = _page(report, where, answer.content)
        for bucket in page.buckets:
            reading.add(report, bucket)
        if not page.has_more:
            return
        if not page.next_page:
            raise Unavailable(where, "it says has_more without a next_page")
        if not page.buckets:
            raise Unavailable(where, "an empty page with a next_page: its pages never end")
        token = page.next_page


def _page(report: Report, where: str, content: bytes) -> Page:
    try:
        return report.page(content)
    except InvalidValue as error:
        raise Unavailable(where, f"its report is not as documented: {error}") from None


@dataclass(slots=True)
class _Reading:
    """What was read of a window so far."""

    days: Window
    found: dict[str, Record] = field(default_factory=dict)
    rejects: list[Reject] = field(default_factory=list)
    skipped: int = 0
    _position: int = 0

    def add(self, report: Report, bucket: Bucket) -> None:
        """Take a bucket's results; a bucket that comes twice counts once."""
        if bucket.day.start not in self.days:
            self.skipped += len(bucket.results)  # not asked for, so that another window has it
            return
        rows: dict[str, Record] = {}
        for raw in bucket.results:
            self._position += 1
            try:
                _add_up(rows, report.record(bucket.day, raw))
            except InvalidValue as error:
                told = b'{"endpoint":"%s","day":"%s","result":%s}'
                day = f"{bucket.day.start:%Y-%m-%d}".encode()
                raw_in_place = told % (report.endpoint.encode(), day, raw)
                self.rejects.append(Reject.of(error, self._position, raw_in_place))
        self.found |= rows

    def batch(self) -> Batch:
        """Return everything, as what there is of these days."""
        records = self.found.values()
        return Batch(
            usage=[record for record in records if isinstance(record, VendorUsage)],
            costs=[record for record in records if isinstance(record, VendorCost)],
            rejects=self.rejects, skipped=self.skipped, covers=self.days,
        )  # fmt: skip


def _add_up(rows: dict[str, Record], record: Record) -> None:
    """Add a result to the one of the same dimensions, if any: the vendor split it by what we do not know of."""
    record = record.validated()
    before = rows.get(record.key)
    if before is not None:
        record = before.plus(record).validated()  # type: ignore[arg-type]  # one key is of one class
    rows[record.key] = record


def day_of(start: datetime, end: datetime) -> Window:
    """Return the UTC day of a bucket; one that ends earlier is a day that has not ended.

    Raises:
        InvalidValue: it is no bucket of a UTC day.
    """
    try:
        is_day = start.tzinfo is not None and end.tzinfo is not None and floor_day(start) == start
        if is_day and start < end <= start + DAY:
            return Window(floor_day(start), floor_day(start) + DAY)
    except OverflowError:
        pass
    raise InvalidValue("data[].bucket", f"{start} to {end}", "a UTC day")


def at(field_name: str, epoch: int) -> datetime:
    """Return the time of whole seconds since 1970.

    Raises:
        InvalidValue: no calendar has it.
    """
    try:
        return datetime.fromtimestamp(epoch, UTC)
    except (ValueError, OverflowError, OSError):
        raise InvalidValue(field_name, epoch, "seconds since 1970") from None


_PLACE = re.compile(r"field `([^`]+)`|at `\$\.?([^`]+)`")


def decode(decoder: msgspec.json.Decoder[Typed], raw: bytes, what: str) -> Typed:
    """Decode JSON of a type.

    Raises:
        InvalidValue: naming the field that is missing or of another type.
    """
    try:
        return decoder.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        place = _PLACE.search(str(error))
        name = (place[1] or place[2]) if place else "result"
        raise InvalidValue(name, raw[:60].decode(errors="replace"), f"{what} ({error})") from None
