"""All that a tenant's loads left behind, to compare one run with another: without what tells the runs apart."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from tasks.stores.tables import latency_hourly, usage_daily_users, usage_events, usage_hourly, usage_rejects

_TABLES = (usage_events, usage_hourly, latency_hourly, usage_daily_users, usage_rejects)
_APART = {"tenant_id", "ingested_at", "rejected_at", "source", "place", "position"}


def stored(engine: sa.Engine, tenant: str) -> dict[str, list[Any]]:
    """Return a tenant's events, roll-ups and rejects, in the order of their contents."""
    found = {}
    with engine.connect() as connection:
        for table in _TABLES:
            columns = [column for column in table.c if column.name not in _APART]
            rows = connection.execute(sa.select(*columns).where(table.c.tenant_id == tenant))
            found[table.name] = sorted(map(tuple, rows), key=repr)
    return found
