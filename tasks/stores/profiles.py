"""How many events each source brought by the hour, and of which sizes: what data checks hold the present against.

Before it: `tasks/write_usage.py` writes events and their roll-up, which does not know sources. After it:
`ops.monitoring.data_quality.traffic` says what is usual.
"""

from __future__ import annotations

from datetime import datetime, timedelta

import sqlalchemy as sa

from ops.monitoring.data_quality.traffic import FEWEST_SIZED, HISTORY
from ops.window import Window, floor_day
from tasks.stores import usage
from tasks.stores.sql import statement
from tasks.stores.tables import event_profiles, ingest_sources

_DAY = timedelta(days=1)
_KEPT = 2 * HISTORY
_LOCK = 0x9F0F11E


def refresh(connection: sa.Connection, tenant: str, now: datetime) -> list[datetime]:
    """Count the days anew whose roll-up says that there are others, late ones and the first run's included.

    A dropped day keeps its counts. Two at once take turns.
    """
    connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_LOCK)))
    floor = usage.floor(connection, tenant)
    start = max(floor_day(now - HISTORY), floor or floor_day(now - HISTORY))
    span = {"tenant": tenant, "start": start, "end": floor_day(now) + _DAY}
    days = list(connection.execute(statement("stale_profiles"), span).scalars())
    known = event_profiles.c
    for day in days:
        inside = (known.hour >= day, known.hour < day + _DAY)
        connection.execute(sa.delete(event_profiles).where(known.tenant_id == tenant, *inside))
        connection.execute(statement("add_profile"), {"tenant": tenant, "start": day, "end": day + _DAY})
    connection.execute(sa.delete(event_profiles).where(known.tenant_id == tenant, known.hour < now - _KEPT))
    return days


def watched_hours(connection: sa.Connection, tenant: str, span: Window) -> dict[str, dict[datetime, int]]:
    """Return the events by full hour of every source that is watched; those loaded by hand have no rhythm."""
    known, watched = event_profiles.c, ingest_sources.c
    inside = (known.hour >= span.start, known.hour < span.end)
    its_own = (watched.tenant_id == known.tenant_id, watched.source == known.source)
    rows = connection.execute(
        sa.select(watched.source, known.hour, sa.func.sum(known.events))
        .outerjoin_from(ingest_sources, event_profiles, sa.and_(*its_own, *inside))
        .where(watched.tenant_id == tenant, watched.silent_after_minutes.is_not(None))
        .group_by(watched.source, known.hour)
    )
    found: dict[str, dict[datetime, int]] = {}
    for source, hour, events in rows:
        hours = found.setdefault(source, {})
        if hour is not None:
            hours[hour] = int(events)
    return found


def sized(connection: sa.Connection, tenant: str, past: Window, now: datetime) -> list[str]:
    """Name the sources whose sizes can be compared: they brought enough in `past`, and since."""
    known = event_profiles.c
    counts = (sa.func.sum(known.events).filter(side) for side in (known.hour < past.end, known.hour >= past.end))
    return list(
        connection.execute(
            sa.select(known.source)
            .where(known.tenant_id == tenant, known.hour >= past.start, known.hour < now)
            .group_by(known.source)
            .having(*(count >= FEWEST_SIZED for count in counts))
            .order_by(known.source)
        ).scalars()
    )
