"""The data checks, as a person and as a script see them."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import click
import pytest
import sqlalchemy as sa
from click.testing import CliRunner, Result

from cli.main import watchkeeper
from ops.errors import InvalidValue, UnknownName
from ops.monitoring.data_quality import SUITES
from tasks.settings import Settings
from tasks.stores.tables import quality_checks
from tests.hand_made import event, insert, load, rows_of

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


def test_check_of_nothing_says_so_and_is_no_failure(engine: sa.Engine) -> None:
    result = quality("check", "--suite", "traffic")
    assert result.exit_code == 0
    assert result.stdout.count("no data  ") == len(SUITES["traffic"].checks)
    words = " ".join(result.stdout.split())
    assert "no data critical traffic events are fresh no source is watched" in words
    assert result.stdout.endswith("0 of 6 checks passed, 6 had no data\n")


def test_check_of_nothing_is_no_data_in_json(engine: sa.Engine) -> None:
    document = json.loads(quality("check", "--suite", "rollups", "--json").stdout)
    assert {(check["outcome"], check["detail"]) for check in document["checks"]} == {("no_data", "no rows")}


@pytest.mark.parametrize("folder", ["/proc/nope", "/proc", "file/site"])
def test_docs_refuse_a_folder_that_cannot_be_written(engine: sa.Engine, tmp_path: Path, folder: str) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InvalidValue, match=rf"^--to: '.*{folder}' is not a folder that can be written: \w+"):
        quality("docs", "--to", folder)
    assert rows_of(engine, quality_checks) == []


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


# What came of them before


def ran(engine: sa.Engine, *outcomes: str, name: str = "ids", suite: str = "events") -> None:
    """Keep the outcomes of hourly runs, of which the last was an hour ago."""
    rows = [
        {"suite": suite, "name": name, "as_of": NOW - (len(outcomes) - number) * HOUR, "severity": "critical",
         "outcome": outcome, "observed": f"{number} rows", "detail": None}
        for number, outcome in enumerate(outcomes)
    ]  # fmt: skip
    insert(engine, quality_checks, rows)


def lines(*words: str) -> list[list[str]]:
    return [re.split(r"  +", line.strip()) for line in quality("history", *words).stdout.splitlines()]


def test_history_shows_what_does_not_pass_first(engine: sa.Engine) -> None:
    ran(engine, "passed", "passed", "passed")
    ran(engine, "failed", "passed", "failed", name="tokens")
    ran(engine, "errored", name="silence", suite="traffic")
    ran(engine, "no_data", name="freshness", suite="traffic")
    [_, *rows] = lines()
    assert rows == [
        ["failed", f"{NOW - HOUR:%Y-%m-%d %H:%M}", "critical", "events", "tokens", "3", "2 failed, 1 passed", "2"],
        ["no data", f"{NOW - HOUR:%Y-%m-%d %H:%M}", "critical", "traffic", "freshness", "1", "1 no data", "0"],
        ["errored", f"{NOW - HOUR:%Y-%m-%d %H:%M}", "critical", "traffic", "silence", "1", "1 errored", "0"],
        ["passed", f"{NOW - 3 * HOUR:%Y-%m-%d %H:%M}", "critical", "events", "ids", "3", "3 passed", "0"],
    ]


@pytest.mark.parametrize("words", ["ids", "events/ids", "events: ids", "events"])
def test_history_of_a_check_shows_every_change(engine: sa.Engine, words: str) -> None:
    ran(engine, "passed", "failed", "failed", "passed")
    ran(engine, "passed", suite="traffic", name="silence")
    assert [row[2:] for row in lines(words)[1:]] == [
        ["passed", *2 * [f"{NOW - HOUR:%Y-%m-%d %H:%M}"], "1", "3 rows"],
        ["failed", f"{NOW - 3 * HOUR:%Y-%m-%d %H:%M}", f"{NOW - 2 * HOUR:%Y-%m-%d %H:%M}", "2", "2 rows"],
        ["passed", *2 * [f"{NOW - 4 * HOUR:%Y-%m-%d %H:%M}"], "1", "0 rows"],
    ]


def test_history_as_json_has_the_spans(engine: sa.Engine) -> None:
    ran(engine, "passed", "failed")
    [check] = json.loads(quality("history", "--json").stdout)["checks"]
    assert (check["suite"], check["check"], check["outcome"], check["outcomes"]) == (
        "events", "ids", "failed", {"passed": 1, "failed": 1},
    )  # fmt: skip
    assert [(span["outcome"], span["runs"]) for span in check["spans"]] == [("passed", 1), ("failed", 1)]


def test_history_looks_back_as_far_as_it_is_asked(engine: sa.Engine) -> None:
    ran(engine, *["passed"] * 30)
    assert lines("--days", "1")[1][5] == "23"  # the 24th ran a moment more than a day ago
    assert lines()[1][5] == "30"


def test_history_is_of_this_tenant_alone(engine: sa.Engine) -> None:
    insert(engine, quality_checks, [{"tenant_id": "other", "suite": "events", "name": "ids", "as_of": NOW - HOUR,
                                     "severity": "critical", "outcome": "failed"}])  # fmt: skip
    assert quality("history").stdout == "no data check ran in 7 days\n"


def test_history_of_an_unknown_check_lists_those_there_are(engine: sa.Engine) -> None:
    ran(engine, "passed")
    with pytest.raises(UnknownName, match="check: 'nope' is not one of events/ids"):
        quality("history", "nope")
