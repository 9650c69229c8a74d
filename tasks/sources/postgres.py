"""Any table of a Postgres that is not ours, by a query of the user's: its columns are mapped as a CSV file's are.

The query takes :start and :end; which column they bound is its own affair (the one by which rows turn up). It runs
read-only, behind a server-side cursor. Before it: `tasks/load_window.py` asks for a window. Between: `mapped.py` maps.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import msgspec
import sqlalchemy as sa

from ops.errors import InvalidValue, Refused, Unavailable, caught
from ops.usage import UsageEvent
from ops.window import Window
from tasks.settings import Source
from tasks.sources.interface import Batch, QueryKind, Reject
from tasks.sources.mapped import CHECKS, Mapping

if TYPE_CHECKING:
    import psycopg

PAGE = 5000
_SETTINGS = ("statement_timeout = '10min'", "timezone = 'UTC'", "datestyle = 'ISO'")
_PARAMETERS = {"start", "end"}
_WITH_ID = "with a column for event_id: a row that is read again must be known again"


def batches(source: Source, window: Window) -> Iterator[Batch]:
    """Yield the query's rows, page by page.

    Raises:
        InvalidValue: a query without :start and :end or with others, or no column for the event's id.
        Refused: what Postgres says of the query.
        Unavailable: no connection, or it broke.
    """
    statement = _statement(source)
    with reading(source) as connection, connection.begin():
        prepare(connection)
        query = statement.compile(connection)
        with _driver(connection).cursor(name="watchkeeper") as cursor:  # on the server: pages, not all of it at once
            cursor.execute(str(query), {"start": window.start, "end": window.end})
            names = [column.name for column in cursor.description or ()]
            mapping = _mapping(source, window, names)
            while rows := cursor.fetchmany(source.page_size or PAGE):
                yield _batch(mapping, names, rows)


@contextmanager
def reading(source: Source) -> Iterator[sa.Connection]:
    """Yield a read-only connection to the source's database, and tell its errors as ours: never with the password.

    Raises:
        InvalidValue: the setting is no URL of a Postgres.
        Refused, Unavailable: with the first line of what Postgres says.
    """
    import psycopg

    from tasks.resources import first_line, foreign_database

    where = f"Postgres of source {source.name}"
    try:
        with foreign_database(source.database_url.get_secret_value(), f"sources.{source.name}.database_url") as found:
            yield found
    except (sa.exc.OperationalError, psycopg.OperationalError) as error:
        raise Unavailable(where, first_line(error)) from None
    except (sa.exc.DBAPIError, psycopg.Error) as error:
        raise Refused(where, first_line(error)) from None


def prepare(connection: sa.Connection) -> None:
    """Begin a transaction's work: no statement for ever, times in UTC and as ISO 8601 writes them."""
    for setting in _SETTINGS:
        connection.execute(sa.text(f"SET LOCAL {setting}"))


def wrong_address(source: Source) -> Iterable[InvalidValue]:
    """Return the problem of a `database_url` that is no URL of a Postgres."""
    from tasks.resources import with_driver

    given = source.database_url.get_secret_value()
    return caught(with_driver, given, f"sources.{source.name}.database_url") if given else ()


def wrong_query(source: Source) -> Iterator[InvalidValue]:
    """Yield what shows without Postgres: other parameters than :start and :end, an id that no column can be."""
    if not source.query:
        return
    yield from caught(_statement, source)
    column = source.columns.get("event_id", "event_id")
    named = re.search(rf"\*|\btable\b|(?<!\w){re.escape(column)}(?!\w)", source.query, re.IGNORECASE)
    if "event_id" in source.values or not named:  # `*` and TABLE: only Postgres knows the columns
        yield InvalidValue(f"sources.{source.name}.query", source.query, _WITH_ID)


def _statement(source: Source) -> sa.TextClause:
    statement = sa.text(source.query)
    named = set(statement.compile().params)
    if named != _PARAMETERS:
        limit = r"a query with the parameters :start and :end and no others (a colon in a text is written \:)"
        raise InvalidValue(f"sources.{source.name}.query", source.query, limit)
    types = {name: sa.bindparam(name, type_=sa.DateTime(timezone=True)) for name in named}
    return statement.bindparams(*types.values())


def _mapping(source: Source, window: Window, names: list[str]) -> Mapping:
    mapping = Mapping(source, window.end, names)
    if mapping.columns.get("event_id") not in names:
        raise InvalidValue(f"sources.{source.name}.query", f"a query of {', '.join(names)}", _WITH_ID)
    return mapping


def _batch(mapping: Mapping, names: list[str], rows: Sequence[Any]) -> Batch:
    batch = Batch()
    for position, row in enumerate(rows, 1):
        cells = {name: cell for name, cell in zip(names, row, strict=True) if cell not in (None, "")}
        try:
            batch.events.append(mapping.event(dict(cells), ""))
        except InvalidValue as error:
            batch.rejects.append(Reject.of(error, position, msgspec.json.encode(cells, enc_hook=str)))
    return batch


def _driver(connection: sa.Connection) -> psycopg.Connection[Any]:
    """Return psycopg's connection, which takes every cell as Postgres writes it.

    So a time that Python has not is the fault of one row, not of its page.
    """
    import psycopg
    from psycopg.types.string import TextLoader

    class TrueOrFalse(TextLoader):
        def load(self, data: Any) -> str:
            return "true" if bytes(data) == b"t" else "false"

    driver = connection.connection.driver_connection
    assert isinstance(driver, psycopg.Connection)  # noqa: S101  the engine is made with psycopg
    for known in psycopg.adapters.types:
        driver.adapters.register_loader(known.oid, TextLoader)
    driver.adapters.register_loader("bool", TrueOrFalse)
    return driver


def _row(source: Source, row: Any) -> tuple[UsageEvent]:
    if not isinstance(row, dict):
        raise InvalidValue("row", row, "a row of the query")
    return (Mapping(source, datetime.now(UTC)).event(row, ""),)


KIND = QueryKind(batches, row=_row, checks=(wrong_address, wrong_query, *CHECKS))
