"""The only constructor of what is shared and costly: the database engine, the HTTP client, the Slack client."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from ops.errors import InvalidValue, Unavailable
from tasks.embedded_postgres import Cluster
from tasks.settings import Settings
from tasks.stores import schema

if TYPE_CHECKING:
    import httpx
    from slack_sdk import WebClient

FLOOR = 15


@contextmanager
def running_server(settings: Settings) -> Iterator[str]:
    """Yield the URL of a database that is there on the configured Postgres; an embedded one runs inside the block."""
    if settings.database_url is not None:
        yield with_driver(settings.database_url.get_secret_value())
        return
    with Cluster(settings.home).use() as cluster:
        yield cluster.url("postgres")


@contextmanager
def open_database(settings: Settings, *, upgrade: bool = True) -> Iterator[sa.Engine]:
    """Yield an engine on the configured Postgres, the embedded one by default; its schema is up to date.

    Raises:
        Unavailable: no connection, in one line.
        InvalidValue: not a Postgres URL, or a Postgres older than 15.
    """
    with running_server(settings) as server:
        if settings.database_url is None and upgrade:
            create_database(server, settings.database)
        yield from _engine(database_url(settings), upgrade=upgrade)


def database_url(settings: Settings, database: str | None = None) -> str:
    """Return the SQLAlchemy URL of the configured Postgres, or of another `database` beside it."""
    if settings.database_url is None:
        return Cluster(settings.home).url(database or settings.database)
    url = sa.make_url(with_driver(settings.database_url.get_secret_value()))
    return (url.set(database=database) if database else url).render_as_string(hide_password=False)


def libpq_url(url: sa.URL) -> str:
    """Return a URL as psql reads it, without its password: to libpq a `+` is no blank, as it is to SQLAlchemy."""
    bare = url.set(drivername="postgresql")._replace(password=None).difference_update_query(["password"])
    address, mark, query = bare.render_as_string().partition("?")
    return f"{address}{mark}{query.replace('+', '%20')}"


def create_database(server: str, name: str) -> None:
    """Create database `name` on the server of that URL unless it is there; two at once is fine.

    Raises:
        Unavailable: the server lets us make none.
    """
    with administration(server) as connection:
        known = sa.text("SELECT 1 FROM pg_database WHERE datname = :name")
        if connection.execute(known, {"name": name}).scalar():
            return
        try:
            connection.execute(_on_database("CREATE DATABASE {}", name))
        except sa.exc.DBAPIError as error:
            if not connection.execute(known, {"name": name}).scalar():
                raise Unavailable(f"database {name}", f"it is not there, and {first_line(error)}") from None


def drop_database(url: str, name: str) -> None:
    """Drop database `name`, with whoever is connected to it, through the connection of `url`."""
    with administration(url) as connection:
        connection.execute(_on_database("DROP DATABASE IF EXISTS {} WITH (FORCE)", name))


@contextmanager
def administration(url: str) -> Iterator[sa.Connection]:
    """Yield a connection outside any transaction, for CREATE DATABASE and the like."""
    engine = sa.create_engine(url, isolation_level="AUTOCOMMIT", poolclass=sa.NullPool)
    with reachable(engine) as connection:
        yield connection


@contextmanager
def foreign_database(url: str, field: str) -> Iterator[sa.Connection]:
    """Yield a connection to a Postgres that is not ours, each transaction on it read-only.

    Raises:
        InvalidValue: not a Postgres URL; it stood in the setting `field`.
        sqlalchemy.exc.DBAPIError: no connection.
    """
    options = {"connect_timeout": 10, "application_name": "watchkeeper", "prepare_threshold": None}  # fit for poolers
    engine = sa.create_engine(
        with_driver(url, field), poolclass=sa.NullPool, hide_parameters=True, connect_args=options
    )
    with engine.connect() as connection:
        yield connection.execution_options(postgresql_readonly=True)


@contextmanager
def reachable(engine: sa.Engine) -> Iterator[sa.Connection]:
    """Yield a connection.

    Raises:
        Unavailable: with the first line of what the driver says.
    """
    try:
        connection = engine.connect()
    except sa.exc.OperationalError as error:
        raise Unavailable("database", first_line(error)) from None
    with connection:
        yield connection


def _on_database(statement: str, name: str) -> sa.TextClause:
    quoted = name.replace('"', '""').replace(":", r"\:")  # a colon would begin a parameter
    return sa.text(statement.format(f'"{quoted}"'))


def _engine(url: str, *, upgrade: bool) -> Iterator[sa.Engine]:
    engine = sa.create_engine(
        url, pool_size=4, max_overflow=4, pool_pre_ping=True,
        hide_parameters=True,  # an error's text reaches logs, and rows must not
        connect_args={"options": "-c timezone=UTC", "application_name": "watchkeeper", "connect_timeout": 10},
    )  # fmt: skip
    try:
        with reachable(engine) as connection:
            _check_version(connection)
        if upgrade:
            schema.upgrade(engine)
        yield engine
    finally:
        engine.dispose()


def _check_version(connection: sa.Connection) -> None:
    version = str(connection.execute(sa.text("SHOW server_version")).scalar())
    if int(version.split(".", 1)[0]) < FLOOR:
        raise InvalidValue("database", f"Postgres {version}", f"Postgres {FLOOR} or later")


def with_driver(url: str, field: str = "DATABASE_URL") -> str:
    """Return a Postgres URL with the name of our driver.

    Raises:
        InvalidValue: not a Postgres URL; it stood in the setting `field`.
    """
    scheme, colon, rest = url.partition("://")
    known = scheme in {"postgres", "postgresql", "postgresql+psycopg"}
    if not known or not colon or not _is_readable(f"postgresql+psycopg://{rest}"):
        shown = f"{scheme}://…" if colon else "(hidden)"
        raise InvalidValue(field, shown, "postgresql://user:password@host:port/database")
    return f"postgresql+psycopg://{rest}"


def _is_readable(url: str) -> bool:
    try:
        sa.make_url(url.encode().decode())
    except (ValueError, sa.exc.ArgumentError):
        return False
    return True


def first_line(error: Exception) -> str:
    """Return what Postgres or its driver says, in one line."""
    lines = [line for line in str(getattr(error, "orig", error)).splitlines() if line.strip()]
    return lines[0] if lines else "no answer"


@contextmanager
def open_http(timeout_s: float = 30) -> Iterator[httpx.Client]:
    """Yield an HTTP client that never follows a redirect to somewhere else.

    Nobody is silent for longer than `timeout_s`; the whole of an exchange ends too (`tasks.timed_http`).
    """
    import httpx

    from tasks.timed_http import TimedTransport

    options: dict[str, Any] = {"follow_redirects": False, "headers": {"user-agent": "watchkeeper"}}
    with httpx.Client(transport=TimedTransport(), timeout=timeout_s, **options) as client:
        yield client


@contextmanager
def open_slack(settings: Settings) -> Iterator[WebClient | None]:
    """Yield a client that never tries a second time by itself; None where the settings have no token."""
    if not settings.slack_ready:
        yield None
        return
    from tasks.slack_client import LONGEST_S, SlackClient

    with open_http(LONGEST_S) as http:
        yield SlackClient(http, settings.slack.bot_token.get_secret_value(), settings.slack.base_url)
