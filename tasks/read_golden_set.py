"""Read a golden set, whole or not at all: the mean over half of one would be another measure.

Before it: somebody wrote the file. After it: `tasks/run_evaluations.py` asks its questions.
"""

from __future__ import annotations

from typing import Any

from ops.errors import Incomplete, InvalidValue
from ops.monitoring.golden import GoldenItem, golden_item
from tasks.log_file import LogFile
from tasks.read_rows import read_rows

MOST_ITEMS = 100_000
Lines = dict[tuple[str | None, ...], int]


class WrongLine(InvalidValue):
    """A line of a golden set that is no item."""

    def __init__(self, position: int, error: InvalidValue) -> None:
        super().__init__(f"line {position}, {error.field}", error.value, error.limit)


def read_golden_set(name: str, address: str, *, answered: bool = False) -> list[GoldenItem]:
    """Return the items of a file in JSON lines or CSV; with `answered` each must hold its answer.

    Raises:
        Incomplete: lines are wrong; each is named with its field, its value and the limit.
        InvalidValue: there is no item, or there are too many.
        NotFound, Unavailable: the file.
    """
    items: list[GoldenItem] = []
    lines: Lines = {}
    wrong: list[WrongLine] = []
    read = 0
    for position, row in (each for rows in read_rows(LogFile(address)) for each in rows):
        read += 1
        if read > MOST_ITEMS:
            raise InvalidValue(f"golden set {name}", f"{address} of more items", f"of at most {MOST_ITEMS:,} items")
        try:
            item = _item(row, answered=answered)
            _check_own(item, item.answer if answered else None, position, lines)
            items.append(item)
        except InvalidValue as error:
            wrong.append(WrongLine(position, error))
    if wrong:
        raise Incomplete(f"golden set {name} ({address})", read, wrong)
    if not items:
        raise InvalidValue(f"golden set {name}", address, "a file with items")
    return items


def _item(row: Any, *, answered: bool) -> GoldenItem:
    if isinstance(row, InvalidValue):
        raise row
    item = golden_item(row)
    if answered and item.answer is None:
        raise InvalidValue("answer", None, "there: a probe is judged as it is")
    return item


def _check_own(item: GoldenItem, answer: str | None, position: int, lines: Lines) -> None:
    """Refuse what a line before it asks, or is called; of the judge's probes many judge answers to one question."""
    if (before := lines.setdefault(("query", item.query, answer), position)) != position:
        raise InvalidValue("query", item.query, f"its own: line {before} has it")
    if (before := lines.setdefault(("item_id", item.item_id), position)) != position:
        raise InvalidValue("item_id", item.item_id, f"its own: line {before} has it")
