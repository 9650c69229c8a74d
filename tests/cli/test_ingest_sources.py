"""How every source is doing, for people and for machines."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
import yaml
from click.testing import CliRunner, Result

from cli.main import watchkeeper
from tasks.settings import Settings, Source
from tasks.stores import ingest, source_states

MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)


def sources(*arguments: str) -> Result:
    result = CliRunner().invoke(watchkeeper, ["ingest", "sources", *arguments])
    assert result.exit_code == 0, result.output
    return result


def shown() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(sources("--json").stdout)
    return found


def configure(*names: str) -> None:
    Path("watchkeeper.yaml").write_text(yaml.safe_dump({"sources": [{"name": name, "path": "log"} for name in names]}))


def watched(engine: sa.Engine, *names: str, since: timedelta = DAY) -> None:
    with engine.begin() as connection:
        found = [Source(name=name, path="log") for name in names]
        source_states.watch(connection, "default", found, datetime.now(UTC) - since)


def loaded(engine: sa.Engine, name: str, before: timedelta, newest: timedelta | None = None) -> None:
    now = datetime.now(UTC)
    with engine.begin() as connection:
        ingest.record_success(connection, "default", name, "litellm", now - before, found_new=newest is not None)
        if newest is not None:
            source_states.see(connection, "default", name, now - newest)


def failed(engine: sa.Engine, name: str, error: str) -> None:
    with engine.begin() as connection:
        ingest.record_failure(connection, "default", name, "litellm", datetime.now(UTC), error)


@pytest.fixture(autouse=True)
def _place(settings: Settings) -> None:
    """The settings' environment and working folder."""


def test_no_source_at_all_is_said_in_one_line() -> None:
    assert sources().stdout == "no source is configured: see `sources` in the settings\n"
    assert shown() == []


def test_each_state_is_named(engine: sa.Engine) -> None:
    names = ("fine", "failing", "silent", "new", "broken")
    configure(*names, "untried")
    watched(engine, *names, since=30 * MINUTE)
    watched(engine, *names, "gone", since=30 * MINUTE)
    watched(engine, *names)
    for name, before in (("fine", MINUTE), ("failing", 5 * MINUTE), ("gone", DAY)):
        loaded(engine, name, before)
    with engine.begin() as connection:
        connection.execute(sa.text("UPDATE watchkeeper.ingest_sources SET first_tried_at = now() - interval '2 h' "
                                   "WHERE source = 'silent'"))  # fmt: skip
    for name in ("failing", "silent", "broken"):
        failed(engine, name, f"{name} is away")
    rows = shown()
    assert [(row["source"], row["state"], row["failures"], row["last_error"]) for row in rows] == [
        ("fine", "loaded", 0, None),
        ("failing", "failing", 1, "failing is away"),
        ("silent", "silent", 1, "silent is away"),
        ("new", "never loaded", 0, None),
        ("broken", "failing", 1, "broken is away"),
        ("untried", "never loaded", 0, None),
        ("gone", "not configured", 0, None),
    ]
    assert {row["kind"] for row in rows} == {"litellm"}


def test_lag_is_the_age_of_the_newest_event(engine: sa.Engine) -> None:
    configure("a", "b")
    watched(engine, "a", "b")
    loaded(engine, "a", MINUTE, 3 * HOUR)
    first, second = shown()
    assert 3 * 3600 <= first["lag_s"] < 3 * 3600 + 60
    assert datetime.fromisoformat(first["newest_event_at"]) <= datetime.now(UTC) - 3 * HOUR
    assert (second["lag_s"], second["newest_event_at"], second["last_success_at"]) == (None, None, None)


@pytest.mark.parametrize(
    ("age", "words"),
    [
        pytest.param(5 * MINUTE, "5 min", id="minutes"),
        pytest.param(119 * MINUTE, "119 min", id="up to two hours in minutes"),
        pytest.param(2 * HOUR, "2 h", id="then in hours"),
        pytest.param(47 * HOUR, "47 h", id="up to two days"),
        pytest.param(50 * HOUR, "2 d", id="then in days"),
    ],
)
def test_lag_reads_in_one_unit(age: timedelta, words: str, engine: sa.Engine) -> None:
    configure("a")
    watched(engine, "a")
    loaded(engine, "a", MINUTE, age)
    assert f" {words} " in sources().stdout


def test_people_see_a_table_that_no_error_steers(engine: sa.Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    configure("gateway")
    watched(engine, "gateway")
    failed(engine, "gateway", "\x1b[2Jgone [red]x[/red]")
    title, header, row = (line.rstrip() for line in sources().stdout.splitlines())
    assert title == "Sources"
    assert header.split() == [
        "Source", "Kind", "State", "Loaded", "(UTC)", "Newest", "event", "(UTC)", "Lag", "Failures", "Last", "error",
    ]  # fmt: skip
    assert row.split() == ["gateway", "litellm", "silent", "1", "[2Jgone", "[red]x[/red]"]


def test_other_tenants_sources_are_not_shown(engine: sa.Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    watched(engine, "gateway")
    monkeypatch.setenv("WATCHKEEPER_TENANT", "acme")
    assert shown() == []
