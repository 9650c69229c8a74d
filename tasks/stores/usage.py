"""Write usage events: binary COPY into a staging table, then one statement that inserts, prices and rolls up.

Before it: `tasks/load_file.py` parses a block of lines. Everything here runs inside the caller's transaction.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

import psycopg
import sqlalchemy as sa
from psycopg import sql

from ops.usage import UsageEvent
from tasks.stores import tables
from tasks.stores.sql import statement

_COLUMNS: dict[str, str] = {
    "tenant_id": "text", "source": "text", "event_id": "text", "occurred_at": "timestamptz", "vendor": "text",
    "model": "text", "operation": "text", "status": "text", "error_type": "text", "user_id": "text",
    "team_id": "text", "feature": "text", "service": "text", "release": "text", "prompt_version": "text",
    "tier": "text", "input_tokens": "int8", "cached_tokens": "int8", "cache_write_tokens": "int8",
    "cache_write_1h_tokens": "int8", "output_tokens": "int8", "reasoning_tokens": "int8", "latency_ms": "float8",
    "ttft_ms": "float8", "cache_hit": "bool", "reported_cost_usd": "numeric", "prompt_hash": "text",
    "prompt_text": "text",
}  # fmt: skip
_FIELDS = tuple(_COLUMNS)[2:]
_STAGING = sql.SQL("CREATE TEMP TABLE IF NOT EXISTS usage_staging ({}) ON COMMIT DELETE ROWS").format(
    sql.SQL(", ").join(sql.SQL("{} {}").format(sql.Identifier(name), sql.SQL(kind)) for name, kind in _COLUMNS.items())
)
_COPY = sql.SQL("COPY usage_staging ({}) FROM STDIN (FORMAT binary)").format(
    sql.SQL(", ").join(map(sql.Identifier, _COLUMNS))
)


def driver(connection: sa.Connection) -> psycopg.Connection[Any]:
    """Return psycopg's own connection, in the same transaction."""
    inner = connection.connection.driver_connection
    assert isinstance(inner, psycopg.Connection)  # noqa: S101  the engine is always made with psycopg
    return inner


def stage(connection: sa.Connection, tenant: str, source: str, events: Iterable[UsageEvent]) -> None:
    """Copy events into the transaction's staging table."""
    with driver(connection).cursor() as cursor:
        cursor.execute(_STAGING)
        with cursor.copy(_COPY) as copy:
            copy.set_types(list(_COLUMNS.values()))
            for event in events:
                copy.write_row((tenant, source, *(getattr(event, field) for field in _FIELDS)))


def insert_staged(connection: sa.Connection) -> int:
    """Insert the staged events that are not there yet, and return how many were new."""
    return int(connection.execute(statement("insert_usage")).scalar_one())


def ensure_partitions(connection: sa.Connection, days: Iterable[date]) -> None:
    """Make the day partitions that are missing; ATTACH does not wait for running writers."""
    wanted = {f"usage_events_{day:%Y%m%d}": day for day in days}
    known = connection.execute(
        sa.text("SELECT relname FROM pg_class WHERE relnamespace = 'watchkeeper'::regnamespace AND relname = ANY(:n)"),
        {"n": list(wanted)},
    ).scalars()
    missing = sorted(set(wanted) - set(known))
    if missing:
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_PARTITION_LOCK)))
    for name in missing:
        _make_partition(connection, name, wanted[name])


_PARTITION_LOCK = 0x57A7C5


def _make_partition(connection: sa.Connection, name: str, day: date) -> None:
    table = f"watchkeeper.{name}"  # a name of digits, made here
    if connection.execute(sa.select(sa.func.to_regclass(table))).scalar():
        return
    start = datetime(day.year, day.month, day.day, tzinfo=UTC)
    end = start + timedelta(days=1)
    for command in (
        f"CREATE TABLE {table} (LIKE watchkeeper.usage_events INCLUDING ALL)",
        f"ALTER TABLE {table} ADD CHECK (occurred_at >= '{start}' AND occurred_at < '{end}')",
        f"ALTER TABLE watchkeeper.usage_events ATTACH PARTITION {table} FOR VALUES FROM ('{start}') TO ('{end}')",
    ):
        connection.execute(sa.text(command))


def staged_models(connection: sa.Connection) -> Sequence[sa.Row[Any]]:
    """Return the distinct (vendor, model, tier, day) of the staged events that no rate card covers yet."""
    return connection.execute(statement("staged_models")).all()


def add_rate_cards(connection: sa.Connection, cards: Sequence[dict[str, Any]]) -> None:
    """Store rate cards; one that is there already stays as it is."""
    if cards:
        from sqlalchemy.dialects.postgresql import insert

        connection.execute(insert(tables.rate_cards).on_conflict_do_nothing(), list(cards))
