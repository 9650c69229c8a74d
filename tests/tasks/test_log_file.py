from __future__ import annotations

import gzip
import sys
from pathlib import Path
from random import Random

import fsspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ops.errors import NotFound, Unavailable
from tasks.log_file import LogFile, Unpacked, files_of

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

PACK = {"plain": (bytes, ""), "gzip": (gzip.compress, ".gz"), "zstd": (zstd.compress, ".zst")}


@pytest.fixture(params=PACK)
def write(request: pytest.FixtureRequest, tmp_path: Path):
    pack, suffix = PACK[request.param]

    def written(content: bytes, *, cut: int = 0) -> LogFile:
        path = tmp_path / f"log.jsonl{suffix}"
        packed = pack(content)
        path.write_bytes(packed[: len(packed) - cut])
        return LogFile(str(path))

    return written


def read(file: LogFile, skip: int = 0, size: int = 7) -> bytes:
    with file.open(skip) as stream:
        return b"".join(iter(lambda: stream.read(size), b""))


NOISE = Random(1).randbytes(700_000)  # noqa: S311  no secret: what cannot be packed


@pytest.mark.parametrize("skip", [0, 1, 6, 20, 100])
def test_file_is_read_behind_what_is_skipped(skip: int, write) -> None:
    assert read(write(b"0123456789" * 3), skip) == (b"0123456789" * 3)[skip:]


def test_long_file_is_read_whole_in_any_pieces(write) -> None:
    file = write(NOISE)
    for size in (1 << 16, 1 << 18, 1 << 20):
        assert read(file, size=size) == NOISE


@pytest.mark.parametrize("name", ["gzip", "zstd"])
@pytest.mark.parametrize("padding", [b"", bytes(5), bytes(1_000_000)], ids=["bare", "padded", "padded with much"])
def test_members_are_read_one_behind_the_other(name: str, padding: bytes, tmp_path: Path) -> None:
    pack, suffix = PACK[name]
    path = tmp_path / f"log{suffix}"
    path.write_bytes(pack(b"one,") + padding + pack(b"") + padding + pack(NOISE) + padding)
    assert read(LogFile(str(path)), size=1 << 20) == b"one," + NOISE


@pytest.mark.parametrize("name", ["gzip", "zstd"])
@given(st.lists(st.binary(max_size=50), max_size=5), st.integers(1, 60))
def test_any_members_in_any_pieces_give_their_contents(name: str, members: list[bytes], size: int) -> None:
    import io

    packed = b"".join(map(PACK[name][0], members))
    stream = Unpacked(io.BytesIO(packed), name, "file log")
    assert b"".join(iter(lambda: stream.read(size), b"")) == b"".join(members)


@pytest.mark.parametrize("name", ["gzip", "zstd"])
def test_what_stands_before_a_cut_is_read_before_the_cut_is_told(name: str, tmp_path: Path) -> None:
    pack, suffix = PACK[name]
    packed = pack(NOISE)
    path = tmp_path / f"log{suffix}"
    path.write_bytes(packed[: len(packed) // 2])
    pieces: list[bytes] = []
    with LogFile(str(path)).open() as stream, pytest.raises(Unavailable, match=f"damaged or cut {name}"):
        pieces.extend(iter(lambda: stream.read(100_000), None))  # type: ignore[arg-type]  never None: until it raises
    found = b"".join(pieces)
    assert len(found) > len(packed) // 2 - 200_000
    assert NOISE.startswith(found)


def test_packed_zeros_do_not_fill_the_memory(tmp_path: Path) -> None:
    path = tmp_path / "bomb.zst"
    path.write_bytes(zstd.compress(bytes(300_000_000)))
    with LogFile(str(path)).open() as stream:
        assert [len(stream.read(1000)) for _ in range(3)] == [1000] * 3


def test_size_is_that_of_what_is_stored(write) -> None:
    file = write(b"x" * 1000)
    assert file.size() == Path(file.address).stat().st_size


def test_glob_names_its_files_in_order(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    for name in ("b.jsonl", "a.jsonl", "deep/c.jsonl", "d.csv"):
        (tmp_path / name).touch()
    assert [Path(file.address).name for file in files_of(f"{tmp_path}/*.jsonl")] == ["a.jsonl", "b.jsonl"]
    assert [Path(file.address).name for file in files_of(f"{tmp_path}/**/*.jsonl")] == ["a.jsonl", "b.jsonl", "c.jsonl"]
    assert files_of(f"{tmp_path}/gone*") == []


def test_objects_of_a_store_are_named_read_and_skipped() -> None:
    store = fsspec.filesystem("memory")
    for name in ("b", "a"):
        store.pipe(f"/bucket/{name}.jsonl.gz", gzip.compress(name.encode() * 10))
    files = files_of("memory://bucket/*.jsonl.gz")
    assert [file.address for file in files] == ["memory:///bucket/a.jsonl.gz", "memory:///bucket/b.jsonl.gz"]
    assert [read(file, 8) for file in files] == [b"aa", b"bb"]
    assert files[0].is_packed
    with pytest.raises(NotFound):
        LogFile("memory://bucket/gone.jsonl").size()


def test_store_that_nobody_knows_is_unavailable() -> None:
    with pytest.raises(Unavailable, match=r"^nowhere://logs/x is unavailable: Protocol not known"):
        files_of("nowhere://logs/x")


def test_file_in_a_store_that_nobody_knows_is_unavailable() -> None:
    with pytest.raises(Unavailable, match=r"^file nowhere://logs/x is unavailable: Protocol not known"):
        LogFile("nowhere://logs/x").size()
