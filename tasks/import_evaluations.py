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
from tasks.log_file import LogFile
from tasks.read_rows import read_rows
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
    for rows in read_rows(file):
        found = list(_checked(rows, done, now))
        with engine.begin() as connection:
            inserted, corrected = evaluations.save(connection, tenant, found)
        done.inserted += inserted
        done.corrected += corrected
    return done


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
