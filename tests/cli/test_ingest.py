from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from click.testing import CliRunner, Result

from cli.main import watchkeeper
from ops.errors import InvalidValue, NotFound, Unavailable
from tasks.settings import Settings
from tasks.stores.tables import ingest_files, prompt_texts, usage_events

PAYLOAD = b'{"id":"%s","startTime":1772452800,"model":"%s","custom_llm_provider":"openai","status":"success"}\n'
KNOWN, UNKNOWN, BAD = PAYLOAD % (b"a", b"gpt-4o"), PAYLOAD % (b"b", b"mystery-1"), b"no payload\n"
TRACE = b"timestamp,input_tokens,output_tokens\n2026-03-02T12:00:00,1,2\n2026-03-02T13:00:00,3,4\n"
MAPPING = ("--map", "occurred_at=timestamp", "--timezone", "UTC", "--set", "vendor=openai", "--set", "model=gpt-4o")


@pytest.fixture(autouse=True)
def _place(settings: Settings) -> None:
    """The settings' environment and working folder."""


def ingest(*arguments: str) -> Result:
    return CliRunner().invoke(watchkeeper, ["ingest", *arguments])


def done(*arguments: str) -> dict[str, Any]:
    result = ingest(*arguments, "--json")
    found: dict[str, Any] = json.loads(result.stdout)
    assert result.exit_code == (1 if found["rejected"] == found["read"] > 0 else 0), result.output
    assert found.pop("seconds") >= 0
    assert list(found.pop("kinds")) == [word for word in arguments if Path(word).exists()]
    assert (found.pop("first_reject") is None) == (found["rejected"] == 0)
    return found


def written(content: bytes, name: str = "log.jsonl") -> str:
    Path(name).write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
    return name


def values(engine: sa.Engine, *columns: sa.Column[Any]) -> list[Any]:
    with engine.connect() as connection:
        return sorted(tuple(row) for row in connection.execute(sa.select(*columns)))


def counts(read: int, inserted: int, duplicates: int, rejected: int, *unknown: str) -> dict[str, Any]:
    names = ("read", "inserted", "duplicates", "rejected", "corrected", "skipped")
    found = dict(zip(names, (read, inserted, duplicates, rejected, 0, 0), strict=True))
    return {**found, "unknown_models": list(unknown), "unused_fields": []}


def test_json_counts_what_was_read_and_kept() -> None:
    path = written(KNOWN + UNKNOWN + BAD)
    assert done(path) == counts(3, 2, 0, 1, "openai/mystery-1")
    assert done(path) == counts(3, 0, 2, 1)


def test_people_read_the_counts_the_models_without_a_price_and_where_rejects_are() -> None:
    result = ingest(written(KNOWN + UNKNOWN + BAD))
    lines = result.stdout.splitlines()
    assert lines[0].startswith("3 read, 2 inserted, 0 duplicates, 1 rejected in ")
    assert lines[1:] == [
        "no price is known for openai/mystery-1: their cost is unknown",
        f"rejected, the first in line 3: line: {BAD.decode().strip()!r} is not a LiteLLM payload (JSON is malformed: "
        "invalid character (byte 4))",
        "all are kept: watchkeeper ingest rejects list",
    ]


def test_people_read_one_line_when_all_is_well() -> None:
    assert len(ingest(written(KNOWN)).stdout.splitlines()) == 1


def test_several_files_are_counted_together() -> None:
    assert done(written(KNOWN, "1.jsonl"), written(KNOWN + UNKNOWN, "2.jsonl.gz"))["inserted"] == 2


def test_trace_in_csv_is_loaded_by_its_mapping(engine: sa.Engine) -> None:
    path = written(TRACE, "trace.csv.gz")
    assert done(path, *MAPPING) == counts(2, 2, 0, 0)
    assert done(path, *MAPPING) == counts(2, 0, 2, 0)
    assert values(engine, usage_events.c.input_tokens, usage_events.c.source) == [(1, "manual"), (3, "manual")]


def test_columns_that_no_field_uses_are_named_once_a_file_and_what_they_may_be_meant_for() -> None:
    columns = b"timestamp,input_tokens,\x1b[31m,cached_input_tokens"
    rows = b"\n2026-03-02T12:00:00,%d,x,1\n2026-03-02T13:00:00,2,x,1\n"
    written(columns + rows % 2, "1.csv")
    found = json.loads(ingest("1.csv", written(TRACE, "2.csv"), *MAPPING, "--json").stdout)
    assert found["unused_fields"] == [
        {"file": "1.csv", "fields": {"cached_input_tokens": "cached_tokens", "\x1b[31m": None}, "more": 0}
    ]
    shown = ingest("1.csv", written(columns + rows % 3, "3.csv"), *MAPPING).stdout.splitlines()
    told = "not used: 'cached_input_tokens' (is it cached_tokens? map it), '\\x1b[31m'"
    assert shown[1:] == [f"'1.csv': {told}", f"'3.csv': {told}"]


def test_several_mappings_fit_into_one_option_with_blanks(engine: sa.Engine) -> None:
    path = written(b'{"at":"2026-03-02T12:00:00Z","tokens":7}\n')
    found = done(path, "--map", "occurred_at = at, input_tokens=tokens", "--set", "vendor=openai,model=gpt-4o")
    assert found == counts(1, 1, 0, 0)
    assert values(engine, usage_events.c.input_tokens) == [(7,)]


def test_naive_times_without_a_zone_are_rejected() -> None:
    options = [option for option in MAPPING if option not in ("--timezone", "UTC")]
    assert done(written(TRACE, "trace.csv"), *options) == counts(2, 0, 0, 2)


SCORE = b'{"score_id":"s","occurred_at":"2026-03-02T12:00:00Z","metric":"thumb","value":1,"source":"user"}\n'
ROW = b'{"request_id":"r","startTime":"2026-03-02T12:00:00Z","model":"gpt-4o","cache_hit":"None"}\n'


@pytest.mark.parametrize(
    ("name", "content", "line"),
    [
        pytest.param(
            "scores.jsonl.gz", SCORE,
            "scores, for its first record has metric, occurred_at, score_id, source, value", id="scores",
        ),
        pytest.param(
            "log.jsonl", ROW, "litellm_rows, for its first record has model, request_id, startTime", id="LiteLLM's rows"
        ),
    ],
)  # fmt: skip
def test_kind_is_found_from_the_first_record_and_said(name: str, content: bytes, line: str, engine: sa.Engine) -> None:
    shown = ingest(written(content, name)).stdout.splitlines()
    assert shown[0] == f"{name}: read as {line}"
    assert shown[1].startswith("1 read, 1 inserted, 0 duplicates, 0 rejected in ")


def test_kind_that_is_given_is_not_looked_for() -> None:
    path = written(SCORE)
    assert done(path, "--kind", "litellm") == counts(1, 0, 0, 1)
    assert json.loads(ingest(path, written(ROW, "rows.jsonl"), "--json").stdout)["kinds"] == {
        path: "scores",
        "rows.jsonl": "litellm_rows",
    }


def test_source_is_named_and_resumed_where_it_ended(engine: sa.Engine) -> None:
    assert done(written(KNOWN), "--resume", "--source", "gateway") == counts(1, 1, 0, 0)
    path = written(KNOWN + UNKNOWN)
    assert done(path, "--resume", "--source", "gateway") == counts(1, 1, 0, 0, "openai/mystery-1")
    assert values(engine, ingest_files.c.source, ingest_files.c.lines) == [("gateway", 2)]


@pytest.mark.parametrize(
    ("setting", "texts"), [pytest.param("0", [], id="not by default"), pytest.param("1", [("how?",)], id="when set so")]
)
def test_prompts_are_kept(setting: str, texts: list[Any], engine: sa.Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WATCHKEEPER_WARMING__STORE_TEXTS", setting)
    done(written(KNOWN[:-2] + b',"call_type":"embedding","messages":"how?"}\n'))
    assert values(engine, prompt_texts.c.text) == texts


def test_tenant_is_that_of_the_settings(engine: sa.Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WATCHKEEPER_TENANT", "acme")
    done(written(KNOWN))
    assert values(engine, usage_events.c.tenant_id) == [("acme",)]


WRONG = {
    "an unknown kind": (("--kind", "litelm"), InvalidValue, "'litelm' is not one of anthropic, csv, .*scores"),
    "a kind that is no name": (("--kind", "lite llm"), InvalidValue, "--kind: 'lite llm' is not right"),
    "a mapping without a column": (("--map", "occurred_at"), InvalidValue, "--map: 'occurred_at' is not FIELD=COLUMN"),
    "a mapping to a blank column": (("--map", "occurred_at= "), InvalidValue, "--map: .* is not FIELD=COLUMN"),
    "a mapping without a field": (("--map", "=timestamp"), InvalidValue, "--map: '=timestamp' is not FIELD=COLUMN"),
    "a value without a field": (("--set", "openai"), InvalidValue, "--set: 'openai' is not FIELD=VALUE"),
    "a field that events do not have": (
        ("--kind", "jsonl", "--set", "vendr=openai"),
        InvalidValue,
        "--set: 'vendr' is not one of",
    ),
    "a value that its field cannot be": (
        ("--kind", "jsonl", "--set", "input_tokens=many"),
        InvalidValue,
        "--set input_tokens: 'many' is not of the right type",
    ),
    "an unknown time zone": (("--timezone", "Berlin"), InvalidValue, "--timezone: 'Berlin' is not right: .*IANA"),
    "a source that is no name": (("--source", "my source"), InvalidValue, "--source: 'my source' is not right"),
}


@pytest.mark.parametrize(("options", "error", "text"), WRONG.values(), ids=WRONG)
def test_option_is_refused_in_one_line(
    options: tuple[str, ...], error: type[Exception], text: str, engine: sa.Engine
) -> None:
    result = ingest(written(KNOWN), *options)
    assert isinstance(result.exception, error)
    with pytest.raises(error, match=text):
        raise result.exception
    assert "\n" not in str(result.exception)
    assert values(engine, usage_events.c.event_id) == []


def test_files_around_missing_ones_are_loaded_and_each_missing_one_is_told(engine: sa.Engine) -> None:
    result = ingest("none.jsonl", written(KNOWN), "gone.jsonl")
    assert isinstance(result.exception, NotFound)
    assert "gone.jsonl" in str(result.exception)
    assert result.stderr == "watchkeeper: file 'none.jsonl' not found\n"
    assert values(engine, usage_events.c.event_id) == [("a",)]


def test_folder_is_no_file() -> None:
    assert isinstance(ingest(".").exception, InvalidValue)


def test_file_is_required() -> None:
    result = ingest()
    assert result.exit_code == 2
    assert "Missing argument 'FILES...'" in result.stderr


@pytest.mark.parametrize(
    "arguments", [("--help",), ("-h",), ("log.jsonl", "--help"), ("--kind", "csv", "-h")], ids=" ".join
)
def test_help_shows_both_ways_an_example_the_options_and_the_commands(arguments: tuple[str, ...]) -> None:
    shown = ingest(*arguments).stdout
    assert "ingest [OPTIONS] FILES...\n" in shown
    assert " or: watchkeeper ingest COMMAND [ARGS]...\n" in shown
    assert "Example:" in shown
    assert all(name in shown for name in ("--map FIELD=COLUMN", "--resume", "--json", "\n  rejects ", "\n  sources "))


@pytest.mark.parametrize(
    ("arguments", "inserted"),
    [
        pytest.param(("--source", "gateway", "log.jsonl"), 1, id="options first"),
        pytest.param(("log.jsonl", "--source", "gateway"), 1, id="files first"),
        pytest.param(("./sources",), 1, id="a file that is called like a command, by its folder"),
    ],
)
def test_words_that_are_no_command_are_files(arguments: tuple[str, ...], inserted: int) -> None:
    for name in ("log.jsonl", "sources"):
        written(KNOWN, name)
    assert done(*arguments)["inserted"] == inserted


def test_word_that_is_nearly_a_command_is_a_file_that_is_missing() -> None:
    assert isinstance(ingest("sourcs").exception, NotFound)


@pytest.mark.parametrize(
    ("name", "content", "code", "line"),
    [
        pytest.param("cut.jsonl.gz", gzip.compress(KNOWN)[:-9], 1, "damaged or cut gzip", id="one for a cut gzip"),
        pytest.param("gone.jsonl", None, 2, "file 'gone.jsonl' not found", id="two for a missing file"),
    ],
)
def test_process_ends_with_one_line_and_code(name: str, content: bytes | None, code: int, line: str) -> None:
    if content is not None:
        Path(name).write_bytes(content)
    command = [sys.executable, "-m", "cli.main", "ingest", name, "--json"]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    ended = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=60)
    assert (ended.returncode, ended.stdout) == (code, "")
    [shown] = ended.stderr.splitlines()
    assert shown.startswith("watchkeeper: ")
    assert line in shown


def test_cut_gzip_is_unavailable_for_a_caller() -> None:
    Path("cut.jsonl.gz").write_bytes(gzip.compress(KNOWN)[:-9])
    assert isinstance(ingest("cut.jsonl.gz").exception, Unavailable)


def test_file_that_is_missing_does_not_hide_what_was_loaded_before_it() -> None:
    result = ingest(written(KNOWN), "nosuch.jsonl", "--json")
    assert json.loads(result.stdout)["inserted"] == 1
    assert isinstance(result.exception, NotFound)
    assert "nosuch.jsonl" in str(result.exception)
