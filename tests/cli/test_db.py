from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from click.testing import CliRunner

from cli.main import watchkeeper
from ops.errors import InvalidValue
from tasks.embedded_postgres import Cluster, binaries, binaries_version
from tasks.settings import Settings
from tasks.stores import schema
from tasks.stores.usage import ensure_partitions

HIDDEN = "do-not-tell"


def db(*words: str) -> str:
    result = CliRunner().invoke(watchkeeper, ["db", *words], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


def psql(*words: str) -> int:
    """Run psql, whose output goes past Python, and return its exit code."""
    return CliRunner().invoke(watchkeeper, ["db", "psql", "--no-psqlrc", *words], catch_exceptions=False).exit_code


@pytest.fixture
def embedded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cluster]:
    """No configured database, and a home whose cluster is there but does not run."""
    for name in [name for name in os.environ if name.startswith(("WATCHKEEPER_", "DATABASE_URL"))]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    cluster = Cluster(tmp_path / "a home+", durable=False)  # libpq reads no + as a blank, and SQLAlchemy writes one
    monkeypatch.setenv("WATCHKEEPER_HOME", str(cluster.home))
    with cluster.use():
        pass
    yield cluster
    cluster.stop()


def test_embedded_database_from_start_to_stop(embedded: Cluster, capfd: pytest.CaptureFixture[str]) -> None:
    stopped = {
        "kind": "embedded", "running": False, "pid": None, "data": str(embedded.data), "version": binaries_version(),
        "schema": None, "newest": schema.head(),
    }  # fmt: skip
    assert json.loads(db("status", "--json")) == stopped

    started, _, url = db("start").strip().partition(": ")
    command = [str(binaries() / "psql"), url, "-Atc", "SELECT current_database()"]
    assert (started, subprocess.check_output(command, text=True)) == ("running", "watchkeeper\n")
    running = stopped | {"running": True, "pid": embedded.status().pid}
    assert json.loads(db("status", "--json")) == running

    for _ in range(2):
        assert db("upgrade") == f"schema {schema.head()}\n"
    assert json.loads(db("status", "--json")) == running | {"schema": schema.head()}

    assert psql("-Atc", "SELECT count(*) FROM usage_events") == 0
    assert capfd.readouterr().out == "0\n"

    assert embedded.status().pid == running["pid"]  # no command stopped what was asked to stay
    assert db("stop") == "stopped\n"
    assert json.loads(db("status", "--json")) == stopped
    assert db("stop") == "it was not running\n"


def test_status_for_people_says_unknown_where_there_is_nothing(embedded: Cluster) -> None:
    lines = dict(line.split(maxsplit=1) for line in db("status").splitlines())
    shown = [lines[name] for name in ("kind", "running", "pid", "schema")]
    assert shown == ["embedded", "False", "unknown", "unknown"]


def test_status_of_a_configured_database(settings: Settings) -> None:
    expected = {"kind": "DATABASE_URL", "running": True, "schema": schema.head(), "newest": schema.head()}
    assert json.loads(db("status", "--json")) == expected


@pytest.mark.parametrize("word", ["start", "stop"])
def test_configured_database_is_not_ours_to(word: str, settings: Settings) -> None:
    with pytest.raises(InvalidValue, match="unset: this starts and stops only the embedded Postgres"):
        db(word)


def test_psql_ends_with_the_exit_code_of_psql(settings: Settings, capfd: pytest.CaptureFixture[str]) -> None:
    assert psql("-c", "SELECT nonsense") == 1
    assert 'column "nonsense" does not exist' in capfd.readouterr().err


@pytest.mark.skipif(not shutil.which("ps"), reason="no ps to see command lines with")
def test_psql_keeps_the_password_off_the_command_line(
    settings: Settings, database_url: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    url = sa.make_url(database_url)
    monkeypatch.setenv("DATABASE_URL", url.set(password=url.password or HIDDEN).render_as_string(hide_password=False))
    assert psql("-c", "\\! echo $PGPASSWORD; ps -ww -o args= -p $PPID") == 0
    password, line = capfd.readouterr().out.splitlines()
    assert password == (url.password or HIDDEN)
    assert url.database
    assert url.database in line
    assert password not in line


def test_storage_for_people_and_for_machines(settings: Settings, engine: sa.Engine) -> None:
    shown = [line.rstrip() for line in db("storage").splitlines()]
    names = [line[:30].rstrip() for line in shown]
    assert names[:2] == ["oldest day of events", "dropped before"]
    assert shown[-1] == "disk full on                  no day: fewer than 10,000 events in the last 7 days"
    found = json.loads(db("storage", "--json"))
    assert (found["partitions"], found["oldest_day"], found["bytes_per_event"], found["warning"]) == (
        0,
        None,
        None,
        None,
    )
    assert found["database_bytes"] > 0


def test_storage_warns_of_too_many_partitions(settings: Settings, engine: sa.Engine) -> None:
    first = date(2025, 1, 1)
    ensure_partitions(engine, [first + timedelta(days=number) for number in range(401)])
    shown = db("storage")
    assert "partitions                    401 of at most 400\n" in shown
    assert shown.splitlines()[-1].endswith("set storage.keep_events_days")
    assert json.loads(db("storage", "--json"))["oldest_day"] == "2025-01-01"
