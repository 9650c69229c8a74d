"""LiteLLM's spend log straight from its database: the table `LiteLLM_SpendLogs`, which no API's count limits.

Pages follow its index on (startTime, request_id), each a short read-only transaction, so that the proxy's database is
not held up. The heavy columns (messages, response) are not asked for, nor are those that an older LiteLLM has not.
Before it: `tasks/load_window.py` asks for a window. After it: `litellm_rows.py` parses the rows.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import sqlalchemy as sa

from ops.errors import Refused
from ops.window import Window
from tasks.settings import Source
from tasks.sources.interface import Batch, QueryKind, collect
from tasks.sources.litellm_rows import parse, parse_again
from tasks.sources.postgres import PAGE, prepare, reading, wrong_address

TABLE = "LiteLLM_SpendLogs"
_COLUMNS = (
    "request_id", "call_type", "spend", "prompt_tokens", "completion_tokens", "startTime", "endTime",
    "completionStartTime", "model", "custom_llm_provider", "user", "metadata", "cache_hit", "request_tags", "team_id",
    "end_user", "status", "litellm_call_id",
)  # fmt: skip
_KNOWN = sa.text(
    "SELECT column_name FROM information_schema.columns "
    "WHERE table_name = :table AND table_schema = ANY (current_schemas(false))"
)


@dataclass(frozen=True, slots=True)
class _Key:
    """The last row that was read; its time as Postgres writes it, to the last digit."""

    start: str
    request_id: str


def batches(source: Source, window: Window) -> Iterator[Batch]:
    """Yield the rows of the requests that began in `window`, page by page.

    Raises:
        Refused: no such table, or what Postgres says.
        Unavailable: no connection, or it broke.
    """
    size = source.page_size or PAGE
    with reading(source) as connection:
        columns = _columns(source, connection)
        rows = _page(connection, _select(columns, window, None, size))
        while rows:
            yield collect(
                [msgspec.Raw(row.document.encode()) for row in rows], lambda row: parse(bytes(row)), window.end
            )
            last = _Key(rows[-1].start, rows[-1].request_id)
            rows = _page(connection, _select(columns, window, last, size)) if len(rows) == size else []


def _columns(source: Source, connection: sa.Connection) -> list[str]:
    with connection.begin():
        found = set(connection.execute(_KNOWN, {"table": TABLE}).scalars())
    if "startTime" not in found:
        raise Refused(f"Postgres of source {source.name}", f'there is no table "{TABLE}" that this user may read')
    return [name for name in _COLUMNS if name in found]


def _page(connection: sa.Connection, statement: sa.Select[Any]) -> Sequence[sa.Row[Any]]:
    with connection.begin():
        prepare(connection)
        return connection.execute(statement).all()


def _select(columns: list[str], window: Window, behind: _Key | None, size: int) -> sa.Select[Any]:
    """Select the next rows of the window, each with its key and as one JSON object."""
    log = sa.table(TABLE, *map(sa.column, columns)).c
    key = sa.tuple_(log.startTime, log.request_id)
    rows = sa.select(*log).where(log.startTime >= _utc(window.start), log.startTime < _utc(window.end))
    if behind:
        rows = rows.where(key > sa.tuple_(sa.cast(behind.start, sa.DateTime), sa.literal(behind.request_id)))
    page = rows.order_by(log.startTime, log.request_id).limit(size).subquery("page")
    document = sa.cast(sa.func.row_to_json(sa.literal_column("page")), sa.Text)
    start = sa.cast(page.c.startTime, sa.Text)
    ordered = sa.select(start.label("start"), page.c.request_id, document.label("document")).select_from(page)
    return ordered.order_by(page.c.startTime, page.c.request_id)


def _utc(when: datetime) -> sa.Cast[datetime]:
    """Return a bound as the table keeps times: UTC without saying so."""
    return sa.cast(sa.literal(when.astimezone(UTC).replace(tzinfo=None).isoformat()), sa.DateTime)


KIND = QueryKind(batches, needs=("database_url",), longest=timedelta(days=1), row=parse_again, checks=(wrong_address,))
