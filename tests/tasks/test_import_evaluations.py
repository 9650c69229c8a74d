from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from ops.errors import InvalidValue, NotFound
from tasks.import_evaluations import Imported, import_evaluations
from tasks.log_file import LogFile
from tasks.stores.tables import evaluations
from tests.hand_made import NOW, TENANT, rows_of

GOOD = {"route": "search", "item_id": "a", "model": "openai/gpt-4o", "judge_version": "j1", "passed": True,
        "evaluated_at": "2026-03-01T12:00:00Z"}  # fmt: skip


def write(file: Path, *rows: Any) -> Path:
    text = "".join(f"{row if isinstance(row, str) else json.dumps(row)}\n" for row in rows)
    file.write_bytes(gzip.compress(text.encode()) if file.suffix == ".gz" else text.encode())
    return file


def load(engine: sa.Engine, file: Path) -> Imported:
    return import_evaluations(engine, TENANT, LogFile(str(file)), NOW)


def test_good_rows_stay_and_bad_ones_are_named(engine: sa.Engine, tmp_path: Path) -> None:
    rows = (GOOD, "{half", {**GOOD, "model": "gpt-4o"}, {"route": "search"}, [], {**GOOD, "item_id": "b", "extra": 1},
            "", {**GOOD, "item_id": "b"})  # fmt: skip
    done = load(engine, write(tmp_path / "pairs.jsonl", *rows))
    assert (done.read, done.inserted, done.corrected, done.unchanged, done.rejected) == (7, 2, 0, 1, 4)
    assert [line.split(": ")[:2] for line in done.rejects] == [
        ["line 2", "line"], ["line 3", "model"], ["line 4", "row"], ["line 5", "row"]
    ]  # fmt: skip
    assert "missing required field `item_id`" in done.rejects[2]
    assert [row.item_id for row in rows_of(engine, evaluations)] == ["a", "b"]


def test_file_imported_again_adds_nothing_and_corrects_what_is_newer(engine: sa.Engine, tmp_path: Path) -> None:
    file = tmp_path / "pairs.jsonl.gz"
    assert load(engine, write(file, GOOD)).inserted == 1
    again = load(engine, file)
    assert (again.inserted, again.corrected, again.unchanged) == (0, 0, 1)
    newer = {**GOOD, "passed": False, "evaluated_at": "2026-03-02T12:00:00+02:00"}
    assert load(engine, write(file, newer)).corrected == 1


def test_csv_is_read_by_its_header_and_an_empty_cell_is_unknown(engine: sa.Engine, tmp_path: Path) -> None:
    lines = ("route,item_id,model,judge_version,passed,evaluated_at,variant,score,cost_usd",
             "search,a,openai/gpt-4o,j1,true,2026-03-01T12:00:00Z,,,", "",
             '"sea\nrch",b,openai/gpt-4o,j1,0,2026-03-01T12:00:00Z,trimmed-4000,0.25,0.0001',
             "search,c,openai/gpt-4o,j1,perhaps,2026-03-01T12:00:00Z,,,")  # fmt: skip
    done = load(engine, write(tmp_path / "pairs.csv", *lines))
    assert (done.inserted, done.rejected) == (2, 1)
    assert done.rejects[0].startswith("line 6: row: ")
    last, first = rows_of(engine, evaluations)
    assert (first.variant, first.passed, first.score, first.cost_usd) == ("full", True, None, None)
    assert (last.route, last.variant, last.passed, last.score, float(last.cost_usd)) == (
        "sea\nrch", "trimmed-4000", False, 0.25, 0.0001,
    )  # fmt: skip


def test_line_that_is_no_csv_is_a_bad_row_and_those_beside_it_stay(engine: sa.Engine, tmp_path: Path) -> None:
    header = "route,item_id,model,judge_version,passed,evaluated_at"
    good = [f"search,{item},openai/gpt-4o,j1,true,2026-03-01T12:00:00Z" for item in "ab"]
    done = load(engine, write(tmp_path / "pairs.csv", header, good[0], 'search,"open', good[1]))
    assert (done.inserted, done.rejected) == (2, 1)
    assert done.rejects[0].startswith("line 3: line: 'search,\"open' is not one CSV record")


def test_row_of_more_cells_than_the_header_is_bad(engine: sa.Engine, tmp_path: Path) -> None:
    header = "route,item_id,model,judge_version,passed,evaluated_at"
    good = "search,a,openai/gpt-4o,j1,true,2026-03-01T12:00:00Z"
    done = load(engine, write(tmp_path / "pairs.csv", header, good, f"{good},true"))
    assert (done.inserted, done.rejected) == (1, 1)
    assert "is not a row of at most 6 cells" in done.rejects[0]


def test_column_that_is_named_twice_is_refused(engine: sa.Engine, tmp_path: Path) -> None:
    header = "route,item_id,model,judge_version,passed,evaluated_at,passed"
    with pytest.raises(InvalidValue, match=r"header of .*pairs\.csv: 'passed' is not a row that names"):
        load(engine, write(tmp_path / "pairs.csv", header, "search,a,openai/gpt-4o,j1,true,2026-03-01T12:00:00Z,false"))


def test_texts_as_long_as_a_key_allows_are_kept(engine: sa.Engine, tmp_path: Path) -> None:
    names = {name: "".join(chr(0x4E00 + (17 * number + place) % 20_000) for place in range(170))
             for number, name in enumerate(("route", "item_id", "judge_version"))}  # fmt: skip
    row = {**GOOD, **names, "model": "openai/" + "".join(chr(0x6000 + place) for place in range(168))}
    assert load(engine, write(tmp_path / "pairs.jsonl", row)).inserted == 1


def test_only_the_first_bad_rows_are_named(engine: sa.Engine, tmp_path: Path) -> None:
    done = load(engine, write(tmp_path / "pairs.jsonl", *["no"] * 30))
    assert (done.rejected, len(done.rejects)) == (30, 20)


def test_file_that_is_missing_is_an_error(engine: sa.Engine, tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        load(engine, tmp_path / "nowhere.jsonl")
