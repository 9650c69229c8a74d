from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ops.errors import InvalidValue
from tasks import csv_records
from tasks.csv_records import cells_of, last_record_end, last_record_start, record_sizes

SIZES = {
    "without quotes one line each": (b"a,1\nb,2", None),
    "of quotes that close one line each": (b'"a",1\n"b",2\n', [1, 1, 1]),
    "of a cell over two lines two": (b'x\n"a\nb",1\ny', [1, 2, 1]),
    "of two cells over two lines each three": (b'"a\nb","c\nd"\ny', [3, 1]),
    "at the end of the block": (b'x\n"a\n\nb",1', [1, 3]),
    "of a quote in a quoted cell one": (b'"5"" disk"\nx', [1, 1]),
    "between inch marks one line each": (b'5" disk\nx\n7" disk\ny', [1, 1, 1, 1]),
    "behind an inch mark what it is without it": (b'5" disk\nx\n"a\nb"\ny', [1, 1, 2, 1]),
    "of a quote that never closes one": (b'"a\nx\ny', [1, 1, 1]),
}


@pytest.mark.parametrize(("raw", "sizes"), SIZES.values(), ids=SIZES)
def test_size_of_a_record_is(raw: bytes, sizes: list[int] | None) -> None:
    assert record_sizes(raw) == sizes


ENDS = {
    "one line": (b"a\n", 1, 2),
    "one without its newline": (b"a", -1, 0),
    "nothing": (b"", -1, 0),
    "a cell over two lines": (b'"a\nb"\n', 5, 6),
    "one that lacks its newline": (b'x\n"a\nb"', 1, 2),
    "one that lacks its quote": (b'x\n"a\nb\n', 1, 7),
    "inch marks": (b'5" x\ny\n7" z\n', 11, 12),
    "a quote that another does not close": (b'"x\ny\n"z\nw\n', 4, 10),
}


@pytest.mark.parametrize(("raw", "last", "start"), ENDS.values(), ids=ENDS)
def test_last_record_ends_and_begins_in(raw: bytes, last: int, start: int) -> None:
    assert (last_record_end(raw), last_record_start(raw)) == (last, start)


def test_record_over_the_limit_of_bytes_or_lines_is_one_line_each(monkeypatch: pytest.MonkeyPatch) -> None:
    fits, lacks_its_end = b'"1234\n678"\n', b'"1234\n678\n'
    monkeypatch.setattr(csv_records, "RECORD_BYTES", 10)
    assert (record_sizes(fits), last_record_end(fits), last_record_end(lacks_its_end)) == ([2, 1], 10, -1)
    monkeypatch.setattr(csv_records, "RECORD_BYTES", 9)
    assert (record_sizes(fits), last_record_end(fits), last_record_end(lacks_its_end)) == ([1, 1, 1], 10, 9)
    monkeypatch.undo()
    monkeypatch.setattr(csv_records, "RECORD_LINES", 1)
    assert (record_sizes(fits), last_record_end(lacks_its_end)) == ([1, 1, 1], 9)


LINES = st.lists(
    st.sampled_from([b"a", b'"a', b'b"', b'5" x', b'"q"', b'x,"', b'",y', b'5","', b'a",5","c', b"", b'"']), max_size=9
)


@given(LINES, st.data())
def test_records_do_not_depend_on_where_a_file_is_cut(lines: list[bytes], data: st.DataObject) -> None:
    raw = b"\n".join(lines)
    cut = last_record_end(raw[: data.draw(st.integers(0, len(raw)))])
    whole = record_sizes(raw) or [1] * (raw.count(b"\n") + 1)
    parts = [raw[:cut], raw[cut + 1 :]] if cut >= 0 else [raw]
    assert [size for part in parts for size in record_sizes(part) or [1] * (part.count(b"\n") + 1)] == whole
    assert sum(whole) == raw.count(b"\n") + 1


@pytest.mark.parametrize("raw", [b'"open', b'"a"b', b"\xff", b"a\nb"])
def test_what_is_not_one_record_is_refused(raw: bytes) -> None:
    with pytest.raises(InvalidValue, match=r"line: .* is not one CSV record"):
        cells_of(raw)
