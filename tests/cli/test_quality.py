"""The data checks, as a person and as a script see them."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import click
import pytest
import sqlalchemy as sa
from click.testing import CliRunner, Result

from cli.main import watchkeeper
from tasks.settings import Settings
from tests.hand_made import event, load

NOW = datetime.now(UTC)
HOUR = timedelta(hours=1)


@pytest.fixture(autouse=True)
def _place(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")


def quality(*words: str) -> Result:
    return CliRunner().invoke(watchkeeper, ["quality", *words], catch_exceptions=False)


def test_check_that_passes_succeeds(engine: sa.Engine) -> None:
    load(engine, [event(HOUR, now=NOW)])
    result = quality("check", "--suite", "rollups")
    assert result.exit_code == 0
    assert "passed   critical  rollups  vendor is known" in result.stdout
    assert result.stdout.endswith(" checks passed\n")


def test_check_that_fails_critically_exits_with_1(engine: sa.Engine) -> None:
    load(engine, [event(HOUR, now=NOW, event_id="twice"), event(2 * HOUR, now=NOW, event_id="twice")])
    result = quality("check", "--suite", "events", "--json")
    document = json.loads(result.stdout)
    failed = [check for check in document["checks"] if check["outcome"] == "failed"]
    assert result.exit_code == 1
    assert [(check["suite"], check["name"], check["detail"]) for check in failed] == [
        ("events", "an event is stored once", "2 rows break it")
    ]


def test_check_of_a_past_day_looks_at_that(engine: sa.Engine) -> None:
    load(engine, [event(timedelta(0), now=datetime(2026, 3, 4, 12, tzinfo=UTC), event_id="twice") for _ in range(1)])
    load(engine, [event(timedelta(0), now=datetime(2026, 3, 4, 13, tzinfo=UTC), event_id="twice")])
    assert quality("check", "--suite", "events", "--as-of", "2026-03-05").exit_code == 1
    assert quality("check", "--suite", "events", "--as-of", "2026-03-06").exit_code == 0


def test_docs_are_written_and_opened(
    engine: sa.Engine, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []
    monkeypatch.setattr(click, "launch", opened.append)
    result = quality("docs", "--to", "site", "--open")
    index = tmp_path / "site" / "index.html"
    assert result.exit_code == 0
    assert result.stdout.startswith(f"{index}: ")
    assert "traffic" in index.read_text()
    assert opened == [str(index)]
