"""Read the rows of a file that somebody wrote: JSON lines, or a CSV with a header; plain, gzip or zstd.

Before it: `tasks/read_lines.py` cuts the file. After it: `tasks/import_evaluations.py`, `tasks/read_golden_set.py`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import msgspec

from ops.errors import InvalidValue
from tasks.csv_records import cells_of, record_sizes
from tasks.log_file import LogFile
from tasks.read_lines import MAX_LINE_BYTES, read_blocks
from tasks.sources.interface import Lines


def read_rows(file: LogFile) -> Iterator[Iterator[tuple[int, Any]]]:
    """Yield block by block the number of each row's line, and what it says: JSON, or the filled cells by their header.

    A row that is neither is the InvalidValue that says so.

    Raises:
        NotFound, Unavailable, InvalidValue: the file, or the header of its columns.
    """
    is_csv = ".csv" in file.suffixes
    header: list[str] = []
    for block in read_blocks(file, quoted=is_csv):
        if block.too_long:
            yield _too_long(block.lines)
        else:
            yield _cells(file, block.lines, header) if is_csv else _lines(block.lines)


def _too_long(block: Lines) -> Iterator[tuple[int, Any]]:
    """Refuse a line of which only the beginning was read: that might be a row too."""
    limit = f"at most {MAX_LINE_BYTES:,} bytes long"
    return ((row.position, InvalidValue("line", row.raw[:60].decode(errors="replace"), limit)) for row in block.rows())


def _lines(block: Lines) -> Iterator[tuple[int, Any]]:
    for row in block.rows():
        try:
            yield row.position, _decoded(row.raw)
        except InvalidValue as error:
            yield row.position, error
        except (msgspec.DecodeError, ValueError, RecursionError) as error:
            yield row.position, InvalidValue("line", row.raw[:60].decode(errors="replace"), f"JSON ({error})")


def _decoded(raw: bytes) -> Any:
    """Return what a line says; an object that has a name twice does not say which value it means."""
    row = msgspec.json.decode(raw)
    json.loads(raw, object_pairs_hook=_check_names)
    return row


def _check_names(pairs: list[tuple[str, Any]]) -> None:
    if len(dict(pairs)) < len(pairs):
        twice = next(name for at, (name, _) in enumerate(pairs) if name in dict(pairs[:at]))
        raise InvalidValue(twice, [value for name, value in pairs if name == twice], "given once in an object")


def _cells(file: LogFile, block: Lines, header: list[str]) -> Iterator[tuple[int, Any]]:
    """Yield rows as what their filled cells say; the file's first row is put into `header`."""
    for row in block.rows(record_sizes(block.raw)):
        try:
            cells = cells_of(row.raw)
        except InvalidValue as error:
            yield row.position, error
            continue
        if header:
            yield row.position, _named(header, cells)
        else:
            header += _checked_header(file, cells)


def _checked_header(file: LogFile, cells: list[str]) -> list[str]:
    twice = sorted({name for name in cells if name and cells.count(name) > 1})
    if twice:
        raise InvalidValue(f"header of {file.address}", ", ".join(twice), "a row that names each column once")
    return cells


def _named(header: list[str], cells: list[str]) -> Any:
    """Return a row as what its filled cells say; one with more cells than the header is cut wrongly somewhere."""
    if len(cells) > len(header):
        return InvalidValue("line", ",".join(cells), f"a row of at most {len(header)} cells, as the header has")
    return {name: cell for name, cell in zip(header, cells, strict=False) if cell}
