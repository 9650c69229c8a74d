"""Write usage events: binary COPY straight into the table; through a staging table where some are there already.

Before it: `tasks/write_usage.py` has them parsed and priced. After it: `tasks/stores/rollups.py` adds what is new.
Everything here but the partitions runs inside the caller's transaction.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from io import BytesIO
from typing import Any, NamedTuple

import msgspec
import psycopg
import sqlalchemy as sa
from psycopg import sql
from psycopg.copy import FileWriter

from ops.usage import Status, UsageEvent
from tasks.stores import ingest
from tasks.stores.sql import statement

_NUMBERS = {"input_tokens", "cached_tokens", "cache_write_tokens", "cache_write_1h_tokens", "output_tokens",
            "reasoning_tokens"}  # fmt: skip
_OTHERS = {"occurred_at": "timestamptz", "latency_ms": "float8", "ttft_ms": "float8", "cache_hit": "bool",
           "reported_cost_usd": "numeric"}  # fmt: skip
FIELDS = tuple(field.name for field in msgspec.structs.fields(UsageEvent))[:-1]  # the text is kept elsewhere
_TYPES = {
    "tenant_id": "text", "source": "text", "cost_usd": "numeric", "price_source": "text", "price_snapshot": "text",
    **{name: "int8" if name in _NUMBERS else _OTHERS.get(name, "text") for name in FIELDS},
}  # fmt: skip
_COPY_TYPES = list(_TYPES.values())
_COLUMNS = sql.SQL(", ").join(map(sql.Identifier, _TYPES))
_COPY = sql.SQL("COPY watchkeeper.usage_events ({}) FROM STDIN (FORMAT binary)").format(_COLUMNS)
_STAGE = sql.SQL("COPY usage_staging ({}) FROM STDIN (FORMAT binary)").format(_COLUMNS)
_STAGING = sql.SQL("CREATE TEMP TABLE IF NOT EXISTS usage_staging ({}) ON COMMIT DELETE ROWS").format(
    sql.SQL(", ").join(
        sql.SQL("{} {}").format(sql.Identifier(name), sql.SQL("numeric(20, 12)" if kind == "numeric" else kind))
        for name, kind in _TYPES.items()
    )
)
PARTITION_LOCK = 0x57A7C5  # held by whoever makes or drops partitions
RETENTION = "retention"  # the step of `watermarks` that holds a tenant's floor


class Price(NamedTuple):
    """What an event costs, by which book; all None for unknown."""

    cost_usd: Decimal | None = None
    source: str | None = None
    snapshot: str | None = None


Priced = tuple[UsageEvent, Price]
Key = tuple[str, datetime]


def driver(connection: sa.Connection) -> psycopg.Connection[Any]:
    """Return psycopg's own connection, in the same transaction."""
    inner = connection.connection.driver_connection
    assert isinstance(inner, psycopg.Connection)  # noqa: S101  the engine is always made with psycopg
    return inner


def pack(connection: sa.Connection, tenant: str, source: str, events: Iterable[Priced]) -> bytes:
    """Return what COPY sends for these events; nothing is sent, so that a loader can do it ahead of its transaction."""
    fields = msgspec.structs.astuple
    packed = BytesIO()
    with driver(connection).cursor() as cursor, psycopg.Copy(cursor, binary=True, writer=FileWriter(packed)) as copy:
        copy.set_types(_COPY_TYPES)
        for event, price in events:
            copy.write_row((tenant, source, *price, *fields(event)[:-1]))
    return packed.getvalue()


def copy_new(connection: sa.Connection, packed: bytes) -> bool:
    """Copy packed events into the table; False, and nothing written, when one of them is there already."""
    try:
        with connection.begin_nested():
            _copy(connection, _COPY, packed)
    except psycopg.errors.UniqueViolation:
        return False
    return True


def stage(connection: sa.Connection, packed: bytes) -> None:
    """Copy packed events into the transaction's staging table."""
    driver(connection).execute(_STAGING)
    _copy(connection, _STAGE, packed)


def _copy(connection: sa.Connection, command: sql.Composed, packed: bytes) -> None:
    with driver(connection).cursor() as cursor, cursor.copy(command) as copy:
        copy.write(packed)


def insert_staged(connection: sa.Connection, seen_at: datetime) -> set[Key]:
    """Insert the staged events that are not there yet, and return the keys of those that were new."""
    rows = connection.execute(statement("insert_staged"), {"seen_at": seen_at})
    return {(row.event_id, row.occurred_at) for row in rows}


def take_out_changed(connection: sa.Connection, seen_at: datetime) -> list[Priced]:
    """Delete and return the stored events that the staged ones correct: the same id within a day, other contents.

    An event that was stored after `seen_at` is newer than the staged one, and stays.
    """
    connection.execute(sa.text("SET LOCAL enable_hashjoin = off"))  # the probe is by key, however large history is
    connection.execute(sa.text("SET LOCAL enable_mergejoin = off"))
    rows = connection.execute(statement("take_out_changed"), {"seen_at": seen_at}).all()
    return [(_event(row), Price(row.cost_usd, row.price_source, row.price_snapshot)) for row in rows]


def drop_staged_older(connection: sa.Connection) -> None:
    """Forget staged events whose id is stored with another time: what is stored is newer."""
    connection.execute(statement("drop_staged_older"))


def _event(row: Any) -> UsageEvent:
    values = {name: getattr(row, name) for name in FIELDS}
    return UsageEvent(**{**values, "status": Status(row.status)})


def floor(connection: sa.Connection, tenant: str) -> datetime | None:
    """Return the midnight before which a tenant's events were dropped; None when none ever were."""
    return ingest.watermark(connection, tenant, RETENTION)


def hold_floor(connection: sa.Connection, tenant: str) -> datetime | None:
    """Return the floor, and keep it where it is until the transaction ends.

    The lock is the one that an INSERT takes anyway, only earlier; whoever raises the floor excludes it. It must be the
    transaction's first of a table, so that two never wait for each other in a circle.
    """
    connection.execute(sa.text("LOCK TABLE ONLY watchkeeper.usage_events IN ROW EXCLUSIVE MODE"))
    return floor(connection, tenant)


def ensure_partitions(engine: sa.Engine, days: Iterable[date], tenant: str | None = None) -> None:
    """Make the day partitions that are missing, in a transaction of its own; ATTACH does not wait for writers.

    A day below the floor of `tenant` was dropped, and is not made again.
    """
    wanted = {f"usage_events_{day:%Y%m%d}": day for day in days}
    with engine.begin() as connection:
        known = set(partitions(connection))
        missing = sorted(set(wanted) - known)
        if not missing:
            return
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(PARTITION_LOCK)))
        kept_from = floor(connection, tenant) if tenant else None
        for name in missing:
            if kept_from is None or wanted[name] >= kept_from.date():
                _make_partition(connection, name, wanted[name])


def partitions(connection: sa.Connection) -> dict[str, date]:
    """Return the day of every partition of the events, by name."""
    found = connection.execute(
        sa.text("SELECT inhrelid::regclass::text FROM pg_inherits "
                "WHERE inhparent = 'watchkeeper.usage_events'::regclass".replace("::", r"\:\:"))
    ).scalars()  # fmt: skip
    names = [name.rpartition(".")[2] for name in found]
    return {name: datetime.strptime(name[-8:], "%Y%m%d").replace(tzinfo=UTC).date() for name in names}


def partition_midnights(connection: sa.Connection) -> list[datetime]:
    """Return the midnights of the days that have a partition, the oldest first."""
    return [datetime(day.year, day.month, day.day, tzinfo=UTC) for day in sorted(partitions(connection).values())]


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


def add_texts(connection: sa.Connection, tenant: str, events: Iterable[UsageEvent]) -> None:
    """Keep the texts of prompts that are not kept yet."""
    from sqlalchemy.dialects.postgresql import insert

    from tasks.stores.tables import prompt_texts

    texts = {event.prompt_hash: event.prompt_text for event in events if event.prompt_text and event.prompt_hash}
    rows = [{"tenant_id": tenant, "prompt_hash": name, "text": text} for name, text in sorted(texts.items())]
    if rows:
        connection.execute(insert(prompt_texts).on_conflict_do_nothing(), rows)


def add_rate_cards(engine: sa.Engine, cards: Sequence[dict[str, Any]]) -> None:
    """Store rate cards, in a transaction of its own; one that is there already stays as it is."""
    if cards:
        from sqlalchemy.dialects.postgresql import insert

        from tasks.stores.tables import rate_cards

        with engine.begin() as connection:
            connection.execute(insert(rate_cards).on_conflict_do_nothing(), list(cards))
