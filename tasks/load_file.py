"""Load one log file: each block of lines is one transaction of events, roll-ups, rejects and the position reached.

Killed anywhere, it has committed whole blocks; run again, events already there are counted as duplicates. Used by the
task in `tasks/ingest_usage.py` and by `watchkeeper ingest`; it does not need Prefect.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import Any
from uuid import uuid4

import sqlalchemy as sa

from ops.errors import InvalidValue
from ops.window import Window
from tasks import read_lines, read_parquet
from tasks.csv_records import header_of
from tasks.log_file import LogFile
from tasks.read_ahead import read_ahead
from tasks.read_lines import MAX_LINE_BYTES, Block, Head, Position
from tasks.refuse_rows import Origin
from tasks.settings import Source
from tasks.sources import file_kind_of
from tasks.sources.interface import Batch, Decoder, FileKind, Reject
from tasks.stores import ingest
from tasks.unused_fields import unused_fields
from tasks.write_usage import Loaded, Target, Writer, without_collector

Progress = Callable[[Loaded], None]


def load_file(
    target: Target, source: Source, file: LogFile, now: datetime,
    *, resume: bool = False, progress: Progress | None = None,
) -> Loaded:  # fmt: skip
    """Load a file as `source` says; with `resume`, only what was not committed before.

    Raises:
        NotFound: no such file.
        Unavailable: a damaged file; the blocks before the damage are committed.
        InvalidValue: the source's settings do not fit the file.
    """
    started = time.monotonic()
    kind = file_kind_of(source)
    size = file.size()
    head = _head(kind, file, growing=resume)
    if head is None:
        return Loaded()
    decode = kind.decoder(source, head.first_line, now)
    ledger = _find(target, source, file, head, size)
    if resume and ledger.is_unchanged:
        return Loaded()
    origin = Origin(source.name, source.kind, ledger.path, head.first_line if kind.has_header else None)
    total = _told_unused(kind, source, file, head)
    writer = Writer(target)
    blocks = _blocks(kind, file, ledger.position if resume else Position(), growing=resume)
    with without_collector():
        prepared = ((writer.prepare(_batch(block, decode), source.name), block.after) for block in blocks)
        for batch, after in read_ahead(prepared):
            done = writer.commit(batch, origin, now, also=partial(ledger.move, after, now))
            total = replace(total.plus(done), seconds=round(time.monotonic() - started, 3))
            if progress:
                progress(total)
    with target.engine.begin() as connection:
        ingest.set_read_to_end(connection, target.tenant, source.name, ledger.file_id, size)
    return total


def load_span(
    target: Target, source: Source, file: LogFile, span: Window, now: datetime, progress: Progress | None = None
) -> Loaded:
    """Load what a file holds of a span of time; the rest is skipped, and where the next load begins stays as it is.

    Raises:
        NotFound, Unavailable, InvalidValue: as `load_file`.
    """
    started = time.monotonic()
    kind = file_kind_of(source)
    head = _head(kind, file, growing=True)
    if head is None:
        return Loaded()
    decode = kind.decoder(source, head.first_line, now)
    path = os.fsencode(file.address).decode(errors="replace")
    origin = Origin(source.name, source.kind, path, head.first_line if kind.has_header else None)
    total = _told_unused(kind, source, file, head)
    writer = Writer(target)
    for block in _blocks(kind, file, Position(), growing=True):
        with without_collector():
            done = writer.write(_batch(block, decode).within(span), origin, now)
        total = replace(total.plus(done), seconds=round(time.monotonic() - started, 3))
        if progress:
            progress(total)
    return total


def _head(kind: FileKind, file: LogFile, *, growing: bool) -> Head | None:
    if kind.is_table:
        return read_parquet.read_head(file)
    return read_lines.read_head(file, header=kind.has_header, growing=growing)


def _told_unused(kind: FileKind, source: Source, file: LogFile, head: Head) -> Loaded:
    """Return a load that has read nothing but what a file calls its fields."""
    if kind.columns is None:
        return Loaded()
    return Loaded(unused_fields=unused_fields(file.address, _names(kind, file, head), kind.columns(source)))


def _names(kind: FileKind, file: LogFile, head: Head) -> Sequence[str]:
    if kind.is_table:
        return read_parquet.column_names(file)
    return header_of(head.first_line) if kind.has_header else head.keys


def _blocks(kind: FileKind, file: LogFile, start: Position, *, growing: bool) -> Iterator[Block]:
    if kind.is_table:
        return read_parquet.read_blocks(file, start)
    return read_lines.read_blocks(file, start, growing=growing, quoted=kind.has_header)


def _batch(block: Block, decode: Decoder) -> Batch:
    if not block.too_long:
        return decode(block.lines)
    error = InvalidValue(
        "line", block.lines.raw[:60].decode(errors="replace"), f"at most {MAX_LINE_BYTES:,} bytes long"
    )
    rows = block.lines.rows()
    return Batch(rejects=[Reject.of(error, row.position, row.raw, row.identity, is_cut=True) for row in rows])


@dataclass(frozen=True, slots=True)
class _Ledger:
    """A file as we know it, and where its position is kept."""

    tenant: str
    source: str
    file_id: str
    head: str
    path: str
    position: Position
    is_unchanged: bool = False

    def move(self, position: Position, now: datetime, connection: sa.Connection) -> None:
        """Remember the position, in the transaction of what was read up to it."""
        row: dict[str, Any] = {
            "tenant_id": self.tenant, "source": self.source, "file_id": self.file_id, "head": self.head,
            "path": self.path, "byte_offset": position.offset, "lines": position.lines,
            "chain": f"{position.crc:08x}", "tail": position.tail, "updated_at": now,
        }  # fmt: skip
        ingest.set_position(connection, row)


def _find(target: Target, source: Source, file: LogFile, head: Head, size: int) -> _Ledger:
    """Return what is known of a file, wherever it lies now: it begins alike, and goes on as it did before."""
    path = os.fsencode(file.address).decode(errors="replace")
    with target.engine.connect() as connection:
        known = ingest.known_files(connection, target.tenant, source.name, head.fingerprint)
    made = partial(_Ledger, target.tenant, source.name, head=head.fingerprint, path=path)
    for row in known:
        position = Position(row.byte_offset, row.lines, int(row.chain, 16), row.tail)
        is_same = row.path == path and row.file_size == size
        if (is_same and file.is_packed) or read_lines.is_continued(file, position):
            return made(file_id=row.file_id, position=position, is_unchanged=row.file_size == size)
    return made(file_id=uuid4().hex, position=Position())
