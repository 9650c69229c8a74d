from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from ops.window import Window
from tasks.find_kind import find_kind
from tasks.log_file import LogFile
from tasks.simulate_traffic import simulate
from tasks.simulator import Traffic

PAYLOAD: dict[str, Any] = {"id": "a", "startTime": 1772452800, "model": "gpt-4o", "status": "success"}
ROW: dict[str, Any] = {"request_id": "a", "startTime": "2026-03-02T12:00:00Z", "model": "gpt-4o", "metadata": {"id": 1}}
SCORE = {"score_id": "s", "occurred_at": "2026-03-02T12:00:00Z", "metric": "thumb", "value": 1, "source": "user"}
EVENT = {"occurred_at": "2026-03-02T12:00:00Z", "vendor": "openai", "model": "gpt-4o"}


@pytest.fixture
def kind(tmp_path: Path):
    def found(content: str | bytes, name: str = "log.jsonl", *, is_mapped: bool = False) -> tuple[str, bool]:
        path = tmp_path / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        kind = find_kind(LogFile(str(path)), is_mapped=is_mapped)
        return kind.kind, bool(kind.keys)

    return found


CERTAIN = {
    "a payload": (PAYLOAD, "litellm"),
    "a row of LiteLLM's table": (ROW, "litellm_rows"),
    "a score": (SCORE, "scores"),
    "an event with our own fields": (EVENT, "jsonl"),
    "spans": ({"resourceSpans": []}, "otel"),
    "log records": ({"resourceLogs": []}, "otel"),
    "spans and log records": ({"resourceSpans": [], "resourceLogs": []}, "otel"),
}


@pytest.mark.parametrize(("record", "expected"), CERTAIN.values(), ids=CERTAIN)
def test_record_is_certainly(record: dict[str, Any], expected: str, kind) -> None:
    assert kind(json.dumps(record) + "\n{}\n") == (expected, True)
    assert kind("\n" + json.dumps(record)) == (expected, True)


UNCERTAIN = {
    "a record of two kinds": json.dumps({**PAYLOAD, **ROW}),
    "a row without its model": json.dumps({key: ROW[key] for key in ROW if key != "model"}),
    "a record inside another": json.dumps({"row": ROW}),
    "an object of many lines": json.dumps(ROW, indent=1),
    "an array": json.dumps([ROW]),
    "no object": "12\n",
    "half an object": json.dumps(ROW)[:-1],
    "no UTF-8": b'{"request_id":"\xff"}',
    "20,000 levels": '{"a":' + "[" * 20_000 + "]" * 20_000 + "}",
    "nothing": "",
}


@pytest.mark.parametrize("content", UNCERTAIN.values(), ids=UNCERTAIN)
def test_default_is_taken_for(content: str | bytes, kind) -> None:
    assert kind(content) == ("litellm", False)


def test_default_is_taken_for_a_file_that_cannot_be_read(kind, tmp_path: Path) -> None:
    assert kind("no gzip", "log.jsonl.gz") == ("litellm", False)
    assert find_kind(LogFile(str(tmp_path / "gone.jsonl")), is_mapped=False).kind == "litellm"


def test_name_goes_before_a_mapping_and_a_mapping_before_the_record(kind) -> None:
    row = json.dumps(ROW)
    assert kind(row, "log.csv.gz") == kind(row, "log.csv", is_mapped=True) == ("csv", False)
    assert kind(row, "log.parquet") == ("parquet", False)
    assert kind(row, is_mapped=True) == ("jsonl", False)


def test_files_of_the_simulator_are_recognised(tmp_path: Path) -> None:
    start = datetime(2025, 11, 3, 9, tzinfo=UTC)
    written = simulate(Traffic(seed=7, requests_per_hour=200), Window(start, start + timedelta(hours=1)), tmp_path)
    found = [find_kind(LogFile(str(path)), is_mapped=False).kind for path in (written.usage, written.scores)]
    assert found == ["litellm", "scores"]


def test_real_logs_are_recognised(shared_data: Path) -> None:
    files = {
        "litellm/spend_logs_rows.jsonl": "litellm_rows",
        "litellm/standard_logging_payload.jsonl": "litellm",
        "otlp_genai_span.jsonl": "otel",
    }
    for name, expected in files.items():
        assert find_kind(LogFile(str(shared_data / name)), is_mapped=False).kind == expected
