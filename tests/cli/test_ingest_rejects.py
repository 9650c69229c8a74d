"""The rows that were no events, for people and for machines."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
import yaml
from click.testing import CliRunner, Result

from cli.main import watchkeeper
from ops.errors import InvalidValue
from tasks.settings import Settings
from tasks.stores.tables import prompt_texts, usage_events

TRACE = "timestamp,input_tokens\n2026-03-02T12:00:00,1\n2026-03-02T13:00:00,22\n"
MAPPING = ("--map", "occurred_at=timestamp", "--set", "vendor=openai,model=gpt-4o")
COUNTS = ("tried", "inserted", "duplicates", "rejected", "cut")


@pytest.fixture(autouse=True)
def _place(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """The settings' environment and working folder, and a wide terminal."""
    monkeypatch.setenv("COLUMNS", "300")


def call(*arguments: str) -> Result:
    return CliRunner().invoke(watchkeeper, ["ingest", *arguments])


def load(content: str, *options: str, name: str = "trace.csv") -> dict[str, Any]:
    Path(name).write_text(content)
    found: dict[str, Any] = json.loads(call(name, *options, "--json").stdout)
    return found


def listed(*arguments: str) -> dict[str, Any]:
    result = call("rejects", "list", "--json", *arguments)
    assert result.exit_code == 0, result.output
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def retried(*arguments: str) -> tuple[int, ...]:
    result = call("rejects", "retry", "--json", *arguments)
    found = json.loads(result.stdout)
    assert result.exit_code == (1 if found["tried"] == found["rejected"] > 0 else 0), result.output
    return tuple(found[name] for name in COUNTS)


def ids(engine: sa.Engine) -> list[str]:
    with engine.connect() as connection:
        return sorted(connection.execute(sa.select(usage_events.c.event_id)).scalars())


def test_no_reject_is_said_in_one_line() -> None:
    assert call("rejects", "list").stdout == "no row is rejected\n"
    assert listed() == {"total": 0, "rejects": []}
    assert retried() == (0, 0, 0, 0, 0)


def test_rejects_are_listed_with_their_place_and_reason() -> None:
    load(TRACE, *MAPPING)
    title, header, *rows = call("rejects", "list").stdout.splitlines()
    assert title.rstrip() == "Rejected rows (2 of 2)"
    assert header.split() == ["Source", "Place", "Position", "Reason", "Row"]
    assert rows[0].split()[:3] == ["manual", "trace.csv", "2"]
    assert "not a time with a zone" in rows[0]
    assert rows[0].rstrip().endswith("2026-03-02T12:00:00,1")


def test_rejects_are_listed_whole_for_machines() -> None:
    load(TRACE, *MAPPING)
    found = listed("--limit", "1")
    assert (found["total"], len(found["rejects"])) == (2, 1)
    [reject] = found["rejects"]
    assert (reject["source"], reject["kind"], reject["position"], reject["field"]) == (
        "manual",
        "csv",
        2,
        "occurred_at",
    )
    assert (reject["raw"], reject["header"], reject["cut"]) == (
        "2026-03-02T12:00:00,1",
        "timestamp,input_tokens",
        False,
    )


def test_rejects_of_one_source_are_listed() -> None:
    load(TRACE, *MAPPING)
    load("no json\n", "--source", "gateway", name="log.jsonl")
    assert [reject["source"] for reject in listed("--source", "gateway")["rejects"]] == ["gateway"]


def test_row_steers_no_terminal_that_shows_it_as_json_and_comes_out_whole() -> None:
    load("\x9b2J\x85\x1b\u202eevil\n", name="log.jsonl")
    said = call("rejects", "list", "--json").stdout
    assert not [char for char in said if not char.isprintable() and char != "\n"]
    assert json.loads(said)["rejects"][0]["raw"] == "\x9b2J\x85\x1b\u202eevil"


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        pytest.param("\x9b2J\x85evil", "2Jevil", id="nor do C1 controls"),
        pytest.param("\x1b[2J[red]evil[/red]", "[2J[red]evil[/red]", id="what would steer the terminal is left out"),
        pytest.param("x" * 100, "x" * 59 + "…", id="a long row is cut"),
    ],
)
def test_row_is_shown_harmlessly(line: str, shown: str) -> None:
    load(f"{line}\n", name="log.jsonl")
    text = call("rejects", "list").stdout
    assert not [char for char in text if not char.isprintable() and char != "\n"]
    assert text.splitlines()[-1].rstrip().endswith(shown)


def test_rejects_of_a_file_by_hand_are_tried_with_options_and_found_in_it_again(engine: sa.Engine) -> None:
    assert load(TRACE, *MAPPING)["rejected"] == 2
    assert retried(*MAPPING) == (2, 0, 0, 2, 0)
    assert retried(*MAPPING, "--timezone", "UTC") == (2, 2, 0, 0, 0)
    assert len(ids(engine)) == 2
    again = load(TRACE, *MAPPING, "--timezone", "UTC")
    assert (again["inserted"], again["duplicates"]) == (0, 2)
    assert listed()["total"] == 0


def test_rejects_of_a_configured_source_are_tried_with_its_settings(engine: sa.Engine) -> None:
    load(TRACE, *MAPPING, "--source", "trace")
    source = {"name": "trace", "kind": "csv", "path": "trace.csv", "columns": {"occurred_at": "timestamp"}}
    fixed = {"values": {"vendor": "openai", "model": "gpt-4o"}, "timezone": "UTC"}
    Path("watchkeeper.yaml").write_text(yaml.safe_dump({"sources": [{**source, **fixed}]}))
    assert retried("--source", "trace") == (2, 2, 0, 0, 0)
    assert len(ids(engine)) == 2


def test_people_read_what_became_of_rejects() -> None:
    load(TRACE + "2026-03-02T14:00:00,-1\n", *MAPPING)
    result = call("rejects", "retry", *MAPPING, "--timezone", "UTC")
    first, second = result.stdout.splitlines()
    assert (first, result.exit_code) == ("3 tried, 2 inserted, 0 duplicates, 1 still rejected", 0)
    assert second.startswith("the first in trace.csv, 4: input_tokens: ")
    assert call("rejects", "retry", *MAPPING, "--timezone", "UTC").exit_code == 1


def test_people_read_how_many_are_not_kept_whole() -> None:
    Path("trace.csv").write_bytes(TRACE.encode().replace(b",22", b",\xff"))
    call("trace.csv", *MAPPING)
    result = call("rejects", "retry", *MAPPING, "--timezone", "UTC")
    assert result.stdout == "1 tried, 1 inserted, 0 duplicates, 0 still rejected, 1 not kept whole\n"


def test_prompts_of_rejects_are_kept_when_the_settings_ask_for_it(
    engine: sa.Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WATCHKEEPER_WARMING__STORE_TEXTS", "1")
    load(
        '{"occurred_at":"2026-03-02T12:00:00","prompt_text":"how?"}\n', "--set", "vendor=openai,model=m", name="l.jsonl"
    )
    retried("--set", "vendor=openai,model=m", "--timezone", "UTC")
    with engine.connect() as connection:
        assert connection.execute(sa.select(prompt_texts.c.text)).scalars().all() == ["how?"]


@pytest.mark.parametrize(
    ("options", "line"),
    [
        pytest.param(("--timezone", "Berlin"), "--timezone: 'Berlin' is not right", id="a zone that is none"),
        pytest.param(("--map", "a"), "--map: 'a' is not FIELD=COLUMN", id="a mapping that is none"),
    ],
)
def test_wrong_option_is_refused_before_anything_is_tried(options: tuple[str, ...], line: str) -> None:
    load(TRACE, *MAPPING)
    before = listed()
    error = call("rejects", "retry", *options).exception
    assert isinstance(error, InvalidValue)
    assert line in str(error)
    assert listed() == before


@pytest.mark.parametrize("command", ["list", "retry"])
def test_source_that_nobody_knows_is_wrong_usage(command: str) -> None:
    none = "--source: 'nosuch' is not configured, and never told anything; known are: none"
    assert str(call("rejects", command, "--source", "nosuch").exception) == none
    load(TRACE)
    result = call("rejects", command, "--source", "nosuch")
    assert isinstance(result.exception, InvalidValue)
    assert str(result.exception) == none.replace("none", "manual")
    assert call("rejects", command, "--source", "manual").exit_code in {0, 1}


def test_kind_that_is_none_is_wrong_usage() -> None:
    result = call("rejects", "retry", "--kind", "nosuch")
    assert "--kind: 'nosuch' is not one of anthropic, csv," in str(result.exception)
