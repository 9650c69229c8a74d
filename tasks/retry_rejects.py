"""Try rejected rows again, with what the settings say now; what is a record now is written and forgotten at once.

Before it: `tasks/write_usage.py` kept them with their reason. A row without an id of its own gets the one that it would
have got in its file, so that loading the file again finds it there. Used by `watchkeeper ingest rejects retry`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from functools import partial
from itertools import groupby
from operator import attrgetter
from typing import Any

import msgspec
import sqlalchemy as sa

from ops.errors import InvalidValue, UnknownName
from tasks.refuse_rows import Origin, check_floor
from tasks.settings import Source
from tasks.sources import KINDS
from tasks.sources.interface import ApiKind, Batch, FileKind, Lines, QueryKind, collect
from tasks.stores import ingest, rejects, usage
from tasks.write_usage import Loaded, Target, Writer

_Parse = Callable[[sa.Row[Any]], Batch]


@dataclass(frozen=True, slots=True)
class Retried:
    """What became of rejects; `cut` ones are not kept whole and were left alone."""

    tried: int = 0
    inserted: int = 0
    corrected: int = 0
    duplicates: int = 0
    skipped: int = 0  # no usage, and no error: forgotten
    rejected: int = 0  # still
    cut: int = 0
    first_reject: str | None = None

    def plus(self, found: _Sorted, written: Loaded) -> Retried:
        """Add a page."""
        tried = len(found.settled) + len(found.left)
        return Retried(
            self.tried + tried, self.inserted + written.inserted, self.corrected + written.corrected,
            self.duplicates + written.duplicates, self.skipped + found.skipped, self.rejected + len(found.left),
            self.cut, self.first_reject or found.first,
        )  # fmt: skip

    def as_json(self) -> dict[str, Any]:
        """Return what `--json` prints."""
        return asdict(self)


def retry_rejects(
    target: Target, sources: Mapping[str, Source], fallback: Source, now: datetime, name: str | None = None,
    kind: str | None = None,
) -> Retried:  # fmt: skip
    """Try every reject that is kept whole, of one source or of all, of one kind or of all.

    Rows of a source of `sources` and of its kind are read as it says now. `fallback` says how to read the others; their
    kind is kept with them.
    """
    with target.engine.connect() as connection:
        total = Retried(cut=rejects.count(connection, target.tenant, name, kind, cut=True))
    for page in rejects.pages_of_whole(target.engine, target.tenant, name, kind):
        source = _source_of(page[0], sources, fallback)
        in_order = sorted(page, key=attrgetter("rejected_at", "position"))
        for _, rows in groupby(in_order, key=attrgetter("rejected_at")):
            total = total.plus(*_retry(target, list(rows), source, now))
    return total


def _source_of(row: sa.Row[Any], sources: Mapping[str, Source], fallback: Source) -> Source:
    source = sources.get(row.source)
    if source is not None and source.kind == row.kind:
        return source
    return fallback.model_copy(update={"name": row.source, "kind": row.kind})


class _FloorRose(Exception):
    """Days were dropped since the rows were sorted."""


def _retry(target: Target, rows: Sequence[sa.Row[Any]], source: Source, now: datetime) -> tuple[_Sorted, Loaded]:
    """Try rows that were rejected at the same time."""
    while True:
        with target.engine.connect() as connection:
            floor = usage.floor(connection, target.tenant)
        found = _sort(rows, source, now, floor)
        try:
            return found, _write(target, rows[0], source, found, floor, now)
        except _FloorRose:
            continue


@dataclass(slots=True)
class _Sorted:
    """The rejects of a page: those that are records now, and those that still are none."""

    records: Batch = field(default_factory=Batch)
    settled: list[str] = field(default_factory=list)
    left: list[dict[str, Any]] = field(default_factory=list)
    skipped: int = 0
    first: str | None = None

    def take(self, row: sa.Row[Any], found: Batch, floor: datetime | None) -> None:
        if found.rejects:
            self.leave(row, found.rejects[0].field, found.rejects[0].reason)
            return
        check_floor(found.events, floor)
        self.settled.append(row.reject_id)
        self.records.add([*found.events, *found.scores])
        self.skipped += not (found.events or found.scores)

    def leave(self, row: sa.Row[Any], field_name: str, reason: str) -> None:
        why = {"field": ingest.storable(field_name, 200), "reason": ingest.storable(reason, 2000)}
        self.left.append({"id": row.reject_id, **why})
        self.first = self.first or f"{row.place}, {row.position}: {why['reason']}"


def _sort(rows: Sequence[sa.Row[Any]], source: Source, now: datetime, floor: datetime | None) -> _Sorted:
    found = _Sorted()
    parsers: dict[str | None, _Parse] = {}
    for row in rows:
        try:
            if row.header not in parsers:
                parsers[row.header] = _parser(source, row.header, now)
            found.take(row, parsers[row.header](row), floor)
        except InvalidValue as error:
            found.leave(row, error.field, str(error))
    return found


def _parser(source: Source, header: str | None, now: datetime) -> _Parse:
    if source.kind not in KINDS:
        raise UnknownName("kind", source.kind, KINDS)
    kind = KINDS[source.kind]  # not `kind_of`: what it takes to ask a source is not needed to read its row
    if isinstance(kind, FileKind):
        if kind.has_header and header is None:
            raise InvalidValue("header", None, "kept with this row; load its file again")
        decode = kind.decoder(source, (header or "").encode(), now)
        return lambda row: decode(Lines(row.raw.encode(), row.position, identity=row.reject_id))
    if kind.row is None:
        raise InvalidValue("kind", source.kind, "one whose rows can be read by themselves; load their time again")
    parse = partial(kind.row, source)
    return lambda row: collect([_decoded(row.raw)], parse, now)


def _decoded(raw: str) -> Any:
    try:
        return msgspec.json.decode(raw)
    except (msgspec.DecodeError, RecursionError) as error:
        raise InvalidValue("row", raw[:60], f"JSON ({error})") from None


def _write(
    target: Target, first: sa.Row[Any], source: Source, found: _Sorted, floor: datetime | None, now: datetime
) -> Loaded:
    """Write the records, forget their rejects and remember why the others are left, in one transaction.

    Raises:
        _FloorRose: a record is now of a day that was dropped; nothing is written, and no reject forgotten.
    """
    kind = KINDS[source.kind] if found.settled else None
    corrects = isinstance(kind, ApiKind | QueryKind) and kind.corrects

    def settle(connection: sa.Connection) -> None:
        if usage.floor(connection, target.tenant) != floor:
            raise _FloorRose
        rejects.forget(connection, target.tenant, source.name, found.settled)
        rejects.set_reasons(connection, target.tenant, source.name, found.left)
        if found.settled:
            ingest.set_watermark(connection, target.tenant, "load", now)

    # What was stored since the rows were rejected is newer than they are.
    seen_at = first.rejected_at if corrects else now
    origin = Origin(source.name, source.kind, first.place)
    return Writer(target, corrects=corrects).write(found.records, origin, seen_at, also=settle)
