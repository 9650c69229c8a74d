"""A real Postgres and a real Prefect server for the session, and a fresh database for each test that asks for one."""

from __future__ import annotations

import gc
import os
import shutil
import sys
import tempfile
from collections.abc import Generator, Iterator
from contextlib import ExitStack
from pathlib import Path
from uuid import uuid4

import hypothesis
import pytest
import sqlalchemy as sa

from tasks import prefect_server
from tasks.embedded_postgres import Cluster
from tasks.resources import administration, drop_database
from tasks.settings import Settings
from tasks.stores import schema

# No deadline: a slow machine is not a failure. In CI the same examples each time; elsewhere new ones.
hypothesis.settings.register_profile("house", deadline=None, derandomize="CI" in os.environ)
hypothesis.settings.load_profile("house")

COVERAGE = "COVERAGE_PROCESS_CONFIG"  # by which coverage reaches the processes that a test starts
SHARED = Path(__file__).parents[2] / "shared" / "data"


# What is collected stays to the end: looking through it for garbage again and again took one second in twenty.
gc.disable()


def pytest_collection_finish() -> None:
    """Look for garbage from now on, and only in what comes from now on."""
    gc.freeze()
    gc.enable()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, None, None]:
    """Run a test that is marked `uncounted` without coverage's tracer."""
    if item.get_closest_marker("uncounted") is None:
        return (yield)
    tracer = sys.gettrace()
    sys.settrace(None)
    try:
        return (yield)
    finally:
        sys.settrace(tracer)


@pytest.fixture
def uncounted_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Start processes without coverage: those that run none of our code, and those that are killed before they say."""
    monkeypatch.delenv(COVERAGE, raising=False)


@pytest.fixture(scope="session")
def clean_environment() -> dict[str, str]:
    """The environment for a subprocess, without the machine's own settings of Watchkeeper and Prefect."""
    ours = ("WATCHKEEPER_", "PREFECT_", "DATABASE_URL")
    return {name: value for name, value in os.environ.items() if not name.startswith(ours)}


@pytest.fixture(scope="session")
def server_url() -> Iterator[str]:
    """The URL of a Postgres where databases may be made: `DATABASE_URL`, else an embedded one that is thrown away."""
    given = os.environ.get("DATABASE_URL")
    if given:
        yield given.replace("postgresql://", "postgresql+psycopg://", 1)
        return
    memory = Path("/dev/shm")  # noqa: S108  a memory disk, where there is one
    home = Path(tempfile.mkdtemp(prefix="wk-", dir=memory if os.access(memory, os.W_OK) else None))
    home.chmod(0o755)
    try:
        with Cluster(home, durable=False).use() as cluster:
            yield cluster.url("postgres")
    finally:
        shutil.rmtree(home, ignore_errors=True)


@pytest.fixture(scope="session")
def template(server_url: str) -> Iterator[str]:
    """An upgraded database to copy from."""
    name = f"wk_template_{uuid4().hex[:8]}"
    with administration(server_url) as connection:
        connection.execute(sa.text(f"CREATE DATABASE {name}"))
    engine = sa.create_engine(_beside(server_url, name))
    schema.upgrade(engine)
    engine.dispose()
    yield name
    drop_database(server_url, name)


@pytest.fixture(scope="session")
def administrator(server_url: str) -> Iterator[sa.Connection]:
    """A connection that stays: another for each database that is made or dropped takes as long as that itself."""
    with administration(server_url) as connection:
        yield connection


@pytest.fixture
def database_url(server_url: str, template: str, administrator: sa.Connection) -> Iterator[str]:
    """The URL of a fresh, upgraded database."""
    name = f"wk_{uuid4().hex[:12]}"
    administrator.execute(sa.text(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY file_copy"))
    yield _beside(server_url, name)
    administrator.execute(sa.text(f"DROP DATABASE {name} WITH (FORCE)"))


@pytest.fixture
def engine(database_url: str) -> Iterator[sa.Engine]:
    """An engine on the fresh database."""
    engine = sa.create_engine(database_url, connect_args={"options": "-c timezone=UTC"})
    yield engine
    engine.dispose()


@pytest.fixture
def settings(database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Settings on the fresh database, untouched by the machine's own environment."""
    for name in [name for name in os.environ if name.startswith("WATCHKEEPER_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DATABASE_URL", database_url)
    monkeypatch.setenv("WATCHKEEPER_HOME", str(tmp_path / "home"))
    return Settings()


@pytest.fixture(scope="session")
def prefect_api(server_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a real server on the session's Postgres, which flows of the test process report to."""
    from prefect.settings import (
        PREFECT_API_URL,
        PREFECT_FLOWS_HEARTBEAT_FREQUENCY,
        PREFECT_LOGGING_TO_API_ENABLED,
        temporary_settings,
    )

    home: Path = tmp_path_factory.mktemp("prefect")
    settings = Settings(home=home, database_url=server_url)  # type: ignore[arg-type]  pydantic makes it a secret
    with ExitStack() as stack:
        with pytest.MonkeyPatch.context() as patch:
            patch.delenv(
                COVERAGE, raising=False
            )  # a server runs none of our code, and takes half as long again with it
            url = stack.enter_context(prefect_server.server(settings, prefect_server.free_port()))
        ours = {PREFECT_API_URL: url, PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None, PREFECT_LOGGING_TO_API_ENABLED: False}
        stack.enter_context(temporary_settings(ours))
        yield url


@pytest.fixture
def shared_data() -> Path:
    """The folder of real inputs; tests that need it skip where it is absent."""
    if not SHARED.is_dir():
        pytest.skip("no ../shared/data beside the checkout")
    return SHARED


def _beside(url: str, database: str) -> str:
    return sa.make_url(url).set(database=database).render_as_string(hide_password=False)
