"""Try rejected rows again, with what the settings say now; what is a record now is written and forgotten at once.

Before it: `tasks/write_usage.py` kept them with their reason. A row without an id of its own gets the one that it would
have got in its file, so that loading the file again finds it there. Used by `watchkeeper ingest rejects retry`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from functools import partial
from typing import Any

import msgspec
import sqlalchemy as sa

from ops.errors import InvalidValue
from tasks.settings import Source
from tasks.sources import KINDS, kind_of
from tasks.sources.interface import ApiKind, Batch, FileKind, Lines, QueryKind, collect
from tasks.stores import ingest, rejects
from tasks.write_usage import Loaded, Origin, Target, Writer

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
    target: Target, sources: Mapping[str, Source], fallback: Source, now: datetime, name: str | None = None
) -> Retried:
    """Try every reject that is kept whole, of one source or of all.

    `fallback` says how to read rows of a source that `sources` do not name; their kind is kept with them.
    """
    with target.engine.connect() as connection:
        total = Retried(cut=rejects.count(connection, target.tenant, name, cut=True))
    for page in rejects.pages_of_whole(target.engine, target.tenant, name):
        first = page[0]
        source = sources.get(first.source) or fallback.model_copy(update={"name": first.source, "kind": first.kind})
        found = _sort(page, source, now)
        total = total.plus(found, _write(target, page, source, found, now))
    return total


@dataclass(slots=True)
class _Sorted:
    """The rejects of a page: those that are records now, and those that still are none."""

    records: Batch = field(default_factory=Batch)
    settled: list[str] = field(default_factory=list)
    left: list[dict[str, Any]] = field(default_factory=list)
    first: str | None = None

    def take(self, row: sa.Row[Any], found: Batch) -> None:
        if found.rejects:
            self.leave(row, found.rejects[0].field, found.rejects[0].reason)
            return
        self.settled.append(row.reject_id)
        self.records.add([*found.events, *found.scores])

    def leave(self, row: sa.Row[Any], field_name: str, reason: str) -> None:
        why = {"field": ingest.storable(field_name, 200), "reason": ingest.storable(reason, 2000)}
        self.left.append({"id": row.reject_id, **why})
        self.first = self.first or f"{row.place}, {row.position}: {why['reason']}"


def _sort(page: Sequence[sa.Row[Any]], source: Source, now: datetime) -> _Sorted:
    found = _Sorted()
    parsers: dict[str | None, _Parse] = {}
    for row in page:
        try:
            if row.header not in parsers:
                parsers[row.header] = _parser(source, row.header, now)
            found.take(row, parsers[row.header](row))
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


def _write(target: Target, page: Sequence[sa.Row[Any]], source: Source, found: _Sorted, now: datetime) -> Loaded:
    """Write the records, forget their rejects and remember why the others are left, in one transaction."""
    kind = KINDS[source.kind] if found.settled else None
    corrects = isinstance(kind, ApiKind | QueryKind) and kind.corrects

    def settle(connection: sa.Connection) -> None:
        rejects.forget(connection, target.tenant, source.name, found.settled)
        rejects.set_reasons(connection, target.tenant, source.name, found.left)
        if found.settled:
            ingest.set_watermark(connection, target.tenant, "load", now)

    # What was stored since a row was rejected is newer than the row.
    seen_at = min(row.rejected_at for row in page) if corrects else now
    origin = Origin(source.name, source.kind, page[0].place)
    return Writer(target, corrects=corrects).write(found.records, origin, seen_at, also=settle)
