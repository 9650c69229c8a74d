"""Decoders for logs whose records carry ids of their own: a record a line, or several that stand or fall alone.

Before it: `tasks/load_file.py` and `tasks/receive_usage.py` have lines. After it: a `Batch` for `tasks/write_usage.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from datetime import datetime

from ops.errors import InvalidValue
from tasks.settings import Source
from tasks.sources.interface import Batch, Decoder, Lines, Record, Reject, Row, validated

Parse = Callable[[bytes], Iterable[Record]]
Split = Callable[[Row], Iterable[Row]]


def by_line(parse: Parse, split: Split | None = None) -> Callable[[Source, bytes, datetime], Decoder]:
    """Make the `decoder` of a `FileKind` from a function of one line.

    With `split`, a line is several rows, each of them a line by itself: a bad one is a reject, those beside it go on.
    """

    def decode(block: Lines, now: datetime) -> Batch:
        return read_rows(block.rows(), parse, now, split)

    return lambda source, first_line, now: lambda block: decode(block, now)  # noqa: ARG005  the kind's signature


def read_rows(rows: Iterable[Row], parse: Parse, now: datetime, split: Split | None = None) -> Batch:
    """Parse and validate rows; what is wrong with one becomes a reject, and one without a record is skipped."""
    batch, skipped = Batch(), 0
    for row in rows:
        for part in _parts(row, split, batch):
            try:
                records = [validated(record, now) for record in parse(part.raw)]
                skipped += not records
                batch.add(records)
            except InvalidValue as error:
                batch.rejects.append(Reject.of(error, part.position, part.raw, part.identity))
    return replace(batch, skipped=skipped)


def _parts(row: Row, split: Split | None, batch: Batch) -> Iterator[Row]:
    if split is None:
        yield row
        return
    try:
        yield from list(split(row))
    except InvalidValue as error:
        batch.rejects.append(Reject.of(error, row.position, row.raw, row.identity))
