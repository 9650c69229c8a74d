"""Cut a log file into blocks of whole lines.

Before it: `tasks/log_file.py` opens it. After it: `tasks/load_file.py` commits block by block and resumes between them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from zlib import crc32

import msgspec

from ops.errors import Unavailable
from tasks.csv_records import last_record_end, last_record_start
from tasks.log_file import LogFile, Readable
from tasks.sources.interface import Lines

BLOCK_BYTES = 16 * 1024 * 1024
MAX_LINE_BYTES = 32 * 1024 * 1024
BLOCK_LINES = 100_000  # very short lines would make very many rows of a block
BOM = b"\xef\xbb\xbf"
_TAIL_BYTES = 4096
_SHOWN = 2000  # of a line that is too long
_NEVER = "0:"
_JSON = msgspec.json.Decoder(msgspec.Raw)
_OBJECT = msgspec.json.Decoder(dict[str, msgspec.Raw])


@dataclass(frozen=True, slots=True)
class Position:
    """How far a file was read."""

    offset: int = 0  # of the unpacked bytes
    lines: int = 0
    crc: int = 0  # of the lines so far: `Lines.crc`
    tail: str = _NEVER  # how many bytes before the offset, and their hash


@dataclass(frozen=True, slots=True)
class Block:
    """Lines, and how far the file is read with them.

    A last line without its end may be among them; it is not passed: should it grow, it is read again.
    """

    lines: Lines
    after: Position
    too_long: bool = False  # one line over the limit, of which this is the beginning


@dataclass(frozen=True, slots=True)
class Head:
    """What identifies a file that only grows: its first record."""

    first_line: bytes
    fingerprint: str
    record: bytes = b""  # where no header stands above it

    @property
    def keys(self) -> tuple[str, ...]:
        """The keys of the first record; none when it is no JSON object in one line."""
        try:
            return tuple(_OBJECT.decode(self.record))
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return ()


def read_head(file: LogFile, *, header: bool, growing: bool = False) -> Head | None:
    """Return the identity of a file; None while it has no complete first record. A header alone identifies nothing."""
    with file.open() as stream:
        lines = _first_lines(stream)
        first = next(lines, b"").removeprefix(BOM)
        if header:
            identity = first + next(lines, b"")
        else:  # the first line that can be a JSON object: a banner above it stands in every file
            identity = next((line for line in chain([first], lines) if line.lstrip().startswith(b"{")), first)
    if not identity.endswith(b"\n") and _may_grow(file, growing=growing) and (header or not _is_json(identity)):
        return None
    if not first:
        return None
    identity = identity.rstrip(b"\r\n")
    return Head(first.rstrip(b"\r\n"), hashlib.sha256(identity).hexdigest(), b"" if header else identity)


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

    A last line without its end waits where the file may grow, unless it is JSON: half an object is none, but half a row
    of a CSV may be a row with a smaller number.

    Raises:
        Unavailable: the file ends in the middle of its compression; whole lines before that were yielded.
    """
    at = start or Position()
    with file.open(at.offset) as stream:
        for raw, count, size, too_long in _pieces(stream, quoted=quoted, growing=_may_grow(file, growing=growing)):
            lines = Lines(raw.removeprefix(BOM) if at.lines == 0 else raw, at.lines + 1, at.crc)
            if count:
                passed = raw if too_long else raw[: size - 1]
                crc = lines.crc_after if passed is raw else crc32(b"\n", crc32(passed.removeprefix(BOM), at.crc))
                tail = _NEVER if too_long else _tail((passed[-_TAIL_BYTES:] + b"\n")[-_TAIL_BYTES:])
                at = Position(at.offset + size, at.lines + count, crc, tail)
            yield Block(lines, at, too_long)


def _may_grow(file: LogFile, *, growing: bool) -> bool:
    return growing and not file.is_packed


def _pieces(stream: Readable, *, quoted: bool, growing: bool) -> Iterator[tuple[bytes, int, int, bool]]:
    """Yield (bytes, lines passed, bytes passed, too long); a last line without its end is not passed."""
    rest = b""
    chunks = _chunks(stream)
    for chunk, is_last in chunks:
        rest += chunk
        end = last_record_end(rest) if quoted else rest.rfind(b"\n")
        if end < 0 and len(rest) > MAX_LINE_BYTES:
            size, after = _skip_line(chunks, len(rest))
            yield rest[:_SHOWN], 1, size, True
            rest = after
        elif is_last:
            break
        elif end >= 0:
            whole, rest = rest[:end], rest[end + 1 :]
            for part in _parts(whole, quoted=quoted):
                yield part, part.count(b"\n") + 1, len(part) + 1, False
    yield from _last_pieces(rest, quoted=quoted, growing=growing)


def _last_pieces(rest: bytes, *, quoted: bool, growing: bool) -> Iterator[tuple[bytes, int, int, bool]]:
    end = _last_start(rest, quoted=quoted, growing=growing) - 1
    tail = rest[end + 1 :]
    if not quoted and _is_json(rest):  # one document, whatever its lines; passed or read again as a whole
        yield (rest, 0, 0, False) if tail else (rest[:end], rest.count(b"\n"), len(rest), False)
        return
    for part in _parts(rest[:end], quoted=quoted) if end >= 0 else ():
        yield part, part.count(b"\n") + 1, len(part) + 1, False
    if tail and not (growing and (quoted or not _is_json(tail))):
        yield tail, 0, 0, False


def _last_start(rest: bytes, *, quoted: bool, growing: bool) -> int:
    """Return where the record begins that lacks its end."""
    if not quoted:
        return rest.rfind(b"\n") + 1
    return last_record_end(rest) + 1 if growing else last_record_start(rest)


def _parts(whole: bytes, *, quoted: bool) -> Iterator[bytes]:
    """Cut records into parts of so many lines; no record has as many."""
    while whole.count(b"\n") >= BLOCK_LINES:
        end = len(whole) - len(whole.split(b"\n", BLOCK_LINES)[-1]) - 1
        end = last_record_end(whole[: end + 1]) if quoted else end
        yield whole[:end]
        whole = whole[end + 1 :]
    yield whole


def _chunks(stream: Readable) -> Iterator[tuple[bytes, bool]]:
    """Yield (bytes, whether they are the last); damage is told behind what stood before it."""
    chunk = stream.read(BLOCK_BYTES)
    while chunk:
        try:
            following = stream.read(BLOCK_BYTES)
        except Unavailable:
            yield chunk, False
            raise
        yield chunk, not following
        chunk = following


def _skip_line(chunks: Iterator[tuple[bytes, bool]], size: int) -> tuple[int, bytes]:
    """Read to the end of the line; return its size, and what was read behind it."""
    for chunk, _ in chunks:
        line, newline, after = chunk.partition(b"\n")
        size += len(line) + len(newline)
        if newline:
            return size, after
    return size, b""


def _is_json(text: bytes) -> bool:
    """Whether it is a whole object or array."""
    if not text.lstrip().startswith((b"{", b"[")):
        return False
    try:
        _JSON.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
    return True
