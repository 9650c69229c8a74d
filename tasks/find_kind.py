"""Find out of what kind a file is where nobody says: by its name, by a mapping, or by what its first record is.

Before it: `watchkeeper ingest`. After it: a `Source` of that kind.
"""

from __future__ import annotations

from dataclasses import dataclass

from ops.errors import WatchkeeperError
from tasks.log_file import LogFile
from tasks.read_lines import read_head
from tasks.sources import recognised

DEFAULT = "litellm"
_BY_NAME = ("csv", "parquet")


@dataclass(frozen=True, slots=True)
class Found:
    """A kind, and the keys of the first record by which it is certain; none where something else decided."""

    kind: str
    keys: tuple[str, ...] = ()


def find_kind(file: LogFile, *, is_mapped: bool) -> Found:
    """Return a file's kind; the default where its first record is certainly of none, or cannot be read."""
    for kind in _BY_NAME:
        if f".{kind}" in file.suffixes:
            return Found(kind)
    return Found("jsonl") if is_mapped else _by_record(file)


def _by_record(file: LogFile) -> Found:
    try:
        head = read_head(file, header=False)
    except WatchkeeperError:
        return Found(DEFAULT)  # loading it tells what is wrong
    kinds = recognised(head.keys if head else ())
    if len(kinds) != 1:
        return Found(DEFAULT)
    [(kind, mark)] = kinds.items()
    return Found(kind, tuple(sorted(mark)))
