"""How every source of usage is doing: which are watched, when each was loaded last, how new its newest event is.

Before it: `tasks/ingest_usage.py` tries the sources, `tasks/write_usage.py` writes their events. After it:
`tasks/stores/measures.py` measures their silence, `watchkeeper ingest sources` shows them.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from ops.cost.gaps import WatchedSource
from tasks.settings import Source
from tasks.stores.tables import ingest_sources


def watch(connection: sa.Connection, tenant: str, sources: Iterable[Source], now: datetime) -> None:
    """Watch these sources from now on, tried or not, and no others."""
    known = ingest_sources.c
    by_name = {source.name: source for source in sources}
    for name, source in sorted(by_name.items()):  # in one order, so that two flows do not deadlock
        statement = insert(ingest_sources).values(
            tenant_id=tenant, source=name, kind=source.kind, first_tried_at=now, last_tried_at=now,
            silent_after_minutes=source.silent_after_minutes,
        )  # fmt: skip
        fresh = statement.excluded
        changed = {
            "kind": fresh.kind,
            "silent_after_minutes": fresh.silent_after_minutes,
            # One that comes back into the settings is not silent since the days when it was not there.
            "first_tried_at": sa.case((known.silent_after_minutes.is_(None), now), else_=known.first_tried_at),
        }
        connection.execute(statement.on_conflict_do_update(index_elements=["tenant_id", "source"], set_=changed))
    is_other = (known.tenant_id == tenant, known.source.not_in(by_name), known.silent_after_minutes.is_not(None))
    connection.execute(sa.update(ingest_sources).where(*is_other).values(silent_after_minutes=None))


def see(connection: sa.Connection, tenant: str, source: str, newest: datetime) -> None:
    """Remember the time of a source's newest event; one that nobody watches is passed over."""
    known = ingest_sources.c
    is_older = sa.or_(known.newest_event_at.is_(None), known.newest_event_at < newest)
    connection.execute(
        sa.update(ingest_sources)
        .where(known.tenant_id == tenant, known.source == source, is_older)  # no lock when there is nothing to do
        .values(newest_event_at=newest)
    )


def watched_since(connection: sa.Connection, tenant: str) -> datetime | None:
    """Return since when the first of the watched sources is; None when none is."""
    known = ingest_sources.c
    mine = (known.tenant_id == tenant, known.silent_after_minutes.is_not(None))
    return connection.execute(sa.select(sa.func.min(known.first_tried_at)).where(*mine)).scalar()


def watched(connection: sa.Connection, tenant: str) -> list[WatchedSource]:
    """Return the watched sources that have brought events, and how far each has been read."""
    known = ingest_sources.c
    rows = connection.execute(
        sa.select(known.first_tried_at, sa.func.least(known.last_success_at, known.cursor_at)).where(
            known.tenant_id == tenant, known.silent_after_minutes.is_not(None), known.newest_event_at.is_not(None)
        )
    )
    return [WatchedSource(*row) for row in rows]


def states(connection: sa.Connection, tenant: str) -> dict[str, sa.Row[Any]]:
    """Return what is known of every source, by its name."""
    rows = connection.execute(
        sa.select(ingest_sources).where(ingest_sources.c.tenant_id == tenant).order_by(ingest_sources.c.source)
    )
    return {row.source: row for row in rows}
