"""Cut a log file into blocks of whole lines.

Before it: `tasks/log_file.py` opens it. After it: `tasks/load_file.py` commits block by block and resumes between them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain

from tasks.log_file import LogFile, Readable
from tasks.sources.interface import Lines

BLOCK_BYTES = 16 * 1024 * 1024
MAX_LINE_BYTES = 32 * 1024 * 1024
BOM = b"\xef\xbb\xbf"
_TAIL_BYTES = 4096
_SHOWN = 2000  # of a line that is too long
_NEVER = "0:"


@dataclass(frozen=True, slots=True)
class Position:
    """How far a file was read."""

    offset: int = 0  # of the unpacked bytes
    lines: int = 0
    crc: int = 0  # of the lines so far: `Lines.crc`
    tail: str = _NEVER  # how many bytes before the offset, and their hash


@dataclass(frozen=True, slots=True)
class Block:
    """Whole lines, and how far the file is read with them.

    A last line without its end is not passed: should it grow, it is read again.
    """

    lines: Lines
    after: Position
    too_long: bool = False  # one line over the limit, of which this is the beginning


@dataclass(frozen=True, slots=True)
class Head:
    """What identifies a file that only grows: its first record."""

    first_line: bytes
    fingerprint: str


def read_head(file: LogFile, *, header: bool, growing: bool = False) -> Head | None:
    """Return the identity of a file; None while it has no complete first record. A header alone identifies nothing."""
    with file.open() as stream:
        lines = _first_lines(stream)
        first = next(lines, b"").removeprefix(BOM)
        if header:
            identity = first + next(lines, b"")
        else:  # the first line that can be a JSON object: a banner above it stands in every file
            identity = next((line for line in chain([first], lines) if line.lstrip().startswith(b"{")), first)
    if not identity.endswith(b"\n") and not file.ends_whole(growing=growing):
        return None
    return Head(first.rstrip(b"\r\n"), hashlib.sha256(identity.rstrip(b"\r\n")).hexdigest()) if first else None


def _first_lines(stream: Readable) -> Iterator[bytes]:
    """Yield the lines that are not blank, for blank ones stand in every file."""
    rest = b""
    while chunk := stream.read(1 << 16 if len(rest) < 1 << 20 else BLOCK_BYTES):
        *lines, rest = (rest + chunk).split(b"\n")
        yield from (line + b"\n" for line in lines if line.strip())
        if len(rest) > MAX_LINE_BYTES:
            break
    if rest.strip():
        yield rest


def is_continued(file: LogFile, position: Position) -> bool:
    """Whether the bytes before the position are those that were read then."""
    size = int(position.tail.partition(":")[0])
    with file.open(position.offset - size) as stream:
        found = stream.read(size)
        return len(found) == size and (size == 0 or _tail(found) == position.tail)


def _tail(raw: bytes) -> str:
    return f"{len(raw)}:{hashlib.sha256(raw).hexdigest()[:32]}"


def read_blocks(
    file: LogFile, start: Position | None = None, *, growing: bool = False, quoted: bool = False
) -> Iterator[Block]:
    """Yield the file's lines behind a position; with `quoted`, never cut between two quotes.

    A last line without its end is read where it cannot be half a line.

    Raises:
        Unavailable: the file ends in the middle of its compression; whole lines before that were yielded.
    """
    at = start or Position()
    with file.open(at.offset) as stream:
        for raw, count, size, too_long in _pieces(stream, quoted=quoted, growing=growing):
            if count == 0 and not file.ends_whole(growing=growing):
                return
            lines = Lines(raw.removeprefix(BOM) if at.lines == 0 else raw, at.lines + 1, at.crc)
            if count:
                tail = _NEVER if too_long else _tail((raw[-_TAIL_BYTES:] + b"\n")[-_TAIL_BYTES:])
                at = Position(at.offset + size, at.lines + count, lines.crc_after, tail)
            yield Block(lines, at, too_long)


def _pieces(stream: Readable, *, quoted: bool, growing: bool) -> Iterator[tuple[bytes, int, int, bool]]:
    """Yield (bytes, lines, bytes passed, too long); the last piece passes no line when it has no end."""
    rest = b""
    while chunk := stream.read(BLOCK_BYTES):
        rest += chunk
        end = _last_end(rest, quoted=quoted)
        if end < 0 and len(rest) > MAX_LINE_BYTES:
            end = rest.rfind(b"\n")  # quotes that never close
        if end >= 0:
            whole, rest = rest[:end], rest[end + 1 :]
            yield whole, whole.count(b"\n") + 1, end + 1, False
        elif len(rest) > MAX_LINE_BYTES:
            size, after = _skip_line(stream, len(rest))
            yield rest[:_SHOWN], 1, size, True
            rest = after
    end = _last_end(rest, quoted=quoted and growing)  # a quoted cell may go on when the file does
    if end >= 0:
        yield rest[:end], rest.count(b"\n", 0, end) + 1, end + 1, False
        rest = rest[end + 1 :]
    if rest and not (quoted and growing):
        yield rest, 0, 0, False


def _skip_line(stream: Readable, size: int) -> tuple[int, bytes]:
    """Read to the end of the line; return its size, and what was read behind it."""
    while chunk := stream.read(BLOCK_BYTES):
        line, newline, after = chunk.partition(b"\n")
        size += len(line) + len(newline)
        if newline:
            return size, after
    return size, b""


def _last_end(raw: bytes, *, quoted: bool) -> int:
    """Return where the last whole record ends; -1 for nowhere."""
    end = raw.rfind(b"\n")
    if not quoted:
        return end
    is_open = raw.count(b'"', 0, max(end, 0)) % 2 == 1
    while end >= 0 and is_open:
        before = raw.rfind(b"\n", 0, end)
        is_open ^= raw.count(b'"', max(before, 0), end) % 2 == 1
        end = before
    return end
