"""Read a log file, plain or gzip, in blocks of whole lines, so that a loader can commit and resume between blocks."""

from __future__ import annotations

import gzip
import hashlib
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, cast

from ops.errors import InvalidValue, NotFound, Unavailable

BLOCK_BYTES = 8 * 1024 * 1024
MAX_LINE_BYTES = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Block:
    """Whole lines, and where the block ends in the decompressed text."""

    lines: list[bytes]
    first_line: int  # its number, from 1
    end_offset: int  # bytes of decompressed text up to the end of the block


@dataclass(frozen=True, slots=True)
class Head:
    """What identifies a file that only grows: its first record."""

    first_line: bytes
    fingerprint: str


def read_head(path: Path, *, header: bool) -> Head | None:
    """Return the identity of `path`; None while it has no complete first record. A header alone identifies nothing."""
    with _open(path) as stream, _readable(path):
        first = stream.readline(MAX_LINE_BYTES)
        identity = first + (stream.readline(MAX_LINE_BYTES) if header else b"")
    if not identity.endswith(b"\n") and not _is_complete(path):
        return None
    return Head(first.rstrip(b"\r\n"), hashlib.sha256(identity.rstrip(b"\r\n")).hexdigest()) if first else None


def read_blocks(path: Path, *, skip_bytes: int = 0, first_line: int = 1) -> Iterator[Block]:
    """Yield the file's lines behind `skip_bytes`. A last line without its end is read only from a compressed file.

    Raises:
        Unavailable: the file ends in the middle of its compression; whole lines before that were yielded.
    """
    with _open(path) as stream, _readable(path):
        _skip(stream, skip_bytes)
        offset, number, rest = skip_bytes, first_line, b""
        while chunk := stream.read(BLOCK_BYTES):
            whole, newline, rest = (rest + chunk).rpartition(b"\n")
            if len(rest) > MAX_LINE_BYTES:
                raise InvalidValue("line", number, f"at most {MAX_LINE_BYTES} bytes long")
            if newline:
                lines = whole.split(b"\n")
                offset += len(whole) + 1
                yield Block(lines, number, offset)
                number += len(lines)
        if rest and _is_complete(path):
            yield Block([rest], number, offset)  # not passed: should it grow after all, it is read again, whole


def _is_complete(path: Path) -> bool:
    """Whether a last line without a newline is whole: a plain file that is still written may end in half a line."""
    if path.suffix == ".gz":
        return True
    with path.open("rb") as stream:
        stream.seek(0, 2)
        if stream.tell() == 0:
            return False
        stream.seek(-1, 2)
        return stream.read(1) in b"}\n" or ".csv" in path.suffixes


def _open(path: Path) -> IO[bytes]:
    if path.is_dir():
        raise InvalidValue("file", str(path), "a file, not a folder")
    try:
        return cast("IO[bytes]", gzip.open(path, "rb")) if path.suffix == ".gz" else path.open("rb")
    except FileNotFoundError:
        raise NotFound("file", str(path)) from None
    except OSError as error:
        raise Unavailable(f"file {path}", error.strerror or error) from None


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    try:
        yield
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise Unavailable(f"file {path}", f"damaged or cut gzip ({error})") from None


def _skip(stream: IO[bytes], count: int) -> None:
    while count > 0 and (chunk := stream.read(min(count, BLOCK_BYTES))):
        count -= len(chunk)
