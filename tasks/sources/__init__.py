"""The kinds of log that usage can come from, one file each. To add one: a file with `parser` and a line here."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from ops.errors import UnknownName
from ops.scores import Score
from ops.usage import UsageEvent
from tasks.settings import Source
from tasks.sources import litellm, mapped, scores

Record = UsageEvent | Score


class Parser(Protocol):
    """Turn one line into a record; raises InvalidValue for a line that is not one."""

    def __call__(self, line: bytes, position: int, fingerprint: str) -> Record:
        """`position` is the line's number from 1, `fingerprint` the file's identity."""
        ...


KINDS: dict[str, Callable[[Source, bytes], Parser]] = {
    "litellm": litellm.parser,
    "jsonl": mapped.jsonl_parser,
    "csv": mapped.csv_parser,
    "scores": scores.parser,
}


def parser_for(source: Source, first_line: bytes) -> Parser:
    """Return the parser of a source's kind, for a file that begins with `first_line`.

    Raises:
        UnknownName: no such kind.
        InvalidValue: the column mapping does not fit the file.
    """
    if source.kind not in KINDS:
        raise UnknownName(f"sources.{source.name}.kind", source.kind, KINDS)
    return KINDS[source.kind](source, first_line)


def has_header(source: Source) -> bool:
    """Whether the first line names columns."""
    return source.kind == "csv"
