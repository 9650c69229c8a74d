"""A decoder for logs of one JSON object a line, whose records carry ids of their own."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime

from ops.errors import InvalidValue
from tasks.settings import Source
from tasks.sources.interface import Batch, Decoder, Lines, Record, Reject, validated

Parse = Callable[[bytes], Iterable[Record]]


def by_line(parse: Parse) -> Callable[[Source, bytes, datetime], Decoder]:
    """Make the `decoder` of a `FileKind` from a function of one line."""
    return lambda source, first_line, now: lambda block: _decode(block, parse, now)  # noqa: ARG005  the kind's signature


def _decode(block: Lines, parse: Parse, now: datetime) -> Batch:
    batch = Batch()
    for row in block.rows():
        try:
            batch.add([validated(record, now) for record in parse(row.raw)])
        except InvalidValue as error:
            batch.rejects.append(Reject.of(error, row.position, row.raw, row.identity))
    return batch
