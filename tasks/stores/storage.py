"""How much room the tables take, and where.

Before it: `tasks/stores/usage.py` and `tasks/stores/rollups.py` fill them. After it: `tasks/show_storage.py`.
All tenants share the disk, so these are the figures of all.
"""

from __future__ import annotations

from datetime import date, datetime, timedelta
from pathlib import Path

import sqlalchemy as sa

from tasks.stores import usage
from tasks.stores.tables import usage_hourly

_PARTITIONS = sa.text("""
SELECT relname, coalesce(pg_total_relation_size(oid), 0) AS bytes
  FROM pg_inherits JOIN pg_class ON oid = inhrelid WHERE inhparent = to_regclass('watchkeeper.usage_events')
""")
_ROLLUPS = sa.text("""
SELECT pg_total_relation_size('watchkeeper.usage_hourly') + pg_total_relation_size('watchkeeper.latency_hourly')
     + pg_total_relation_size('watchkeeper.usage_daily_users')
""")
_LOCAL = sa.text("""
SELECT setting FROM pg_settings
 WHERE name = 'data_directory'
   AND (inet_server_addr() IS NULL OR inet_server_addr() <<= '127.0.0.0/8' OR inet_server_addr() = '::1')
""")


def partition_bytes(connection: sa.Connection) -> dict[date, int]:
    """Return the bytes of each day's events with their indexes."""
    sizes = {row.relname: row.bytes for row in connection.execute(_PARTITIONS)}
    return {day: sizes.get(name, 0) for name, day in usage.partitions(connection).items()}


def rollup_bytes(connection: sa.Connection) -> int:
    """Return the bytes of the roll-ups with their indexes."""
    return int(connection.execute(_ROLLUPS).scalar_one())


def database_bytes(connection: sa.Connection) -> int:
    """Return the bytes of everything in this database."""
    return int(connection.execute(sa.select(sa.func.pg_database_size(sa.func.current_database()))).scalar_one())


def first_hour(connection: sa.Connection) -> datetime | None:
    """Return the oldest hour that has a roll-up."""
    first: datetime | None = connection.execute(sa.select(sa.func.min(usage_hourly.c.hour))).scalar_one()
    return first


def week_events(connection: sa.Connection, midnight: datetime) -> int:
    """Return the events of the 7 days before a midnight."""
    hour = usage_hourly.c.hour
    total = sa.select(sa.func.coalesce(sa.func.sum(usage_hourly.c.events), 0)).where(
        hour >= midnight - timedelta(days=7), hour < midnight
    )
    return int(connection.execute(total).scalar_one())


def local_data_directory(connection: sa.Connection) -> Path | None:
    """Return the server's data directory when it is on this machine, and we are allowed to know."""
    found = connection.execute(_LOCAL).scalar()
    return Path(found) if found else None
