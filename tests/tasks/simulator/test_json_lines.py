import gzip
import json

import pytest

from tasks.simulator.json_lines import write_lines


@pytest.mark.parametrize(
    ("name", "opened"), [("rows.jsonl", open), ("rows.jsonl.gz", gzip.open)], ids=["plain", "gzipped by suffix"]
)
def test_write_lines_writes_a_row_a_line(tmp_path, name, opened):
    assert write_lines([{"a": 1}, {"b": "é"}], tmp_path / name) == 2
    with opened(tmp_path / name, "rb") as file:
        assert file.read() == b'{"a":1}\n{"b":"\xc3\xa9"}\n'


def test_write_lines_counts_nothing_as_zero(tmp_path):
    assert write_lines([], tmp_path / "none.jsonl") == 0
    assert (tmp_path / "none.jsonl").read_bytes() == b""


def test_write_lines_keeps_rows_whole_across_chunks(tmp_path):
    rows = [{"n": number, "text": "x" * 100_000} for number in range(25)]  # 2.5 MB in chunks of 1 MiB
    write_lines(rows, tmp_path / "many.jsonl")
    assert [json.loads(line) for line in (tmp_path / "many.jsonl").read_text().splitlines()] == rows


def test_write_lines_gzips_to_the_same_bytes_under_any_name(tmp_path):
    for name in ("one.jsonl.gz", "two.jsonl.gz"):
        write_lines([{"a": 1}], tmp_path / name)
    assert (tmp_path / "one.jsonl.gz").read_bytes() == (tmp_path / "two.jsonl.gz").read_bytes()
    assert (tmp_path / "one.jsonl.gz").read_bytes()[4:8] == b"\0\0\0\0"  # RFC 1952: no modification time
