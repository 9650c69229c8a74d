"""The hourly roll-ups: sums are added in the transaction of the events that they count.

Before it: `ops/rollup.py` sums up what is new. After it: everything that reads `usage_hourly` and `latency_hourly`.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from ops.rollup import BIN_KEY, HOUR_KEY, HOUR_SUMS, Deltas
from tasks.stores.sql import statement
from tasks.stores.tables import latency_hourly, usage_hourly


def add(connection: sa.Connection, tenant: str, deltas: Deltas) -> None:
    """Add sums and counts to what is there."""
    hours = [(*key, *sums) for key, sums in deltas.hours.items()]
    bins = [(*key, count) for key, count in deltas.bins.items() if count]
    _add(connection, tenant, "add_hours", (*HOUR_KEY, *HOUR_SUMS), hours)
    _add(connection, tenant, "add_bins", (*BIN_KEY, "n"), bins)


def _add(connection: sa.Connection, tenant: str, name: str, columns: tuple[str, ...], rows: list[Any]) -> None:
    if rows:
        values = dict(zip(columns, map(list, zip(*rows, strict=True)), strict=True))
        connection.execute(statement(name), {"tenant": tenant, **values})


def drop_empty(connection: sa.Connection, tenant: str, hours: Iterable[datetime]) -> None:
    """Delete the rows of these hours of which a subtraction left nothing."""
    for table, count in ((usage_hourly, usage_hourly.c.events), (latency_hourly, latency_hourly.c.n)):
        connection.execute(
            sa.delete(table).where(table.c.tenant_id == tenant, table.c.hour.in_(set(hours)), count == 0)
        )
