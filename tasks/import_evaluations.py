"""Read verdicts on answers from JSON lines or CSV, plain or packed, and keep those that are right.

Before it: somebody's evaluation run. After it: `tasks/judge_routes.py`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import msgspec
import sqlalchemy as sa

from ops.errors import InvalidValue
from ops.evaluations import Evaluation, validate
from tasks.csv_records import cells_of, record_sizes
from tasks.log_file import LogFile
from tasks.read_lines import read_blocks
from tasks.sources.interface import Lines
from tasks.stores import evaluations

SHOWN = 20  # bad rows that are named


@dataclass(slots=True)
class Imported:
    """What became of a file's rows; only the first bad ones are named."""

    read: int = 0
    inserted: int = 0
    corrected: int = 0
    rejected: int = 0
    rejects: list[str] = field(default_factory=list)

    @property
    def unchanged(self) -> int:
        """How many were there already, or are told twice."""
        return self.read - self.inserted - self.corrected - self.rejected


def import_evaluations(engine: sa.Engine, tenant: str, file: LogFile, now: datetime) -> Imported:
    """Keep a file's verdicts, a block a transaction; imported again it adds nothing.

    Raises:
        NotFound, Unavailable, InvalidValue: the file, or the header of its columns.
    """
    done = Imported()
    is_csv = ".csv" in file.suffixes
    header: list[str] = []
    for block in read_blocks(file, quoted=is_csv):
        rows = _cells(block.lines, header) if is_csv else _lines(block.lines)
        found = list(_checked(rows, done, now))
        with engine.begin() as connection:
            inserted, corrected = evaluations.save(connection, tenant, found)
        done.inserted += inserted
        done.corrected += corrected
    return done


def _lines(block: Lines) -> Iterator[tuple[int, Any]]:
    for row in block.rows():
        try:
            yield row.position, msgspec.json.decode(row.raw)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            yield row.position, InvalidValue("line", row.raw[:60].decode(errors="replace"), f"JSON ({error})")


def _cells(block: Lines, header: list[str]) -> Iterator[tuple[int, Any]]:
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
            header += _checked_header(cells)


def _checked_header(cells: list[str]) -> list[str]:
    twice = sorted({name for name in cells if name and cells.count(name) > 1})
    if twice:
        raise InvalidValue("header", ", ".join(twice), "a row that names each column once")
    return cells


def _named(header: list[str], cells: list[str]) -> Any:
    """Return a row as what its filled cells say; one with more cells than the header is cut wrongly somewhere."""
    if len(cells) > len(header):
        return InvalidValue("line", ",".join(cells), f"a row of at most {len(header)} cells, as the header has")
    return {name: cell for name, cell in zip(header, cells, strict=False) if cell}


def _checked(rows: Iterator[tuple[int, Any]], done: Imported, now: datetime) -> Iterator[Evaluation]:
    for position, row in rows:
        done.read += 1
        try:
            yield validate(_evaluation(row), now)
        except InvalidValue as error:
            done.rejected += 1
            if done.rejected <= SHOWN:
                done.rejects.append(f"line {position}: {error}")


def _evaluation(row: Any) -> Evaluation:
    if isinstance(row, InvalidValue):
        raise row
    try:
        return msgspec.convert(row, Evaluation, strict=False)
    except msgspec.ValidationError as error:
        raise InvalidValue("row", row, f"an evaluation ({error})") from None
