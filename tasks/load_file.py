"""Load one log file: each block of lines is one transaction of events, roll-ups, rejects and the position reached.

Killed anywhere, it has committed whole blocks; run again, events already there are counted as duplicates. Used by the
task in `tasks/ingest_usage.py` and by `watchkeeper ingest`; it does not need Prefect.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from ops import scores
from ops.errors import InvalidValue
from ops.scores import Score
from ops.usage import UsageEvent, validate
from tasks.price_usage import price_staged
from tasks.read_lines import Block, Head, read_blocks, read_head
from tasks.settings import Source
from tasks.sources import Parser, Record, has_header, parser_for
from tasks.stores import ingest, usage

Progress = Callable[["Loaded"], None]


@dataclass(frozen=True, slots=True)
class Loaded:
    """What a load did so far; `read` counts lines that are not blank."""

    read: int = 0
    inserted: int = 0
    duplicates: int = 0
    rejected: int = 0
    seconds: float = 0.0
    unknown_models: tuple[str, ...] = ()
    first_reject: str | None = None  # its line and reason

    def plus(self, other: Loaded) -> Loaded:
        """Add two loads up."""
        return Loaded(
            self.read + other.read,
            self.inserted + other.inserted,
            self.duplicates + other.duplicates,
            self.rejected + other.rejected,
            self.seconds + other.seconds,
            tuple(sorted({*self.unknown_models, *other.unknown_models})),
            self.first_reject or other.first_reject,
        )

    def as_json(self) -> dict[str, Any]:
        """Return what `--json` prints."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Target:
    """Where events go, and what is kept of them."""

    engine: sa.Engine
    tenant: str
    keep_texts: bool = False


def load_file(
    target: Target, source: Source, path: Path, now: datetime, *, resume: bool = False, progress: Progress | None = None
) -> Loaded:
    """Load `path` as `source` says; with `resume`, only what was not committed before.

    Raises:
        NotFound: no such file.
        Unavailable: a damaged file; the blocks before the damage are committed.
        InvalidValue: the source's settings do not fit the file.
    """
    started = time.monotonic()
    head = read_head(path, header=has_header(source), growing=resume)
    total = Loaded()
    if head is None:
        return total
    parse = parser_for(source, head.first_line)
    size = path.stat().st_size
    with target.engine.connect() as connection:
        found = ingest.position(connection, target.tenant, source.name, head.fingerprint)
    reached = found if resume else ingest.Position()
    if reached.file_size == size:
        return total
    for block in read_blocks(path, skip_bytes=reached.byte_offset, first_line=reached.lines + 1, growing=resume):
        records, rejects = _parse(block, parse, head, source, now)
        done = _write(target, source, path, block, head, records, rejects, now)
        total = replace(total.plus(done), seconds=round(time.monotonic() - started, 3))
        if progress:
            progress(total)
    with target.engine.begin() as connection:
        ingest.set_read_to_end(connection, target.tenant, source.name, head.fingerprint, size)
    return total


def _parse(
    block: Block, parse: Parser, head: Head, source: Source, now: datetime
) -> tuple[list[Record], list[dict[str, Any]]]:
    records, rejects = [], []
    header = head.first_line if has_header(source) else None
    for number, line in enumerate(block.lines, block.first_line):
        if not line.strip() or line.rstrip(b"\r") == header:
            continue
        try:
            records.append(_validated(parse(line.rstrip(b"\r"), number, head.fingerprint), now))
        except InvalidValue as error:
            rejects.append(_reject(number, line, error))
    return records, rejects


def _validated(record: Record, now: datetime) -> Record:
    return scores.validate(record, now) if isinstance(record, Score) else validate(record, now)


def _reject(number: int, line: bytes, error: InvalidValue) -> dict[str, Any]:
    raw = line[: ingest.RAW_LIMIT].decode("utf-8", errors="replace").replace("\x00", "\\0")
    reason = str(error).encode("utf-8", errors="replace").decode().replace("\x00", "\\0")
    return {"line": number, "field": error.field[:200], "reason": reason[: ingest.RAW_LIMIT], "raw": raw}


def _write(
    target: Target, source: Source, path: Path, block: Block, head: Head,
    records: list[Record], rejects: list[dict[str, Any]], now: datetime,
) -> Loaded:  # fmt: skip
    key = {"tenant_id": target.tenant, "source": source.name, "fingerprint": head.fingerprint}
    with target.engine.begin() as connection:
        inserted, unknown = _write_records(connection, target, source.name, records)
        if inserted:
            ingest.set_watermark(connection, target.tenant, "load", now)
        ingest.add_rejects(connection, [key | reject for reject in rejects])
        ingest.set_position(
            connection,
            key
            | {
                "path": os.fsencode(path).decode(errors="replace"),
                "byte_offset": block.end_offset,
                "lines": block.end_line,
                "updated_at": now,
            },
        )
    first = f"line {rejects[0]['line']}: {rejects[0]['reason']}" if rejects else None
    duplicates = len(records) - inserted
    return Loaded(len(records) + len(rejects), inserted, duplicates, len(rejects), 0.0, tuple(unknown), first)


def _write_records(
    connection: sa.Connection, target: Target, source: str, records: list[Record]
) -> tuple[int, list[str]]:
    marks = [record for record in records if isinstance(record, Score)]
    events = [record for record in records if isinstance(record, UsageEvent)]
    inserted, unknown = write_events(connection, target, source, events)
    return inserted + ingest.add_scores(connection, target.tenant, marks), unknown


def write_events(
    connection: sa.Connection, target: Target, source: str, events: list[UsageEvent]
) -> tuple[int, list[str]]:
    """Insert, price and roll up; return how many events were new, and the models without a price."""
    if not events:
        return 0, []
    kept = events if target.keep_texts else (_without_text(event) for event in events)
    usage.ensure_partitions(connection, {event.occurred_at.date() for event in events})
    usage.stage(connection, target.tenant, source, kept)
    unknown = price_staged(connection)
    return usage.insert_staged(connection), unknown


def _without_text(event: UsageEvent) -> UsageEvent:
    if event.prompt_text is None:
        return event
    import msgspec

    return msgspec.structs.replace(event, prompt_text=None)
