"""Where the records of a CSV begin and end: a quoted cell may hold line breaks, and a quote may be an inch mark.

A line that leaves a cell open begins a record of several lines, of a bounded size, which ends with one of the next
lines that have an odd number of quotes. Where none of them makes it a record, the line is one by itself, and what
follows is read as if it were not there: what a quote that nothing closes costs is its own line. Used by
`tasks/read_lines.py`, which must not cut a record, and `tasks/sources/mapped.py`.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from itertools import islice

from ops.errors import InvalidValue

RECORD_BYTES = 8 * 1024 * 1024
RECORD_LINES = 50_000
_ODD_LINES = 8  # of a record, so that no file makes us read it again and again
_LONGEST_CELL = 64 * 1024 * 1024


def cells_of(raw: bytes) -> list[str]:
    """Return the cells of one record.

    Raises:
        InvalidValue: it is none, or more than one.
    """
    try:
        rows = _rows(raw)
    except (csv.Error, UnicodeDecodeError) as error:
        limit = f"one CSV record in UTF-8, of at most {RECORD_BYTES:,} bytes and {RECORD_LINES:,} lines ({error})"
        raise InvalidValue("line", raw[:60].decode(errors="replace"), limit) from None
    if len(rows) > 1:
        raise InvalidValue("line", raw[:60].decode(errors="replace"), "one CSV record")
    return rows[0] if rows else []


def header_of(first_line: bytes) -> list[str]:
    """Return the names of the columns.

    Raises:
        InvalidValue: as `cells_of`.
    """
    return [name.strip() for name in cells_of(first_line)]


def _rows(raw: bytes) -> list[list[str]]:
    """Return the first two rows."""
    csv.field_size_limit(_LONGEST_CELL)
    text = io.StringIO(raw.rstrip(b"\r").decode(), newline="")
    return list(islice(csv.reader(text, strict=True), 2))


def record_sizes(raw: bytes) -> list[int] | None:
    """Return how many lines each record of a block has; None for one each."""
    if b'"' not in raw:
        return None
    sizes: list[int] = []
    at = 0
    for start, end in _long_records(raw):
        sizes += [1] * raw.count(b"\n", at, start)
        sizes.append(raw.count(b"\n", start, end) + 1)
        at = end + 1
    return sizes + [1] * (raw.count(b"\n", at) + (at <= len(raw)))


def last_record_end(raw: bytes) -> int:
    """Return the newline behind the last record that is whole whatever follows; -1 for nowhere."""
    end = raw.rfind(b"\n")
    opened = -1
    for start, closed in _openings(raw[: max(end, 0)]):
        opened = start if closed < 0 else -1
    return opened - 1 if opened >= 0 and _is_within_limits(raw, opened, len(raw)) else end


def last_record_start(raw: bytes) -> int:
    """Return where the last record begins when nothing follows, not even its newline."""
    start = raw.rfind(b"\n") + 1
    for first, end in _long_records(raw):
        if end == len(raw):
            start = first
    return start


def _long_records(raw: bytes) -> Iterator[tuple[int, int]]:
    """Yield where each record of several lines begins and ends."""
    return ((start, end) for start, end in _openings(raw) if end >= 0)


def _openings(raw: bytes) -> Iterator[tuple[int, int]]:
    """Yield the same, and at last where one begins whose end is not there, with -1."""
    opened, odd = -1, 0
    for start, end in _odd_lines(raw):
        if opened >= 0 and odd < _ODD_LINES and _is_within_limits(raw, opened, end):
            odd += 1
            if _is_one(raw[opened:end]):
                yield opened, end
                opened = -1
                continue
            if _is_open(raw[opened:end]):  # the cell is closed, and a later one open
                continue
        opened, odd = (start if _is_open(raw[start:end]) else -1), 1
    if opened >= 0:
        yield opened, -1


def _odd_lines(raw: bytes, at: int = 0) -> Iterator[tuple[int, int]]:
    """Yield where each line with an odd number of quotes begins and ends."""
    at = raw.find(b'"', at)
    while at >= 0:
        end = _line_end(raw, at)
        if raw.count(b'"', at, end) % 2:
            yield raw.rfind(b"\n", 0, at) + 1, end
        at = raw.find(b'"', end)


def _line_end(raw: bytes, at: int) -> int:
    end = raw.find(b"\n", at)
    return len(raw) if end < 0 else end


def _is_open(line: bytes) -> bool:
    """Whether only a quote is missing; an inch mark opens nothing."""
    return not _is_one(line) and _is_one(line + b'"')


def _is_one(raw: bytes) -> bool:
    try:
        return len(_rows(raw)) == 1
    except (csv.Error, UnicodeDecodeError):
        return False


def _is_within_limits(raw: bytes, start: int, end: int) -> bool:
    return end - start <= RECORD_BYTES and raw.count(b"\n", start, end) < RECORD_LINES
