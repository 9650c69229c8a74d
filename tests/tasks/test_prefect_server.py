from __future__ import annotations

import os
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest
import sqlalchemy as sa

from ops.errors import Unavailable
from tasks import prefect_server
from tasks.embedded_postgres import Cluster
from tasks.http import Limits
from tasks.resources import administration
from tasks.settings import Settings
from tests.stubborn_server import OK, Behave, drips, pours, stubborn_server

pytestmark = pytest.mark.usefixtures("uncounted_processes")


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith(("PREFECT_", "WATCHKEEPER_", "DATABASE_URL"))]:
        monkeypatch.delenv(name)


@pytest.fixture
def embedded(tmp_path: Path) -> Settings:
    home = tmp_path / "home"
    with Cluster(home, durable=False).use():  # makes it one that is thrown away
        return Settings(home=home, database_url=None)


def test_server_on_the_embedded_postgres_answers_inside_the_block_and_is_gone_after_it(embedded: Settings) -> None:
    port = prefect_server.free_port()
    url = prefect_server.api_url(port)
    with Cluster(embedded.home).use() as cluster:
        assert not prefect_server.answers(url)
        with prefect_server.server(embedded, port) as running:
            assert running == url
            assert prefect_server.answers(url)
            told = httpx.get(f"{url}/admin/settings").json()
            assert told["server"]["analytics_enabled"] is False
            assert told["home"] == str(embedded.home / "prefect")
            assert prefect_server.server_database(embedded).startswith("postgresql+asyncpg://postgres@/prefect?")
            with administration(cluster.url("prefect")) as connection:
                assert connection.execute(sa.text("SELECT count(*) FROM flow_run")).scalar() == 0
            taken = f"port {port} is unavailable: another process listens there; set WATCHKEEPER_PREFECT_PORT"
            with pytest.raises(Unavailable, match=taken), prefect_server.server(embedded, port):
                pass
        assert not prefect_server.answers(url)
        with socket.create_server(("127.0.0.1", port)):  # nobody holds it any more
            pass


def test_server_that_ends_by_itself_is_unavailable_with_the_end_of_its_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PREFECT_SERVER_DATABASE_CONNECTION_URL", "postgresql+asyncpg://never-asked")
    monkeypatch.setenv("PREFECT_CLIENT_MAX_RETRIES", "many")
    settings = Settings(home=tmp_path, database_url=None)
    starting = prefect_server.server(settings, prefect_server.free_port())
    ends = r"^Prefect server is unavailable: did not start; its log ends: max_retries \|   Input should be"
    with pytest.raises(Unavailable, match=ends), starting:
        pass


def test_answers_is_false_for_a_server_that_speaks_no_http() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=lambda: listener.accept()[0].close(), daemon=True).start()
        assert not prefect_server.answers(prefect_server.api_url(listener.getsockname()[1]))


@pytest.mark.parametrize("behave", [drips(OK, b"a: b\r\n"), pours(OK + b"\r\n", b"1")], ids=["a head", "a body"])
def test_server_that_never_ends_its_answer_is_not_taken_for_prefect(
    behave: Behave, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prefect_server, "_LIMITS", Limits(most_bytes=1000, longest_s=0.2))
    with stubborn_server(behave) as url:
        assert not prefect_server.answers(f"{url}/api")


def test_environment_keeps_prefect_in_our_home_and_silent(tmp_path: Path) -> None:
    given = prefect_server.environment(Settings(home=tmp_path, database_url=None), log_level="INFO")
    assert given["PREFECT_HOME"] == str(tmp_path / "prefect")
    assert given["PREFECT_SERVER_ANALYTICS_ENABLED"] == "false"
    assert given["PREFECT_LOGGING_LEVEL"] == "INFO"


def test_environment_leaves_what_the_user_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PREFECT_HOME", "/elsewhere")
    assert "PREFECT_HOME" not in prefect_server.environment(Settings(home=tmp_path, database_url=None))


def test_server_database_that_the_user_names_is_used_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PREFECT_SERVER_DATABASE_CONNECTION_URL", "postgresql+asyncpg://me@host/mine")
    given = prefect_server.server_database(Settings(home=tmp_path, database_url=None))
    assert given == "postgresql+asyncpg://me@host/mine"


def test_server_database_beside_a_configured_one_speaks_the_words_of_its_driver(server_url: str) -> None:
    url = sa.make_url(server_url).update_query_dict({"sslmode": "disable"}).set(drivername="postgresql")
    settings = Settings.model_validate({"database_url": url.render_as_string(hide_password=False)})
    given = sa.make_url(prefect_server.server_database(settings))
    assert (given.drivername, given.database) == ("postgresql+asyncpg", "prefect")
    assert given.query["ssl"] == "disable"
    assert "sslmode" not in given.query


def test_free_port_can_be_bound() -> None:
    with socket.create_server(("127.0.0.1", prefect_server.free_port())):
        pass


@pytest.mark.parametrize("url", ["http://[::1", "http://a:b:c/", "not a url", "http://x\x01/"])
def test_address_that_is_none_does_not_answer(url: str) -> None:
    assert not prefect_server.answers(url)


def test_another_http_server_is_not_taken_for_prefect() -> None:
    handler = type("Page", (BaseHTTPRequestHandler,), {"do_GET": _say_hello, "log_message": lambda *_: None})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as other:
        threading.Thread(target=other.serve_forever, daemon=True).start()
        try:
            assert not prefect_server.answers(prefect_server.api_url(other.server_port))
        finally:
            other.shutdown()


def _say_hello(handler: BaseHTTPRequestHandler) -> None:
    handler.send_response(200)
    handler.end_headers()
    handler.wfile.write(b"hello")
