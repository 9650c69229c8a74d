"""A configured source's past from the command line."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
import yaml
from click.testing import CliRunner, Result

from cli.main import watchkeeper
from ops.errors import InvalidValue, UnknownName
from tasks.settings import Settings
from tasks.stores.tables import usage_events

DAY = timedelta(days=1)
FIRST = datetime(2026, 3, 1, tzinfo=UTC)
SPAN = ("--from", "2026-03-02", "--to", "2026-03-04T00:00", "--source", "logs")


@pytest.fixture(autouse=True)
def _logs(settings: Settings) -> None:
    """Five logs, each of a day with one event an hour, as a configured source."""
    for day in range(5):
        at = [FIRST + day * DAY + n * timedelta(hours=1) for n in range(24)]
        rows = [{"event_id": f"{when:%d-%H}", "occurred_at": when.isoformat()} for when in at]
        Path(f"{day}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    fixed = {"vendor": "openai", "model": "gpt-4o"}
    source = {"name": "logs", "kind": "jsonl", "path": "*.jsonl", "values": fixed}
    Path("watchkeeper.yaml").write_text(yaml.safe_dump({"sources": [source]}))


def ingest(*arguments: str) -> Result:
    return CliRunner().invoke(watchkeeper, ["ingest", *arguments])


def document(*arguments: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(ingest(*SPAN, *arguments, "--json").stdout)
    return found


def days(engine: sa.Engine) -> list[str]:
    with engine.connect() as connection:
        return sorted({name[:2] for name in connection.execute(sa.select(usage_events.c.event_id)).scalars()})


def test_span_is_loaded_and_counted(engine: sa.Engine) -> None:
    found = document("--workers", "2")
    assert days(engine) == ["02", "03"]
    counts = {name: found[name] for name in ("read", "inserted", "skipped", "parts", "done_before", "failed")}
    assert counts == {"read": 48, "inserted": 48, "skipped": 72, "parts": 5, "done_before": 0, "failed": []}
    assert document()["done_before"] == 5
    assert document("--again")["duplicates"] == 48


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param(SPAN, id="in its usual order"),
        pytest.param(("--workers=1", "--source=logs", "--to=2026-03-04", "--from=2026-03-02"), id="in any order"),
    ],
)
def test_people_read_two_lines(arguments: tuple[str, ...], engine: sa.Engine) -> None:
    result = ingest(*arguments)
    assert result.exit_code == 0, result.output
    first, second = result.stdout.splitlines()
    assert first.startswith("48 read, 48 inserted, 0 duplicates, 0 rejected, 72 skipped in ")
    assert second == "5 of 5 parts, 0 done before, 0 failed"
    assert ingest(*arguments).stdout.splitlines()[1] == "0 of 5 parts, 5 done before, 0 failed"


def test_part_that_failed_is_listed_and_the_exit_code_is_one(engine: sa.Engine) -> None:
    Path("9.jsonl").write_bytes(b"")
    Path("9.jsonl").rename("9.jsonl.gz")
    Path("9.jsonl.gz").write_bytes(b"no gzip")
    settings = yaml.safe_load(Path("watchkeeper.yaml").read_text())
    settings["sources"][0]["path"] = "*.jsonl*"
    Path("watchkeeper.yaml").write_text(yaml.safe_dump(settings))
    result = ingest(*SPAN)
    assert result.exit_code == 1
    lines = result.stdout.splitlines()
    assert lines[1] == "6 of 6 parts, 0 done before, 1 failed"
    assert lines[2].startswith("9.jsonl.gz: file 9.jsonl.gz is unavailable: damaged or cut gzip")
    assert days(engine) == ["02", "03"]
    again = ingest(*SPAN, "--json")
    assert (again.exit_code, [one["part"] for one in json.loads(again.stdout)["failed"]]) == (1, ["9.jsonl.gz"])


WRONG = {
    "a source that is not configured": ({"--source": "log"}, UnknownName, "source: 'log' is not one of logs"),
    "an end before the beginning": (
        {"--to": "2026-03-01"},
        InvalidValue,
        "--to: '2026-03-01 00:00' is not after --from",
    ),
    "an empty span": ({"--to": "2026-03-02"}, InvalidValue, "--to: '2026-03-02 00:00' is not after --from"),
    "a time before there was usage": ({"--from": "1999-01-01"}, InvalidValue, "--from: '1999-01-01' is not between"),
}


@pytest.mark.parametrize(("changes", "error", "text"), WRONG.values(), ids=WRONG)
def test_span_is_refused_for(changes: dict[str, str], error: type[Exception], text: str, engine: sa.Engine) -> None:
    options = dict(zip(SPAN[::2], SPAN[1::2], strict=True)) | changes
    result = ingest(*(word for pair in options.items() for word in pair))
    assert isinstance(result.exception, error)
    assert text in str(result.exception)
    assert days(engine) == []


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        pytest.param(("--from", "2026-03-02", "--source", "logs"), "Missing option '--to'", id="no end"),
        pytest.param(("--to", "2026-03-02", "--source", "logs"), "Missing option '--from'", id="no beginning"),
        pytest.param(SPAN[:4], "Missing option '--source'", id="no source"),
        pytest.param((*SPAN, "0.jsonl"), "unexpected extra argument (0.jsonl)", id="a file beside it"),
        pytest.param((*SPAN, "--workers", "9"), "9 is not in the range 1<=x<=8", id="more workers than connections"),
    ],
)
def test_usage_is_refused_with(arguments: tuple[str, ...], complaint: str) -> None:
    result = ingest(*arguments)
    assert result.exit_code == 2
    assert complaint in result.stderr


def test_help_tells_what_becomes_of_files_and_positions() -> None:
    words = " ".join(ingest("--help").stdout.split())
    assert "ingest --from TIME --to TIME --source NAME [OPTIONS]" in words
    assert "rows outside the span are skipped, and where the next load begins stays as it is" in words
    assert all(option in words for option in ("--workers", "--again"))


def test_terminal_shows_how_far_it_is_and_how_long_it_takes(engine: sa.Engine) -> None:
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "cli.main", "ingest", *SPAN]
    named = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), "TERM": "xterm", "COLUMNS": "120"}
    process = subprocess.Popen(command, stderr=theirs, stdout=subprocess.DEVNULL, env=named)
    os.close(theirs)
    said = b""
    try:
        while part := os.read(ours, 65536):
            said += part
    except OSError:  # the other side is closed
        pass
    os.close(ours)
    assert process.wait(timeout=60) == 0
    assert b"5 of 5 parts, 48 rows" in said
    assert b"left" in said
