"""Which parts of a backfill are done, so that it goes on where it was stopped.

Used by `tasks/backfill.py`.
"""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from ops.window import Window
from tasks.stores.tables import ingest_chunks

_done = ingest_chunks.c


def done(connection: sa.Connection, tenant: str, source: str) -> set[tuple[str, Window]]:
    """Return the (place, window) of every part of a source that was loaded."""
    rows = connection.execute(
        sa.select(_done.place, _done.starts_at, _done.ends_at).where(_done.tenant_id == tenant, _done.source == source)
    )
    return {(row.place, Window(row.starts_at, row.ends_at)) for row in rows}


def finish(
    connection: sa.Connection, tenant: str, source: str, place: str, window: Window, rows: int, now: datetime
) -> None:
    """Remember that a part was loaded."""
    statement = insert(ingest_chunks).values(
        tenant_id=tenant, source=source, place=place, starts_at=window.start, ends_at=window.end, rows=rows, done_at=now
    )
    key = ("tenant_id", "source", "place", "starts_at", "ends_at")
    again = {"rows": statement.excluded.rows, "done_at": statement.excluded.done_at}
    connection.execute(statement.on_conflict_do_update(index_elements=key, set_=again))


def forget(connection: sa.Connection, tenant: str, source: str, span: Window) -> None:
    """Forget the parts that lie in a span."""
    inside = (_done.starts_at >= span.start, _done.ends_at <= span.end)
    connection.execute(sa.delete(ingest_chunks).where(_done.tenant_id == tenant, _done.source == source, *inside))
