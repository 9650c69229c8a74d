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
    assert "; line 5, query: 'How long?' is not its own: line 1 has it; line 6, field: 'k' is not one of" in told
    assert not caught.value.retryable


TWICE: dict[str, tuple[tuple[str, ...], str]] = {
    "a question of two names": (
        ('{"item_id": "a", "query": "Why?"}', '{"item_id": "b", "query": "Why?"}'),
        "line 2, query: 'Why.' is not its own: line 1 has it",
    ),
    "a name of two questions": (
        ('{"item_id": "a", "query": "Why?"}', '{"item_id": "a", "query": "How?"}'),
        "line 2, item_id: 'a' is not its own: line 1 has it",
    ),
    "a field": (
        ('{"query": "Why?"}', '{"query": "How?", "reference": "a", "reference": "b"}'),
        r"line 2, reference: \['a', 'b'\] is not given once in an object",
    ),
    "a document of an object": (
        ('{"query": "Why?", "expected": {"d": 2, "e": 1, "d": 0}}',),
        r"line 1, d: \[2, 0\] is not given once in an object",
    ),
    "a document of a list": (
        ('{"query": "Why?", "expected": ["d", "d"]}',), "line 1, expected: 'd' is not named once"
    ),
}  # fmt: skip


@pytest.mark.parametrize(("lines", "reason"), TWICE.values(), ids=TWICE)
def test_what_is_there_twice_is_refused(tmp_path: Path, lines: tuple[str, ...], reason: str) -> None:
    with pytest.raises(Incomplete, match=f"1 of {len(lines)} failed: {reason}"):
        read_golden_set("faq", write(tmp_path / "golden.jsonl", "\n".join(lines)))


def test_file_of_windows_is_read(tmp_path: Path) -> None:
    for name, text in (("golden.jsonl", JSONL), ("golden.csv", CSV)):
        ours = read_golden_set("faq", write(tmp_path / name, text))
        theirs = read_golden_set("faq", write(tmp_path / name, "\ufeff" + text.replace("\n", "\r\n")))
        assert [item.expected for item in theirs] == [item.expected for item in ours]
        assert [item.query.replace("\r\n", "\n") for item in theirs] == [item.query for item in ours]


COLUMNS: dict[str, tuple[str, str]] = {
    "a column that is none": ("query,notes\nWhy?,old\n", "line 2, field: 'notes' is not one of item_id, query"),
    "no question": ("item_id,reference\na,b\n", "line 2, query: None is not a non-empty text"),
    "a cell too many": ("query,reference\nWhy?,a,b\n", "line 2, line: 'Why.,a,b' is not a row of at most 2 cells"),
    "no number": ("query,expected\nWhy?,d=nan\n", "line 2, expected.d: 'nan' is not a whole relevance"),
    "an open quote": ('query,reference\n"Why?,a\n', "line 2, line: .* is not one CSV record"),
    "a question without end": (f"query\n{'x' * 10_000_000}\n", "line 2, query: 'x{198}… is not a text of at most"),
}


@pytest.mark.parametrize(("text", "reason"), COLUMNS.values(), ids=COLUMNS)
def test_row_of_a_csv_that_is_no_item_is_refused(tmp_path: Path, text: str, reason: str) -> None:
    with pytest.raises(Incomplete, match=f"1 of 1 failed: {reason}"):
        read_golden_set("faq", write(tmp_path / "golden.csv", text))


def test_row_without_its_last_cells_is_an_item(tmp_path: Path) -> None:
    (item,) = read_golden_set("faq", write(tmp_path / "golden.csv", "query,reference,tags\nWhy?\n"))
    assert (item.query, item.reference, item.tags) == ("Why?", None, {})


def test_header_that_names_a_column_twice_is_told_with_its_file(tmp_path: Path) -> None:
    address = write(tmp_path / "golden.csv", "query,query\nWhy?,How?\n")
    with pytest.raises(InvalidValue, match=f"header of {address}: 'query' is not a row that names each column once"):
        read_golden_set("faq", address)


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
