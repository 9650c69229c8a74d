from __future__ import annotations

import gzip
import hashlib
import os
import tempfile
from pathlib import Path
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ops.errors import InvalidValue, NotFound, Unavailable
from tasks import csv_records, read_lines
from tasks.log_file import LogFile
from tasks.read_lines import (
    BLOCK_BYTES,
    BLOCK_LINES,
    BOM,
    MAX_LINE_BYTES,
    Block,
    Head,
    Position,
    is_continued,
    read_blocks,
    read_head,
)

ONE, TWO = b'{"a":1}', b'{"a":2}'


@pytest.fixture
def write(tmp_path):
    def written(content: bytes, name: str = "log.jsonl") -> LogFile:
        path = tmp_path / name
        path.write_bytes(gzip.compress(content, 1) if path.suffix == ".gz" else content)
        return LogFile(str(path))

    return written


def head(identity: bytes, first_line: bytes) -> Head:
    has_header = identity != first_line
    return Head(first_line, hashlib.sha256(identity).hexdigest(), b"" if has_header else identity)


HEADS = {
    "the first line": (ONE + b"\n" + TWO, False, head(ONE, ONE)),
    "the first line without its carriage return": (ONE + b"\r\n", False, head(ONE, ONE)),
    "the only line, whole without a newline": (ONE, False, head(ONE, ONE)),
    "the first line that is not blank": (b"\n \r\n" + ONE + b"\n", False, head(ONE, ONE)),
    "half a line of a file that does not grow": (ONE[:-2], False, head(ONE[:-2], ONE[:-2])),
    "nothing for an empty file": (b"", False, None),
    "nothing for blank lines": (b"\n\n", False, None),
    "header and first row": (b"a,b\n1,2\n3,4\n", True, head(b"a,b\n1,2", b"a,b")),
    "header and half a row of a file that does not grow": (b"a,b\n1,", True, head(b"a,b\n1,", b"a,b")),
}


@pytest.mark.parametrize(("content", "header", "expected"), HEADS.values(), ids=HEADS)
def test_head_is(content: bytes, header: bool, expected: Head | None, write) -> None:
    assert read_head(write(content), header=header) == expected


@pytest.mark.parametrize(
    ("content", "header", "known"),
    [
        pytest.param(ONE, False, True, id="a whole object is its first record"),
        pytest.param(ONE[:-1], False, False, id="half of one may go on"),
        pytest.param(b'{"a":{"b":1}', False, False, id="so may half of one that ends in a brace"),
        pytest.param(b"a,b\n1,", True, False, id="and half a row"),
        pytest.param(b"a,b\n{}", True, False, id="whatever it looks like"),
    ],
)
def test_head_of_a_growing_file_waits_for_its_record(content: bytes, header: bool, known: bool, write) -> None:
    assert (read_head(write(content), header=header, growing=True) is not None) is known


def test_head_of_a_file_is_that_of_its_compressed_copy(write) -> None:
    copies = write(ONE + b"\n"), write(ONE + b"\n", "log.jsonl.gz")
    assert read_head(copies[0], header=False) == read_head(copies[1], header=False)


def test_head_behind_a_byte_order_mark_is_that_without_it(write) -> None:
    assert read_head(write(BOM + ONE + b"\n"), header=False) == head(ONE, ONE)
    assert read_head(write(BOM + b"a,b\n1,2\n"), header=True) == head(b"a,b\n1,2", b"a,b")


BLOCKS = {
    "whole lines": (b"1\n2\n", "log.jsonl", [(b"1\n2", 1, 4, 2)]),
    "a last line without its newline is not passed": (b"1\n2", "log.jsonl", [(b"1", 1, 2, 1), (b"2", 2, 2, 1)]),
    "nor is one of a compressed file": (b"1\n2", "log.jsonl.gz", [(b"1", 1, 2, 1), (b"2", 2, 2, 1)]),
    "nor is a pretty object without it, which is one document": (
        b'{\n"a":1\n}',
        "log.jsonl",
        [(b'{\n"a":1\n}', 1, 0, 0)],
    ),
    "a pretty object with its newline is passed": (b'{\n"a":1\n}\n', "log.jsonl", [(b'{\n"a":1\n}', 1, 10, 3)]),
    "a line without its newline alone": (b"1", "log.jsonl", [(b"1", 1, 0, 0)]),
    "nothing": (b"", "log.jsonl", []),
    "nothing, compressed": (b"", "log.jsonl.gz", []),
    "blank lines are lines": (b"\n\n1\n", "log.jsonl", [(b"\n\n1", 1, 4, 3)]),
    "a byte order mark is passed": (BOM + b"1\n", "log.jsonl", [(b"1", 1, 5, 1)]),
    "gzip member behind member": (b"1\n", "twice.jsonl.gz", [(b"1\n1", 1, 4, 2)]),
}


def told(block: Block) -> tuple[bytes, int, int, int]:
    """Return the block's bytes, its first line, and the offset and the lines behind it."""
    return block.lines.raw, block.lines.first, block.after.offset, block.after.lines


@pytest.mark.parametrize(("content", "name", "expected"), BLOCKS.values(), ids=BLOCKS)
def test_blocks_are(content: bytes, name: str, expected: list[tuple[bytes, int, int, int]], write) -> None:
    file = write(content, name)
    if name.startswith("twice"):
        path = Path(file.address)
        path.write_bytes(path.read_bytes() + bytes(8) + path.read_bytes())  # zeros between members are padding
    assert list(map(told, read_blocks(file))) == expected


GROWING = {
    "half an object waits": (b"1\n" + ONE[:-1], [b"1"]),
    "half an object that ends in a brace waits": (b'1\n{"a":{"b":1}', [b"1"]),
    "a whole object is read": (b"1\n" + ONE, [b"1", ONE]),
    "a line of text waits": (b"1\n2", [b"1"]),
    "half a pretty object waits with its last line": (b'{\n"a": {\n}', [b'{\n"a": {']),
}


@pytest.mark.parametrize(("content", "read"), GROWING.values(), ids=GROWING)
def test_of_a_growing_file(content: bytes, read: list[bytes], write) -> None:
    blocks = list(read_blocks(write(content), growing=True))
    assert [block.lines.raw for block in blocks] == read
    assert blocks[-1].after.offset == content.rfind(b"\n") + 1


def test_packed_file_does_not_grow(write) -> None:
    blocks = read_blocks(write(b"1\n2", "log.jsonl.gz"), growing=True)
    assert [block.lines.raw for block in blocks] == [b"1", b"2"]


@pytest.mark.uncounted
@pytest.mark.parametrize("quoted", [True, False])
def test_very_many_lines_come_in_several_blocks(quoted: bool, write) -> None:
    line = b'"a\nb"\n' if quoted else b"0\n0\n"
    count = BLOCK_LINES * 3 // 4
    blocks = list(read_blocks(write(line * count), quoted=quoted))
    assert [block.lines.raw.count(b"\n") + 1 for block in blocks] == [BLOCK_LINES, BLOCK_LINES // 2]
    assert b"\n".join(block.lines.raw for block in blocks) + b"\n" == line * count
    assert all(block.lines.raw.startswith(line[:2]) for block in blocks)
    assert (blocks[-1].after.offset, blocks[-1].after.lines) == (len(line) * count, 2 * count)


def test_last_row_of_a_growing_csv_waits_for_its_end(write) -> None:
    file = write(b"a\n1\n2", "log.csv")
    assert [block.lines.raw for block in read_blocks(file, growing=True)] == [b"a\n1"]
    assert read_head(write(b"a\n1", "log.csv"), header=True, growing=True) is None


@pytest.mark.parametrize("name", ["log.jsonl", "log.jsonl.gz"])
def test_blocks_behind_a_position_are_the_rest(name: str, write) -> None:
    file = write(b"1\n2\n3\n", name)
    assert list(map(told, read_blocks(file, Position(4, 2)))) == [(b"3", 3, 6, 3)]
    assert list(read_blocks(file, Position(6, 3))) == []


LINE = b"x" * 999 + b"\n"


@pytest.mark.parametrize("name", ["log.jsonl", "log.jsonl.gz"])
def test_long_file_comes_in_blocks_cut_at_newlines(name: str, write) -> None:
    count = BLOCK_BYTES // len(LINE) * 2 + 10
    file = write(LINE * count, name)
    blocks = list(read_blocks(file))
    assert len(blocks) == 3
    lines = [line for block in blocks for line in block.lines.raw.split(b"\n")]
    assert len(lines) == count
    assert set(lines) == {LINE[:-1]}
    assert [block.after.offset for block in blocks] == [block.after.lines * len(LINE) for block in blocks]
    assert [block.lines.first for block in blocks] == [1, blocks[0].after.lines + 1, blocks[1].after.lines + 1]
    assert [told(block) for block in read_blocks(file, blocks[0].after)] == [told(block) for block in blocks[1:]]


@given(st.lists(st.binary(max_size=20).map(lambda line: line.replace(b"\n", b"")), max_size=8), st.data())
def test_any_position_resumes_exactly(lines: list[bytes], data: st.DataObject) -> None:
    passed = data.draw(st.integers(0, len(lines)))
    with tempfile.NamedTemporaryFile(suffix=".jsonl") as file:
        file.write(b"".join(line + b"\n" for line in lines))
        file.flush()
        offset = sum(len(line) + 1 for line in lines[:passed])
        blocks = list(read_blocks(LogFile(file.name), Position(offset, passed)))
    found = [line for block in blocks for line in block.lines.raw.split(b"\n")]
    expected = lines if passed else [line.removeprefix(BOM) if n == 0 else line for n, line in enumerate(lines)]
    assert found == expected[passed:]
    assert all(block.after.lines == len(lines) for block in blocks)


QUOTED = b'"one\ntwo"\n'


def test_block_is_never_cut_between_two_quotes(write) -> None:
    filler = b'"' + (b"y" * 999 + b"\n") * (BLOCK_BYTES // 4000) + b'"\n'
    content = filler * 5 + QUOTED
    blocks = list(read_blocks(write(content, "log.csv"), quoted=True))
    assert len(blocks) > 1
    assert all(block.lines.raw.count(b'"') % 2 == 0 for block in blocks)
    assert b"\n".join(block.lines.raw for block in blocks) + b"\n" == content


def test_quote_that_never_closes_holds_nothing_up(write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(read_lines, "BLOCK_BYTES", 1000)
    monkeypatch.setattr(csv_records, "RECORD_BYTES", 2000)
    content = b'inch,5"\n' + b"z\n" * 5000
    blocks = list(read_blocks(write(content, "log.csv"), quoted=True))
    assert b"\n".join(block.lines.raw for block in blocks) + b"\n" == content
    assert max(len(block.lines.raw) for block in blocks) <= 2000 + 1000


@pytest.mark.parametrize("quoted", [True, False])
def test_lines_of_very_unlike_lengths_come_in_blocks_of_a_bounded_number(
    quoted: bool, write, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(read_lines, "BLOCK_LINES", 10)
    monkeypatch.setattr(csv_records, "RECORD_LINES", 5)
    content = b'"' + b"x" * 1000 + b'"\n' + b'"a\nb"\n' * 10
    blocks = list(read_blocks(write(content, "log.csv"), quoted=quoted))
    assert b"\n".join(block.lines.raw for block in blocks) + b"\n" == content
    assert [block.lines.raw.count(b"\n") + 1 for block in blocks] == ([9, 10, 2] if quoted else [10, 10, 1])
    assert not quoted or all(block.lines.raw.count(b'"') % 2 == 0 for block in blocks)


CONTINUED = {
    "of the same bytes": (b"1\n2\n", b"1\n2\n", True),
    "of the same bytes and more": (b"1\n2\n", b"1\n2\n3\n", True),
    "of other bytes": (b"1\n2\n", b"1\n3\n", False),
    "that is shorter": (b"1\n2\n", b"1\n", False),
    "that is empty": (b"1\n2\n", b"", False),
}


@pytest.mark.parametrize("name", ["log.jsonl", "log.jsonl.gz"])
@pytest.mark.parametrize(("before", "after", "expected"), CONTINUED.values(), ids=CONTINUED)
def test_position_is_known_again_in_a_file(before: bytes, after: bytes, expected: bool, name: str, write) -> None:
    position = list(read_blocks(write(before, name)))[-1].after
    assert is_continued(write(after, name), position) is expected


def test_position_at_the_start_is_known_in_any_file(write) -> None:
    assert is_continued(write(b"anything"), Position())


def test_blocks_before_the_damage_of_a_cut_gzip_are_kept(write) -> None:
    noise = Random(1)  # noqa: S311  so that the compressed file is as long as its text
    content = b"".join(noise.randbytes(500).hex().encode() + b"\n" for _ in range(BLOCK_BYTES // 1001 + 2000))
    file = write(content, "log.jsonl.gz")
    path = Path(file.address)
    path.write_bytes(path.read_bytes()[:-100])
    found: list[bytes] = []
    with pytest.raises(Unavailable, match=r"log.jsonl.gz is unavailable: damaged or cut gzip"):
        found.extend(line for block in read_blocks(file) for line in block.lines.raw.split(b"\n"))
    assert len(found) > BLOCK_BYTES // 1001
    assert found == content.split(b"\n")[: len(found)]


DAMAGED = {
    "is no gzip at all": b"plain text",
    "is cut in its header": gzip.compress(ONE)[:6],
    "is cut in its body": gzip.compress(ONE * 100)[:14],
    "ends in rubbish": gzip.compress(ONE + b"\n") + b"rubbish",
    "fails its checksum": gzip.compress(ONE + b"\n")[:-8] + bytes(8),
    "has a broken body": gzip.compress(ONE + b"\n")[:10] + bytes(20).replace(b"\x00", b"\xff"),
}


@pytest.mark.parametrize("content", DAMAGED.values(), ids=DAMAGED)
def test_gzip_is_refused_in_one_line_when_it(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl.gz"
    path.write_bytes(content)
    with pytest.raises(Unavailable, match=r"^file .*log.jsonl.gz is unavailable: damaged or cut gzip .*$"):
        [read_head(LogFile(str(path)), header=False), *read_blocks(LogFile(str(path)))]


def test_line_that_is_too_long_is_passed_and_told(write) -> None:
    endless = bytes(MAX_LINE_BYTES + BLOCK_BYTES)
    blocks = list(read_blocks(write(b"1\n" + endless + b"\n2\n", "log.jsonl.gz")))
    assert [(block.lines.first, block.too_long, block.after.lines) for block in blocks] == [
        (1, False, 1), (2, True, 2), (3, False, 3),
    ]  # fmt: skip
    assert blocks[1].after.offset == 2 + len(endless) + 1
    assert len(blocks[1].lines.raw) == 2000
    assert blocks[2].lines.raw == b"2"


def test_line_that_never_ends_is_told_at_the_end_of_the_file(write) -> None:
    blocks = list(read_blocks(write(b"1\n" + bytes(MAX_LINE_BYTES + BLOCK_BYTES), "log.jsonl.gz")))
    assert [block.too_long for block in blocks] == [False, True]


def test_missing_file_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match=r"file .*gone.jsonl' not found"):
        read_head(LogFile(str(tmp_path / "gone.jsonl")), header=False)


def test_folder_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(InvalidValue, match="is not a file that can be read twice"):
        read_head(LogFile(str(tmp_path)), header=False)


def test_file_that_the_system_cannot_open_is_unavailable(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match=r"File name too long"):
        read_head(LogFile(str(tmp_path / (300 * "x"))), header=False)


def test_pipe_is_refused_for_it_can_be_read_only_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jsonl")
    with pytest.raises(InvalidValue, match="a file that can be read twice"):
        read_head(LogFile(str(tmp_path / "pipe.jsonl")), header=False)


def test_files_below_the_same_banner_are_not_the_same_file(tmp_path: Path) -> None:
    heads = []
    for number in (1, 2):
        path = tmp_path / f"{number}.jsonl"
        path.write_bytes(b'gateway started\n{"id": %d}\n' % number)
        heads.append(read_head(LogFile(str(path)), header=False))
    assert heads[0]
    assert heads[1]
    assert heads[0].fingerprint != heads[1].fingerprint


def test_file_without_any_object_is_known_by_its_first_line(tmp_path: Path) -> None:
    path = tmp_path / "noise.jsonl"
    path.write_bytes(b"gateway started\nnoise\n")
    head = read_head(LogFile(str(path)), header=False)
    assert head
    assert head.first_line == b"gateway started"
    assert head.keys == ()


def test_head_has_the_keys_of_the_first_object_below_a_banner(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    path.write_bytes(b'gateway started\n{"id":1,"a":{"b":2}}\n{"c":3}\n')
    head = read_head(LogFile(str(path)), header=False)
    assert head
    assert head.keys == ("id", "a")
