"""Prefect's own server: a database of its own beside ours, telemetry off, on loopback.

`watchkeeper up` runs it for good; `watchkeeper run` and the demo use one that answers already, else one for themselves.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx
import psutil
import sqlalchemy as sa

from ops.errors import Unavailable
from tasks import tethered
from tasks.http import Limits, received
from tasks.request_body import Refusal
from tasks.resources import create_database, database_url, open_http
from tasks.settings import Settings

DATABASE = "prefect"
START_TIMEOUT_S = 120
HOST = "127.0.0.1"
_LIMITS = Limits(most_bytes=1000, longest_s=2.0)  # of a health check
_ASYNCPG = {"host": "host", "port": "port", "user": "user", "sslmode": "ssl"}  # libpq's word: asyncpg's


def api_url(port: int) -> str:
    """Return the address of the API on a port of this machine."""
    return f"http://{HOST}:{port}/api"


def answers(url: str) -> bool:
    """Whether a Prefect server is there; another server's page is not its answer, which is `true`."""
    with suppress(httpx.HTTPError, httpx.InvalidURL, Refusal, ValueError), open_http(2) as http:
        return received(http, httpx.Request("GET", f"{url}/health"), _LIMITS).json() is True
    return False


def environment(settings: Settings, *, log_level: str = "CRITICAL") -> dict[str, str]:
    """Return what a Prefect process needs to run lean and silent; the user's own PREFECT_* settings win."""
    ours = {
        "PREFECT_HOME": str(settings.home / "prefect"),
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "DO_NOT_TRACK": "1",
        "PREFECT_LOGGING_LEVEL": log_level,
        "PREFECT_CLI_PROMPT": "false",
        "PYTHONSAFEPATH": "1",  # `python -m` must not find packages of the folder that a command comes from
        "PREFECT_SERVER_SERVICES_DB_VACUUM_ENABLED": "events,flow_runs",
    }
    return {name: value for name, value in ours.items() if name not in os.environ}


def server_database(settings: Settings, database: str = DATABASE) -> str:
    """Make Prefect's database beside ours unless it is there, and return its URL for Prefect.

    Raises:
        Unavailable: the configured Postgres lets us make no database; PREFECT_SERVER_DATABASE_CONNECTION_URL names one.
    """
    given = os.environ.get("PREFECT_SERVER_DATABASE_CONNECTION_URL")
    if given:
        return given
    create_database(database_url(settings, "postgres" if settings.database_url is None else None), database)
    url = sa.make_url(database_url(settings, database))
    query = {_ASYNCPG[name]: value for name, value in url.query.items() if name in _ASYNCPG}
    password = url.password or url.query.get("password")
    return url.set(
        drivername="postgresql+asyncpg", query=query, password=password if isinstance(password, str) else None
    ).render_as_string(hide_password=False)


@contextmanager
def server(settings: Settings, port: int, database: str = DATABASE) -> Iterator[str]:
    """Run a server inside the block and yield its API's address; the embedded Postgres must be running.

    Raises:
        Unavailable: the port is taken, or the server does not answer in time; the text quotes its log.
    """
    if not _is_free(port):
        raise Unavailable(f"port {port}", "another process listens there; set WATCHKEEPER_PREFECT_PORT")
    url = api_url(port)
    log = settings.home / "prefect-server.log"
    command = [sys.executable, "-m", "prefect", "server", "start", "--host", HOST, "--port", str(port)]
    given = environment(settings) | {"PREFECT_SERVER_DATABASE_CONNECTION_URL": server_database(settings, database)}
    given |= {"PREFECT_API_URL": url, "PREFECT_UI_API_URL": url, "PREFECT_SERVER_ALLOW_EPHEMERAL_MODE": "false"}
    with log.open("wb") as output:
        process = tethered.start(command, env=os.environ | given, log=output.fileno())
        try:
            _wait(url, process, log)
            yield url
        finally:
            tethered.stop(process)


def free_port() -> int:
    """Return a port of loopback that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


def _listens(process: subprocess.Popen[bytes], port: int | None) -> bool:
    """Whether the server that answers is the one below `process`, not another that took the port first."""
    with suppress(psutil.Error):
        family = psutil.Process(process.pid).children(recursive=True)
        return any(end.laddr.port == port for child in family for end in child.net_connections("tcp") if end.laddr)
    return False


def _wait(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    while not (answers(url) and _listens(process, httpx.URL(url).port)):
        if process.poll() is not None or time.monotonic() > deadline:
            lines = [line for line in log.read_text(errors="replace").splitlines() if line.strip()]
            raise Unavailable("Prefect server", f"did not start; its log ends: {' | '.join(lines[-3:])}")
        time.sleep(0.1)
