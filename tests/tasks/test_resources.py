from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from uuid import uuid4

import httpx
import pytest
import sqlalchemy as sa
from slack_sdk.errors import SlackApiError

from ops.errors import InvalidValue, Unavailable
from tasks.embedded_postgres import Cluster
from tasks.resources import (
    administration,
    create_database,
    database_url,
    drop_database,
    libpq_url,
    open_database,
    open_http,
    open_slack,
    running_server,
)
from tasks.settings import Settings, Slack
from tasks.stores import schema

HIDDEN = "do-not-tell"


ROLE_PASSWORD = "pw"  # noqa: S105  of a role that lives for one test


def on(url: str) -> Settings:
    return Settings(database_url=url)  # type: ignore[arg-type]  pydantic hides it


def scalar(url: str, query: str) -> object:
    with administration(url) as connection:
        return connection.execute(sa.text(query)).scalar()


@pytest.fixture
def closed_port() -> Iterator[int]:
    """A port that is taken by nobody who listens."""
    with closing(socket.socket()) as taken:
        taken.bind(("127.0.0.1", 0))
        yield taken.getsockname()[1]


@pytest.fixture
def new_name(server_url: str) -> Iterator[str]:
    """A name that no database has yet; what gets it is dropped."""
    name = f"wk_{uuid4().hex[:12]}"
    yield name
    drop_database(server_url, name)


def test_open_database_brings_a_configured_database_up_to_date(server_url: str, new_name: str) -> None:
    create_database(server_url, new_name)
    url = database_url(on(server_url), new_name)
    with open_database(on(url), upgrade=False) as engine:
        assert schema.current(engine) is None
    with open_database(on(url)) as engine:
        assert schema.current(engine) == schema.head()


def test_open_database_speaks_utc_and_gives_its_name(settings: Settings) -> None:
    with open_database(settings, upgrade=False) as engine, engine.connect() as connection:
        assert connection.execute(sa.text("SHOW timezone")).scalar() == "UTC"
        assert connection.execute(sa.text("SHOW application_name")).scalar() == "watchkeeper"


def test_database_error_does_not_tell_what_was_in_the_row(settings: Settings) -> None:
    with open_database(settings) as engine, engine.connect() as connection, pytest.raises(sa.exc.DBAPIError) as told:
        connection.execute(sa.text("SELECT count(*) / 0 WHERE :text IS NOT NULL"), {"text": HIDDEN})
    assert HIDDEN not in str(told.value)


def test_open_database_without_a_url_runs_the_embedded_postgres_inside_the_block_only(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path / "home", database="my.watch", database_url=None)
    cluster = Cluster(settings.home, durable=False)
    with cluster.use():  # makes it one that is thrown away
        pass
    with open_database(settings) as engine, engine.connect() as connection:
        assert connection.execute(sa.text("SELECT current_database()")).scalar() == "my.watch"
        assert cluster.status().running
        assert database_url(settings, "postgres") == cluster.url("postgres")
    assert not cluster.status().running


def test_running_server_with_a_url_is_that_database(settings: Settings, database_url: str) -> None:
    with running_server(settings) as url:
        assert sa.make_url(url).database == sa.make_url(database_url).database


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        pytest.param(f"me:{HIDDEN}@host:5433/watch?sslmode=require", "me@host:5433/watch?sslmode=require", id="server"),
        pytest.param(
            "me@/watch?host=/a%20b%2Bc/run", "me@/watch?host=%2Fa%20b%2Bc%2Frun", id="socket with blank and +"
        ),
        pytest.param(f"me@host/watch?password={HIDDEN}", "me@host/watch", id="password among the options"),
    ],
)
def test_url_for_libpq_has_no_driver_and_no_password_and_blanks_that_it_reads(url: str, shown: str) -> None:
    assert libpq_url(sa.make_url(f"postgresql+psycopg://{url}")) == f"postgresql://{shown}"


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg"])
def test_database_url_of_every_spelling_gets_the_driver(scheme: str) -> None:
    settings = on(f"{scheme}://me:{HIDDEN}@host:5433/watch?sslmode=require")
    assert database_url(settings) == f"postgresql+psycopg://me:{HIDDEN}@host:5433/watch?sslmode=require"
    assert database_url(settings, "other") == f"postgresql+psycopg://me:{HIDDEN}@host:5433/other?sslmode=require"


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        pytest.param(f"mysql://me:{HIDDEN}@host/db", "'mysql://…'", id="another database"),
        pytest.param(f"postgresql+asyncpg://me:{HIDDEN}@host/db", "'postgresql+asyncpg://…'", id="another driver"),
        pytest.param(f"me:{HIDDEN}@host/db", "'(hidden)'", id="no scheme"),
        pytest.param("", "'(hidden)'", id="nothing"),
        pytest.param(f"postgresql://me:{HIDDEN}@host:port/db", "'postgresql://…'", id="a port that is no number"),
        pytest.param(f"postgresql://me:{HIDDEN}@[::1/db", "'postgresql://…'", id="a bracket that stays open"),
    ],
)
def test_open_database_refuses_what_is_not_a_postgres_url(url: str, shown: str) -> None:
    with pytest.raises(InvalidValue) as caught, open_database(on(url)):
        pass
    assert str(caught.value) == f"DATABASE_URL: {shown} is not postgresql://user:password@host:port/database"


def test_open_database_that_cannot_be_reached_is_unavailable_in_one_line(closed_port: int) -> None:
    url = f"postgresql://me:{HIDDEN}@127.0.0.1:{closed_port}/watch"
    with pytest.raises(Unavailable) as caught, open_database(on(url)):
        pass
    assert str(caught.value).startswith("database is unavailable: ")
    assert f"port {closed_port}" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert HIDDEN not in str(caught.value)
    assert caught.value.retryable


def test_open_database_that_does_not_exist_is_unavailable(server_url: str, new_name: str) -> None:
    with pytest.raises(Unavailable, match=f'database "{new_name}" does not exist'):
        scalar(database_url(on(server_url), new_name), "SELECT 1")


def test_open_database_of_something_that_hangs_up_is_unavailable() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=lambda: listener.accept()[0].close(), daemon=True).start()
        url = f"postgresql://127.0.0.1:{listener.getsockname()[1]}/watch?sslmode=disable"
        with pytest.raises(Unavailable, match="database is unavailable: "), open_database(on(url)):
            pass


def test_open_database_refuses_a_postgres_older_than_15(server_url: str) -> None:
    version = str(scalar(server_url, "SHOW server_version"))
    older = f"14{version[2:]}"
    with (
        proxy(server_url, version.encode(), older.encode()) as url,
        pytest.raises(InvalidValue) as caught,
        open_database(on(url)),
    ):
        pass
    assert str(caught.value) == f"database: 'Postgres {older}' is not Postgres 15 or later"


@contextmanager
def proxy(url: str, true: bytes, told: bytes) -> Iterator[str]:
    """Yield a URL on loopback of the server at `url`, which says `told` wherever it would say `true`."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=_relay, args=(listener, url, true, told), daemon=True).start()
        parsed = sa.make_url(url)
        port = listener.getsockname()[1]
        ours = parsed.set(host="127.0.0.1", port=port, query={"sslmode": "disable", "gssencmode": "disable"})
        yield ours.render_as_string(hide_password=False)


def _relay(listener: socket.socket, url: str, true: bytes, told: bytes) -> None:
    client, server = listener.accept()[0], _connected(url)
    back = threading.Thread(target=_pump, args=(server, client, true, told), daemon=True)
    back.start()
    _pump(client, server, b"", b"")
    back.join()
    for end in (client, server):
        end.close()


def _connected(url: str) -> socket.socket:
    parsed = sa.make_url(url)
    folder = str(parsed.query.get("host", ""))
    if not folder.startswith("/"):
        return socket.create_connection((parsed.host or "127.0.0.1", parsed.port or 5432))
    server = socket.socket(socket.AF_UNIX)
    server.connect(f"{folder}/.s.PGSQL.{parsed.query.get('port', 5432)}")
    return server


def _pump(source: socket.socket, target: socket.socket, true: bytes, told: bytes) -> None:
    with suppress(OSError):
        while block := source.recv(65536):
            target.sendall(block.replace(true, told) if true else block)
        target.shutdown(socket.SHUT_WR)


@pytest.mark.parametrize("name", ["plain", "with space", 'qu"ote', "a.:colon", "per%cent", "{brace}", "SELECT"])
def test_create_database_takes_any_name_and_a_second_time_does_nothing(name: str, server_url: str) -> None:
    name = f"{name} {uuid4().hex[:8]}"
    try:
        for _ in range(2):
            create_database(server_url, name)
        assert scalar(database_url(on(server_url), name), "SELECT current_database()") == name
    finally:
        drop_database(server_url, name)
    assert name not in names(server_url)


def names(server_url: str) -> list[object]:
    with administration(server_url) as connection:
        return list(connection.execute(sa.text("SELECT datname FROM pg_database")).scalars())


def test_create_database_from_three_sides_at_once_makes_one_and_fails_nobody(server_url: str, new_name: str) -> None:
    waiting = sa.text("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query ~ :name")
    with administration(server_url) as watcher, ThreadPoolExecutor(3) as pool:
        engine = sa.create_engine(server_url, poolclass=sa.NullPool)
        with engine.begin() as holder:
            holder.execute(sa.text("LOCK TABLE pg_database IN SHARE MODE"))  # all see that it is not there, then wait
            calls = [pool.submit(create_database, server_url, new_name) for _ in range(3)]
            while watcher.execute(waiting, {"name": new_name}).scalar() != 3:
                assert not any(call.done() for call in calls)
        assert [call.result() for call in calls] == [None] * 3
    assert names(server_url).count(new_name) == 1


def test_create_database_without_the_right_to_is_unavailable_with_the_reason(server_url: str, new_name: str) -> None:
    with administration(server_url) as connection:
        connection.execute(sa.text(f"CREATE ROLE {new_name}_role LOGIN PASSWORD '{ROLE_PASSWORD}'"))
    try:
        url = sa.make_url(server_url).set(username=f"{new_name}_role", password=ROLE_PASSWORD)
        with pytest.raises(Unavailable) as caught:
            create_database(url.render_as_string(hide_password=False), new_name)
    finally:
        with administration(server_url) as connection:
            connection.execute(sa.text(f"DROP ROLE {new_name}_role"))
    reason = "it is not there, and permission denied to create database"
    assert str(caught.value) == f"database {new_name} is unavailable: {reason}"


def test_drop_database_takes_it_from_those_who_are_connected(server_url: str, new_name: str) -> None:
    create_database(server_url, new_name)
    with administration(database_url(on(server_url), new_name)) as connection:
        drop_database(server_url, new_name)
        with pytest.raises(sa.exc.OperationalError):
            connection.execute(sa.text("SELECT 1"))
        connection.invalidate()
    assert new_name not in names(server_url)
    drop_database(server_url, new_name)


class Answering(HTTPServer):
    """A server on loopback that sends everybody elsewhere, and remembers who came."""

    def __init__(self, status: int) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.status = status
        self.came: list[tuple[str, str | None, str | None]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/"


class _Handler(BaseHTTPRequestHandler):
    server: Answering

    def do_GET(self) -> None:
        self.server.came.append((self.path, self.headers["user-agent"], self.headers["authorization"]))
        self.send_response(self.server.status)
        self.send_header("location", "/elsewhere")
        self.send_header("content-length", "0")
        self.end_headers()

    do_POST = do_GET

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def answering(status: int) -> Iterator[Answering]:
    with Answering(status) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_http_client_gives_its_name_and_follows_no_redirect() -> None:
    with answering(302) as server, open_http() as client:
        assert client.get(server.url).status_code == httpx.codes.FOUND
        assert server.came == [("/", "watchkeeper", None)]


def test_http_client_has_the_given_patience() -> None:
    with open_http(timeout_s=0.5) as client:
        assert client.timeout == httpx.Timeout(0.5)
    assert client.is_closed


def test_slack_client_never_tries_a_second_time() -> None:
    with answering(500) as server:
        slack = Slack.model_validate({"bot_token": "xoxb-1", "base_url": server.url})
        settings = Settings(slack=slack, database_url=None)
        with open_slack(settings) as client:
            assert client
            with pytest.raises(SlackApiError):
                client.chat_postMessage(channel="C1", text="hello")
        assert [(path, token) for path, _, token in server.came] == [("/chat.postMessage", "Bearer xoxb-1")]


def test_slack_client_without_a_token_is_none() -> None:
    with open_slack(Settings(database_url=None)) as client:
        assert client is None
