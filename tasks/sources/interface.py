"""What a kind of source is: how its payloads become records, and how a polled one is asked.

A parser is pure: payload in, records out. A pager is a generator that yields requests, is sent their responses, and
yields a `Batch` for each page; `tasks/http.py` sends the requests. To add a kind: a file here, a line in `KINDS`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any
from zlib import crc32

import msgspec

from ops import scores, usage
from ops.errors import InvalidValue
from ops.scores import Score
from ops.usage import UsageEvent
from ops.vendor_usage import VendorCost, VendorUsage
from ops.window import Window
from tasks.settings import Source

if TYPE_CHECKING:
    import httpx

Record = UsageEvent | Score


@dataclass(frozen=True, slots=True)
class Reject:
    """A row that is no record, kept with the reason."""

    position: int  # line of the file or row of the page, from 1
    field: str
    reason: str
    raw: bytes
    identity: str = ""  # of the row, where it has one: the id that it would have got
    is_cut: bool = False  # `raw` is the row's beginning

    @classmethod
    def of(cls, error: InvalidValue, position: int, raw: bytes, identity: str = "", *, is_cut: bool = False) -> Reject:
        """Keep a row for what was wrong with it."""
        return cls(position, error.field, str(error), raw, identity, is_cut)


@dataclass(frozen=True, slots=True)
class Batch:
    """What a block of lines or a page holds; `skipped` are rows that are no usage and no error either."""

    events: list[UsageEvent] = field(default_factory=list)
    scores: list[Score] = field(default_factory=list)
    usage: list[VendorUsage] = field(default_factory=list)
    costs: list[VendorCost] = field(default_factory=list)
    rejects: list[Reject] = field(default_factory=list)
    skipped: int = 0
    covers: Window | None = None  # of whole days: `usage` and `costs` are all that the vendor reports of them

    @property
    def read(self) -> int:
        """How many records there were, good and bad."""
        return len(self.events) + len(self.scores) + len(self.usage) + len(self.costs) + len(self.rejects)

    def within(self, span: Window) -> Batch:
        """Return the same without the events and scores outside a span of time: those are skipped."""
        events = [event for event in self.events if event.occurred_at in span]
        scores = [score for score in self.scores if score.occurred_at in span]
        dropped = len(self.events) + len(self.scores) - len(events) - len(scores)
        return replace(self, events=events, scores=scores, skipped=self.skipped + dropped)

    def add(self, records: Iterable[Record]) -> None:
        """Put records where they belong."""
        for record in records:
            if isinstance(record, Score):
                self.scores.append(record)
            else:
                self.events.append(record)


def collect(rows: Iterable[Any], parse: Callable[[Any], Iterable[Record]], now: datetime) -> Batch:
    """Parse the rows of a page, decoded JSON each; one that is wrong becomes a reject, the others go on."""
    batch, skipped = Batch(), 0
    for position, row in enumerate(rows, 1):
        try:
            records = [validated(record, now) for record in parse(row)]
            skipped += not records
            batch.add(records)
        except InvalidValue as error:
            batch.rejects.append(Reject.of(error, position, raw_of(row)))
    return replace(batch, skipped=skipped)


def raw_of(row: Any) -> bytes:
    """Return a row as JSON; not by msgspec, which has no words for half a character."""
    if isinstance(row, msgspec.Raw):
        return bytes(row)
    try:
        return json.dumps(row, default=str).encode()
    except RecursionError:
        return b"(nested too deeply to be kept)"


def validated(record: Record, now: datetime) -> Record:
    """Return a record whose every field keeps its limit, or raise InvalidValue."""
    return scores.validate(record, now) if isinstance(record, Score) else usage.validate(record, now)


Pager = Generator["httpx.Request | Batch", "httpx.Response | None", None]


@dataclass(frozen=True, slots=True)
class Row:
    """A line, or the lines of one record."""

    position: int  # the number of its first line in the file, from 1
    raw: bytes
    identity: str  # of this row behind all that stands before it


@dataclass(frozen=True, slots=True)
class Lines:
    """A block of a file: whole lines, or a table's rows as JSON objects, one a line."""

    raw: bytes
    first: int = 1  # the number of its first line, from 1
    crc: int = 0  # CRC-32 of all lines before it
    identity: str = ""  # of its only row, where that is known: a reject that is tried again

    def rows(self, sizes: Iterable[int] | None = None) -> Iterator[Row]:
        """Yield the rows that are not blank; `sizes` says how many lines each record has, one by default.

        A row's identity is a hash of it, its number and the CRC of everything before: the same in every copy of a
        file, however it is named or compressed, and as it grows.
        """
        lines, position, crc = self.raw.split(b"\n"), self.first, self.crc
        at = 0
        for size in sizes or (1 for _ in lines):
            raw = lines[at] if size == 1 else b"\n".join(lines[at : at + size])
            if raw.strip():
                yield Row(position, raw, self.identity or _identity(crc, position, raw))
            crc = crc32(b"\n", crc32(raw, crc))
            at, position = at + size, position + size

    @property
    def crc_after(self) -> int:
        """The CRC with which the next block begins."""
        return crc32(b"\n", crc32(self.raw, self.crc))


def _identity(crc: int, position: int, raw: bytes) -> str:
    return hashlib.blake2b(b"%08x:%d:%s" % (crc, position, raw.rstrip(b"\r")), digest_size=16).hexdigest()


RowParser = Callable[[Source, Any], Iterable[Record]]  # one row of a page, decoded JSON; raises InvalidValue
Check = Callable[[Source], Iterable[InvalidValue]]  # what is wrong with the settings, without asking anybody
Decoder = Callable[[Lines], Batch]  # validates too; a bad row never raises, it becomes a reject


@dataclass(frozen=True, slots=True)
class FileKind:
    """A log in files. `decoder` takes the source, the file's first line, and the time that bounds events."""

    decoder: Callable[[Source, bytes, datetime], Decoder]
    has_header: bool = False
    is_table: bool = False  # Parquet: rows, not lines
    checks: tuple[Check, ...] = ()
    columns: Callable[[Source], dict[str, str]] | None = None  # the column of each field, where the source names them
    marks: tuple[frozenset[str], ...] = ()  # keys: an object with all of one is certainly a record of this kind


def required(record: type[msgspec.Struct]) -> frozenset[str]:
    """Return the keys without which an object is no such record."""
    return frozenset(field.encode_name for field in msgspec.structs.fields(record) if field.required)


@dataclass(frozen=True, slots=True)
class ApiKind:
    """An HTTP API that is polled, window by window. `pages` may take its window's end for the present."""

    pages: Callable[[Source, Window], Pager]
    needs: tuple[str, ...] = ("url", "api_key")  # settings without which nothing can be asked
    longest: timedelta = timedelta(hours=1)  # the window that is asked for at once
    look_back: timedelta = timedelta(hours=1)  # rows turn up this late, or change
    corrects: bool = True  # a row read later is truer than the same row read before
    row: RowParser | None = None  # by which a rejected row of a page is tried again
    checks: tuple[Check, ...] = ()


@dataclass(frozen=True, slots=True)
class QueryKind:
    """A database that is asked, window by window."""

    batches: Callable[[Source, Window], Iterator[Batch]]
    needs: tuple[str, ...] = ("database_url", "query")
    longest: timedelta = timedelta(days=1)
    look_back: timedelta = timedelta(hours=1)
    corrects: bool = True
    row: RowParser | None = None
    checks: tuple[Check, ...] = ()


Kind = FileKind | ApiKind | QueryKind
