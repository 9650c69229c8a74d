"""The rows that were no records: to look at, and to try again.

Before it: `tasks/write_usage.py` keeps them. After it: `tasks/retry_rejects.py`, `watchkeeper ingest rejects`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from psycopg import sql

from tasks.stores.sql import statement
from tasks.stores.tables import ingest_files, ingest_sources, usage_rejects
from tasks.stores.usage import driver

RAW_LIMIT = 65_536  # bytes of a rejected row that are kept; one that fits can be tried again
COLUMNS = tuple(column.name for column in usage_rejects.c if column.name != "rejected_at")
_STAGING = (
    "CREATE TEMP TABLE IF NOT EXISTS rejects_staging (LIKE watchkeeper.usage_rejects INCLUDING DEFAULTS) "
    "ON COMMIT DELETE ROWS"
)
_STAGE = sql.SQL("COPY rejects_staging ({}) FROM STDIN").format(sql.SQL(", ").join(map(sql.Identifier, COLUMNS)))
_PAGE = 500  # of at most 64 KiB each
_kept = usage_rejects.c


def add(connection: sa.Connection, rows: Iterable[tuple[Any, ...]], rejected_at: datetime | None = None) -> None:
    """Keep rejected rows, of COLUMNS each; one that was rejected before is kept once. They were seen now by default."""
    driver(connection).execute(_STAGING)
    with driver(connection).cursor() as cursor, cursor.copy(_STAGE) as copy:
        for row in rows:
            copy.write_row(row)
    connection.execute(statement("insert_rejects"), {"rejected_at": rejected_at})


def newest(connection: sa.Connection, tenant: str, source: str | None, limit: int) -> list[dict[str, Any]]:
    """Return what was rejected last, of one source or of all; the newest first."""
    statement = sa.select(usage_rejects).where(*_of(tenant, source))
    ordered = statement.order_by(_kept.rejected_at.desc(), _kept.source, _kept.position, _kept.reject_id).limit(limit)
    return [
        {name: value for name, value in row.items() if name != "tenant_id"}
        for row in connection.execute(ordered).mappings()
    ]


def count(
    connection: sa.Connection, tenant: str, source: str | None, kind: str | None = None, *, cut: bool | None = None
) -> int:
    """Return how many are kept; with `cut` only those that are not kept whole, or only those that are."""
    statement = sa.select(sa.func.count()).select_from(usage_rejects).where(*_of(tenant, source, kind))
    return int(connection.execute(statement if cut is None else statement.where(_kept.cut == cut)).scalar_one())


def counts(connection: sa.Connection, tenant: str) -> dict[str, int]:
    """Return how many are kept of each source."""
    grouped = sa.select(_kept.source, sa.func.count()).where(*_of(tenant, None)).group_by(_kept.source)
    return {source: int(number) for source, number in connection.execute(grouped)}


def sources(connection: sa.Connection, tenant: str) -> set[str]:
    """Return every source that rows were loaded or rejected of."""
    tables = (usage_rejects, ingest_files, ingest_sources)
    named = [sa.select(table.c.source).where(table.c.tenant_id == tenant) for table in tables]
    return set(connection.execute(sa.union(*named)).scalars())


def pages_of_whole(
    engine: sa.Engine, tenant: str, source: str | None, kind: str | None = None
) -> Iterator[Sequence[sa.Row[Any]]]:
    """Yield the rejects that are kept whole, page by page, each of one source and kind; every one once."""
    key = (_kept.source, _kept.kind, _kept.reject_id)
    statement = sa.select(usage_rejects).where(*_of(tenant, source, kind), ~_kept.cut).order_by(*key).limit(_PAGE)
    last: tuple[str, str, str] | None = None
    while True:
        with engine.connect() as connection:
            rows = connection.execute(statement.where(sa.tuple_(*key) > last) if last else statement).all()
        if not rows:
            return
        page = [row for row in rows if (row.source, row.kind) == (rows[0].source, rows[0].kind)]
        last = (page[-1].source, page[-1].kind, page[-1].reject_id)
        yield page


def forget(connection: sa.Connection, tenant: str, source: str, reject_ids: Sequence[str]) -> None:
    """Forget rejects that are records now."""
    connection.execute(sa.delete(usage_rejects).where(*_of(tenant, source), _kept.reject_id.in_(reject_ids)))


def set_reasons(connection: sa.Connection, tenant: str, source: str, rows: Sequence[dict[str, Any]]) -> None:
    """Remember why rejects (`id`) still are: `field` and `reason`."""
    if rows:
        statement = sa.update(usage_rejects).where(*_of(tenant, source), _kept.reject_id == sa.bindparam("id"))
        connection.execute(statement, rows)


def _of(tenant: str, source: str | None, kind: str | None = None) -> list[sa.ColumnElement[bool]]:
    named = ((_kept.source, source), (_kept.kind, kind))
    return [_kept.tenant_id == tenant, *(column == name for column, name in named if name is not None)]
