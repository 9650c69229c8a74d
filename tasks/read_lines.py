"""Read a log file, plain or gzip, in blocks of whole lines, so that a loader can commit and resume between blocks."""

from __future__ import annotations

import gzip
import hashlib
import stat
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
    end_line: int  # lines up to there; a last line without its end is not passed: should it grow, it is read again


@dataclass(frozen=True, slots=True)
class Head:
    """What identifies a file that only grows: its first record."""

    first_line: bytes
    fingerprint: str


def read_head(path: Path, *, header: bool, growing: bool = False) -> Head | None:
    """Return the identity of `path`; None while it has no complete first record. A header alone identifies nothing."""
    with _open(path) as stream, _readable(path):
        first = _next_line(stream)
        identity = first + _next_line(stream) if header else _first_object(stream, first)
    if not identity.endswith(b"\n") and not _is_complete(path, growing=growing):
        return None
    return Head(first.rstrip(b"\r\n"), hashlib.sha256(identity.rstrip(b"\r\n")).hexdigest()) if first else None


def _first_object(stream: IO[bytes], first: bytes) -> bytes:
    """Return the first line that can be a JSON object: a banner above it stands in every file; else `first`."""
    line = first
    while line and not line.lstrip().startswith(b"{"):
        line = _next_line(stream)
    return line or first


def _next_line(stream: IO[bytes]) -> bytes:
    """Return the next line that is not blank, for blank ones stand in every file; empty at the end."""
    while (line := stream.readline(MAX_LINE_BYTES)) and not line.strip():
        pass
    return line


def read_blocks(path: Path, *, skip_bytes: int = 0, first_line: int = 1, growing: bool = False) -> Iterator[Block]:
    """Yield the file's lines behind `skip_bytes`.

    A last line without its end is read where it cannot be half a line: see `_is_complete`.

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
                number += len(lines)
                yield Block(lines, number - len(lines), offset, number - 1)
        if rest and _is_complete(path, growing=growing):
            yield Block([rest], number, offset, number - 1)


def _is_complete(path: Path, *, growing: bool) -> bool:
    """Whether a last line without a newline is whole: a plain file that is still written may end in half a line.

    Half a JSON object is not JSON, but half a CSV row may be a row with a smaller number: of a growing file it waits.
    """
    if path.suffix == ".gz":
        return True
    with path.open("rb") as stream:
        stream.seek(0, 2)
        if stream.tell() == 0:
            return False
        stream.seek(-1, 2)
        return stream.read(1) in b"}\n" or (".csv" in path.suffixes and not growing)


def _open(path: Path) -> IO[bytes]:
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise InvalidValue("file", str(path), "a file that can be read twice (no folder, pipe or device)")
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
