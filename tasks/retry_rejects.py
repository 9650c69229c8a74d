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

from ops.errors import InvalidValue
from tasks.settings import Source
from tasks.sources import KINDS, kind_of
from tasks.sources.interface import ApiKind, Batch, FileKind, Lines, QueryKind, collect
from tasks.stores import ingest, rejects, usage
from tasks.write_usage import Loaded, Origin, Target, Writer, check_floor

_Parse = Callable[[sa.Row[Any]], Batch]


@dataclass(frozen=True, slots=True)
class Retried:
    """What became of rejects; `cut` ones are not kept whole and were left alone."""

    tried: int = 0
    inserted: int = 0
    corrected: int = 0
    duplicates: int = 0
    rejected: int = 0  # still
    cut: int = 0
    first_reject: str | None = None

    def plus(self, found: _Sorted, written: Loaded) -> Retried:
        """Add a page."""
        tried = len(found.settled) + len(found.left)
        return Retried(
            self.tried + tried, self.inserted + written.inserted, self.corrected + written.corrected,
            self.duplicates + written.duplicates, self.rejected + len(found.left), self.cut,
            self.first_reject or found.first,
        )  # fmt: skip

    def as_json(self) -> dict[str, Any]:
        """Return what `--json` prints."""
        return asdict(self)


def retry_rejects(
    target: Target, sources: Mapping[str, Source], fallback: Source, now: datetime, name: str | None = None,
    kind: str | None = None,
) -> Retried:  # fmt: skip
    """Try every reject that is kept whole, of one source or of all, of one kind or of all.

    A source of `sources` is read as it says now. Should its kind be another than that of the row, and not fit it, the
    row's reason stays. `fallback` says how to read rows of sources that are not there; their kind is kept with them.
    """
    with target.engine.connect() as connection:
        total = Retried(cut=rejects.count(connection, target.tenant, name, kind, cut=True))
    for page in rejects.pages_of_whole(target.engine, target.tenant, name, kind):
        first = page[0]
        source = sources.get(first.source) or fallback.model_copy(update={"name": first.source, "kind": first.kind})
        for rejected_at, rows in groupby(sorted(page, key=_rejected_at), key=_rejected_at):
            total = total.plus(*_retry(target, list(rows), source, rejected_at, now))
    return total


_rejected_at = attrgetter("rejected_at")


def _retry(
    target: Target, rows: Sequence[sa.Row[Any]], source: Source, rejected_at: datetime, now: datetime
) -> tuple[_Sorted, Loaded]:
    """Try rows that were rejected at the same time."""
    with target.engine.connect() as connection:
        floor = usage.floor(connection, target.tenant)
    found = _sort(rows, source, now, floor)
    return found, _write(target, rows[0].place, source, found, rejected_at, now)


@dataclass(slots=True)
class _Sorted:
    """The rejects of a page: those that are records now, and those that still are none."""

    kind: str  # of the source as it is now
    records: Batch = field(default_factory=Batch)
    settled: list[str] = field(default_factory=list)
    left: list[dict[str, Any]] = field(default_factory=list)
    first: str | None = None

    def take(self, row: sa.Row[Any], found: Batch, floor: datetime | None) -> None:
        if found.rejects:
            self.leave(row, found.rejects[0].field, found.rejects[0].reason)
            return
        check_floor(found.events, floor)
        self.settled.append(row.reject_id)
        self.records.add([*found.events, *found.scores])

    def leave(self, row: sa.Row[Any], field_name: str, reason: str) -> None:
        why = {"field": ingest.storable(field_name, 200), "reason": ingest.storable(reason, 2000)}
        if row.kind != self.kind:
            why = {"field": row.field, "reason": row.reason}
        self.left.append({"id": row.reject_id, **why})
        self.first = self.first or f"{row.place}, {row.position}: {why['reason']}"


def _sort(rows: Sequence[sa.Row[Any]], source: Source, now: datetime, floor: datetime | None) -> _Sorted:
    found = _Sorted(source.kind)
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
    kind = kind_of(source)
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


def _write(target: Target, place: str, source: Source, found: _Sorted, rejected_at: datetime, now: datetime) -> Loaded:
    """Write the records, forget their rejects and remember why the others are left, in one transaction."""
    kind = KINDS[source.kind] if found.settled else None
    corrects = isinstance(kind, ApiKind | QueryKind) and kind.corrects

    def settle(connection: sa.Connection) -> None:
        rejects.forget(connection, target.tenant, source.name, found.settled)
        rejects.set_reasons(connection, target.tenant, source.name, found.left)
        if found.settled:
            ingest.set_watermark(connection, target.tenant, "load", now)

    # What was stored since the rows were rejected is newer than they are.
    seen_at = rejected_at if corrects else now
    origin = Origin(source.name, source.kind, place)
    return Writer(target, corrects=corrects).write(found.records, origin, seen_at, also=settle)
