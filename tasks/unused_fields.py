"""Name the fields of a file that nothing reads: one that is called almost right costs money, and no row is wrong.

Before it: `tasks/load_file.py` has a file's header, schema or first record. After it: `Loaded` tells of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from functools import lru_cache

MAX_FILES = 20  # that a load tells of
_LOOKED_AT, _SHOWN, _LONGEST = 200, 20, 60
_ALIKE = 0.81  # `cached_input_tokens` is like `cached_tokens`; `input_tokens` is not like `output_tokens`


@dataclass(frozen=True, slots=True)
class Unused:
    """The fields of one file that nothing reads, each with the field of ours that it may be meant for."""

    file: str
    fields: dict[str, str | None]
    more: int = 0  # so many others


def unused_fields(file: str, names: Iterable[str], columns: Mapping[str, str]) -> tuple[Unused, ...]:
    """Return those of a file's fields that are not among `columns`, the column of each field of ours, if there are any.

    What may be meant for a field that the file does not give comes first.
    """
    given = dict.fromkeys(name for name in names if name)
    free = tuple(field for field, column in columns.items() if column not in given)
    used = set(columns.values())
    unused = [name for name in given if name not in used]
    meant = {name[:_LONGEST]: _near(name[:_LONGEST], free) for name in unused[:_LOOKED_AT]}
    shown = dict(sorted(meant.items(), key=lambda item: item[1] is None)[:_SHOWN])
    return (Unused(file, shown, len(unused) - len(shown)),) if shown else ()


@lru_cache(maxsize=1_000)  # the next file has the same
def _near(name: str, free: tuple[str, ...]) -> str | None:
    return next(iter(get_close_matches(name.lower(), free, n=1, cutoff=_ALIKE)), None)
