"""What the loader remembers: how far each file was read, and the lines that were not events."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from ops.scores import Score
from tasks.stores.tables import ingest_files, scores, usage_rejects, watermarks

RAW_LIMIT = 2000


@dataclass(frozen=True, slots=True)
class Position:
    """How far a file was committed; `file_size` is its size on disk when it had been read to its end, else None."""

    byte_offset: int = 0  # of the decompressed text
    lines: int = 0
    file_size: int | None = None


def position(connection: sa.Connection, tenant: str, source: str, fingerprint: str) -> Position:
    """Return how far a file was committed; the start for a new one."""
    row = connection.execute(
        sa.select(ingest_files.c.byte_offset, ingest_files.c.lines, ingest_files.c.file_size).where(
            *_is(tenant, source, fingerprint)
        )
    ).one_or_none()
    return Position(*row) if row else Position()


def set_read_to_end(connection: sa.Connection, tenant: str, source: str, fingerprint: str, file_size: int) -> None:
    """Remember that a file of this size was read to its end, so that it is opened again only when it has grown."""
    connection.execute(sa.update(ingest_files).where(*_is(tenant, source, fingerprint)).values(file_size=file_size))


def _is(tenant: str, source: str, fingerprint: str) -> tuple[sa.ColumnElement[bool], ...]:
    files = ingest_files.c
    return files.tenant_id == tenant, files.source == source, files.fingerprint == fingerprint


def set_position(connection: sa.Connection, row: dict[str, Any]) -> None:
    """Remember how far a file was read; never moves backwards."""
    statement = insert(ingest_files).values(**row)
    fresh = statement.excluded
    statement = statement.on_conflict_do_update(
        index_elements=["tenant_id", "source", "fingerprint"],
        set_={
            "path": fresh.path,
            "updated_at": fresh.updated_at,
            "byte_offset": sa.func.greatest(ingest_files.c.byte_offset, fresh.byte_offset),
            "lines": sa.func.greatest(ingest_files.c.lines, fresh.lines),
        },
    )
    connection.execute(statement)


def add_rejects(connection: sa.Connection, rows: Sequence[dict[str, Any]]) -> None:
    """Keep lines that were not events, with the reason; a line rejected before is kept once."""
    if rows:
        connection.execute(insert(usage_rejects).on_conflict_do_nothing(), list(rows))


def add_scores(connection: sa.Connection, tenant: str, marks: Sequence[Score]) -> int:
    """Insert scores that are not there yet, and return how many were new."""
    if not marks:
        return 0
    ordered = sorted(marks, key=lambda mark: mark.score_id)  # so that two loaders do not deadlock
    rows = [{"tenant_id": tenant, **msgspec.structs.asdict(mark)} for mark in ordered]
    statement = insert(scores).on_conflict_do_nothing().returning(scores.c.score_id)
    return len(connection.execute(statement, rows).all())


def watermark(connection: sa.Connection, tenant: str, step: str) -> datetime | None:
    """Return how far a step has come; None when it never ran."""
    return connection.execute(
        sa.select(watermarks.c.reached_at).where(watermarks.c.tenant_id == tenant, watermarks.c.step == step)
    ).scalar_one_or_none()


def set_watermark(connection: sa.Connection, tenant: str, step: str, reached_at: datetime) -> None:
    """Remember how far a step has come."""
    statement = insert(watermarks).values(tenant_id=tenant, step=step, reached_at=reached_at)
    statement = statement.on_conflict_do_update(
        index_elements=["tenant_id", "step"], set_={"reached_at": statement.excluded.reached_at}
    )
    connection.execute(statement)
