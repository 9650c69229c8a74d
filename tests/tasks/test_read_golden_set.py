from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from ops.errors import Incomplete, InvalidValue, NotFound
from tasks import read_golden_set as module
from tasks import read_lines
from tasks.plan_evaluations import _OUR_PROBES
from tasks.read_golden_set import read_golden_set

JSONL = (
    '{"item_id": "a", "query": "How long?", "expected": {"doc-1": 2}, "tags": {"language": "en"}}\n{"query": "Why?"}'
)
CSV = (
    "item_id,query,expected,reference,tags\n"
    "a,How long?,doc-1=2;doc-9,,language=en\n"
    '"b","Which plans,\nand why?",,Business,\n'
)


def write(file: Path, text: str) -> str:
    file.write_bytes(gzip.compress(text.encode()) if file.suffix == ".gz" else text.encode())
    return str(file)


@pytest.mark.parametrize("name", ["golden.jsonl", "golden.jsonl.gz"])
def test_json_lines_are_read_with_a_last_line_that_has_no_end(tmp_path: Path, name: str) -> None:
    first, second = read_golden_set("faq", write(tmp_path / name, JSONL))
    assert (first.item_id, first.expected, first.tags) == ("a", {"doc-1": 2}, {"language": "en"})
    assert second.query == "Why?"


def test_csv_is_read_by_its_header(tmp_path: Path) -> None:
    first, second = read_golden_set("faq", write(tmp_path / "golden.csv", CSV))
    assert (first.expected, first.reference, first.tags) == ({"doc-1": 2, "doc-9": 1}, None, {"language": "en"})
    assert (second.query, second.reference) == ("Which plans,\nand why?", "Business")


def test_every_wrong_line_is_named_and_nothing_is_read(tmp_path: Path) -> None:
    lines = (
        '{"query": "How long?"}',
        "{half",
        "",
        '{"query": ""}',
        '{"query": "How long?"}',
        '{"query": "Why?", "k": 3}',
    )
    address = write(tmp_path / "golden.jsonl", "\n".join(lines))
    with pytest.raises(Incomplete) as caught:
        read_golden_set("faq", address)
    told = str(caught.value)
    assert told.startswith(f"golden set faq ({address}): 4 of 5 failed: line 2, line: '{{half' is not JSON")
    assert "; line 4, query: '' is not a non-empty text; " in told
    assert "line 5, item_id: " in told
    assert "is not its own: line 1 has it; line 6, field: 'k' is not one of" in told
    assert not caught.value.retryable


def test_csv_names_the_line_where_a_record_begins(tmp_path: Path) -> None:
    with pytest.raises(Incomplete, match=r"line 5, expected.doc-1: 1001 is not a whole relevance"):
        read_golden_set("faq", write(tmp_path / "golden.csv", CSV + "c,Who?,doc-1=1001,,\n"))


def test_line_that_is_too_long_is_not_read_in_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(read_lines, "BLOCK_BYTES", 1000)
    monkeypatch.setattr(read_lines, "MAX_LINE_BYTES", 2000)
    text = f"query,reference\nHow long?,35 days\nWhy?,{'x' * 5000}\n"
    with pytest.raises(Incomplete, match=r"1 of 2 failed: line 3, line: 'Why.,x{55}' is not at most"):
        read_golden_set("faq", write(tmp_path / "golden.csv", text))


@pytest.mark.parametrize("text", ["", "\n", "item_id,query\n"], ids=["nothing", "a blank line", "a header"])
def test_file_without_items_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(InvalidValue, match=r"golden set faq: .* is not a file with items"):
        read_golden_set("faq", write(tmp_path / "golden.csv", text))


def test_file_with_too_many_items_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_ITEMS", 1)
    with pytest.raises(InvalidValue, match=r"golden set faq: .* is not of at most 1 items"):
        read_golden_set("faq", write(tmp_path / "golden.jsonl", JSONL))


def test_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match=r"nowhere\.jsonl"):
        read_golden_set("faq", str(tmp_path / "nowhere.jsonl"))


def test_probe_without_an_answer_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Incomplete, match="line 1, answer: None is not there: a probe is judged as it is"):
        read_golden_set("probes", write(tmp_path / "golden.jsonl", JSONL), answered=True)


def test_probes_that_we_bring_are_right() -> None:
    assert len(read_golden_set("probes", str(_OUR_PROBES), answered=True)) == 12
