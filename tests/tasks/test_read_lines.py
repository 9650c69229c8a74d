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
from tasks.read_lines import BLOCK_BYTES, MAX_LINE_BYTES, Block, Head, read_blocks, read_head

ONE, TWO = b'{"a":1}', b'{"a":2}'


@pytest.fixture
def write(tmp_path):
    def written(content: bytes, name: str = "log.jsonl") -> Path:
        path = tmp_path / name
        path.write_bytes(gzip.compress(content, 1) if path.suffix == ".gz" else content)
        return path

    return written


def head(identity: bytes, first_line: bytes) -> Head:
    return Head(first_line, hashlib.sha256(identity).hexdigest())


HEADS = {
    "the first line": (ONE + b"\n" + TWO, False, head(ONE, ONE)),
    "the first line without its carriage return": (ONE + b"\r\n", False, head(ONE, ONE)),
    "the only line, whole without a newline": (ONE, False, head(ONE, ONE)),
    "the first line that is not blank": (b"\n \r\n" + ONE + b"\n", False, head(ONE, ONE)),
    "nothing while the first line is half written": (ONE[:-2], False, None),
    "nothing for an empty file": (b"", False, None),
    "nothing for blank lines": (b"\n\n", False, None),
    "header and first row": (b"a,b\n1,2\n3,4\n", True, head(b"a,b\n1,2", b"a,b")),
    "nothing while the first row is half written": (b"a,b\n1,", True, None),
}


@pytest.mark.parametrize(("content", "header", "expected"), HEADS.values(), ids=HEADS)
def test_head_is(content: bytes, header: bool, expected: Head | None, write) -> None:
    assert read_head(write(content), header=header) == expected


def test_head_of_a_file_is_that_of_its_compressed_copy(write) -> None:
    copies = write(ONE + b"\n"), write(ONE + b"\n", "log.jsonl.gz")
    assert read_head(copies[0], header=False) == read_head(copies[1], header=False)


BLOCKS = {
    "whole lines": (b"1\n2\n", "log.jsonl", [Block([b"1", b"2"], 1, 4, 2)]),
    "a last object without its newline is not passed": (
        b"1\n" + ONE,
        "log.jsonl",
        [Block([b"1"], 1, 2, 1), Block([ONE], 2, 2, 1)],
    ),
    "half an object waits": (b"1\n" + ONE[:-1], "log.jsonl", [Block([b"1"], 1, 2, 1)]),
    "half a line of text waits": (b"1\n2", "log.jsonl", [Block([b"1"], 1, 2, 1)]),
    "a compressed file is whole": (b"1\n2", "log.jsonl.gz", [Block([b"1"], 1, 2, 1), Block([b"2"], 2, 2, 1)]),
    "a CSV that is not growing is whole": (b"1\n2", "log.csv", [Block([b"1"], 1, 2, 1), Block([b"2"], 2, 2, 1)]),
    "nothing": (b"", "log.jsonl", []),
    "nothing, compressed": (b"", "log.jsonl.gz", []),
    "blank lines are lines": (b"\n\n1\n", "log.jsonl", [Block([b"", b"", b"1"], 1, 4, 3)]),
}


@pytest.mark.parametrize(("content", "name", "expected"), BLOCKS.values(), ids=BLOCKS)
def test_blocks_are(content: bytes, name: str, expected: list[Block], write) -> None:
    assert list(read_blocks(write(content, name))) == expected


def test_last_row_of_a_growing_csv_waits_for_its_end(write) -> None:
    path = write(b"a\n1\n2", "log.csv")
    assert [block.lines for block in read_blocks(path, growing=True)] == [[b"a", b"1"]]
    assert read_head(write(b"a\n1", "log.csv"), header=True, growing=True) is None


@pytest.mark.parametrize("name", ["log.jsonl", "log.jsonl.gz"])
def test_blocks_behind_a_position_are_the_rest(name: str, write) -> None:
    path = write(b"1\n2\n3\n", name)
    assert list(read_blocks(path, skip_bytes=4, first_line=3)) == [Block([b"3"], 3, 6, 3)]
    assert list(read_blocks(path, skip_bytes=6, first_line=4)) == []


LINE = b"x" * 999 + b"\n"


@pytest.mark.parametrize("name", ["log.jsonl", "log.jsonl.gz"])
def test_long_file_comes_in_blocks_cut_at_newlines(name: str, write) -> None:
    count = BLOCK_BYTES // len(LINE) * 2 + 10
    blocks = list(read_blocks(write(LINE * count, name)))
    assert len(blocks) == 3
    assert sum(len(block.lines) for block in blocks) == count
    assert all(line == LINE[:-1] for block in blocks for line in block.lines)
    assert [block.end_offset for block in blocks] == [block.end_line * len(LINE) for block in blocks]
    assert [block.first_line for block in blocks] == [1, blocks[0].end_line + 1, blocks[1].end_line + 1]


@given(st.lists(st.binary(max_size=20).map(lambda line: line.replace(b"\n", b"")), max_size=8), st.data())
def test_any_position_resumes_exactly(lines: list[bytes], data: st.DataObject) -> None:
    passed = data.draw(st.integers(0, len(lines)))
    with tempfile.NamedTemporaryFile(suffix=".jsonl") as file:
        file.write(b"".join(line + b"\n" for line in lines))
        file.flush()
        offset = sum(len(line) + 1 for line in lines[:passed])
        blocks = list(read_blocks(Path(file.name), skip_bytes=offset, first_line=passed + 1))
    assert [line for block in blocks for line in block.lines] == lines[passed:]
    assert all(block.end_line == len(lines) for block in blocks)


def test_blocks_before_the_damage_of_a_cut_gzip_are_kept(write) -> None:
    noise = Random(1)  # noqa: S311  so that the compressed file is as long as its text
    content = b"".join(noise.randbytes(500).hex().encode() + b"\n" for _ in range(BLOCK_BYTES // 1001 + 2000))
    path = write(content, "log.jsonl.gz")
    path.write_bytes(path.read_bytes()[:-100])
    blocks = read_blocks(path)
    assert next(blocks).lines[0] == content[:1000]
    with pytest.raises(Unavailable, match=r"log.jsonl.gz is unavailable: damaged or cut gzip"):
        next(blocks)


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
        [read_head(path, header=False), *read_blocks(path)]


def test_line_without_an_end_is_refused(write) -> None:
    path = write(b"1\n" + bytes(MAX_LINE_BYTES + BLOCK_BYTES), "log.jsonl.gz")
    with pytest.raises(InvalidValue, match=f"line: 2 is not at most {MAX_LINE_BYTES} bytes long"):
        list(read_blocks(path))


def test_missing_file_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match=r"file .*gone.jsonl' not found"):
        read_head(tmp_path / "gone.jsonl", header=False)


def test_folder_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(InvalidValue, match="is not a file that can be read twice"):
        read_head(tmp_path, header=False)


def test_file_that_the_system_cannot_open_is_unavailable(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match=r"File name too long"):
        read_head(tmp_path / (300 * "x"), header=False)


def test_pipe_is_refused_for_it_can_be_read_only_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jsonl")
    with pytest.raises(InvalidValue, match="a file that can be read twice"):
        read_head(tmp_path / "pipe.jsonl", header=False)


def test_files_below_the_same_banner_are_not_the_same_file(tmp_path: Path) -> None:
    heads = []
    for number in (1, 2):
        path = tmp_path / f"{number}.jsonl"
        path.write_bytes(b'gateway started\n{"id": %d}\n' % number)
        heads.append(read_head(path, header=False))
    assert heads[0]
    assert heads[1]
    assert heads[0].fingerprint != heads[1].fingerprint


def test_file_without_any_object_is_known_by_its_first_line(tmp_path: Path) -> None:
    path = tmp_path / "noise.jsonl"
    path.write_bytes(b"gateway started\nnoise\n")
    head = read_head(path, header=False)
    assert head
    assert head.first_line == b"gateway started"
