"""What the loader remembers: how far each file was read, and the lines that were not events."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from ops.scores import Score
from tasks.stores.tables import ingest_files, scores, usage_rejects, watermarks

RAW_LIMIT = 2000


def position(connection: sa.Connection, tenant: str, source: str, fingerprint: str) -> tuple[int, int]:
    """Return (bytes, lines) of a file that were committed; zeros for a new one."""
    row = connection.execute(
        sa.select(ingest_files.c.byte_offset, ingest_files.c.lines).where(
            ingest_files.c.tenant_id == tenant,
            ingest_files.c.source == source,
            ingest_files.c.fingerprint == fingerprint,
        )
    ).one_or_none()
    return (row.byte_offset, row.lines) if row else (0, 0)


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
    rows = [{"tenant_id": tenant, **msgspec.structs.asdict(mark)} for mark in marks]
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
