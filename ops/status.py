"""What `watchkeeper status` shows: rows of a few words, each with how grave it is. The areas write their own rows.

Before it: `tasks/read_status.py` reads what the rows are made of. After it: `cli/status.py` prints them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class Level(StrEnum):
    """How something stands, the gravest first; the first, second and fourth are the alert tiers."""

    CRITICAL = "critical"
    UNREADABLE = "unreadable"  # nobody knows: graver than a warning
    WARNING = "warning"
    INFO = "info"
    OK = "ok"
    NONE = "none"  # nothing is there to be judged, which is neither fine nor a breach

    @classmethod
    def gravest(cls, levels: Iterable[Level]) -> Level:
        """Return the gravest of some; NONE of none at all."""
        return min(levels, key=list(cls).index, default=cls.NONE)


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the screen; `facts` are the values behind the words, for machines."""

    level: Level
    about: str
    text: str
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Section:
    """What is known of one part of the system."""

    name: str
    rows: tuple[Row, ...]

    @property
    def level(self) -> Level:
        """The gravest of its rows."""
        return Level.gravest(row.level for row in self.rows)

    def shown(self, most: int) -> tuple[Row, ...]:
        """Return the gravest rows, at most so many; where some are left out the last one says how many."""
        ordered = sorted(self.rows, key=lambda row: list(Level).index(row.level))
        if len(ordered) <= most:
            return tuple(ordered)
        rest = ordered[most - 1 :]
        return *ordered[: most - 1], Row(rest[0].level, "", f"and {len(rest):,} more: --json has all")


def counted(levels: Iterable[Level]) -> str:
    """Say how many are grave: `1 critical, 2 warning`."""
    found = list(levels)
    grave = (Level.CRITICAL, Level.UNREADABLE, Level.WARNING)
    words = [f"{found.count(level)} {level}" for level in grave if level in found]
    return ", ".join(words) or "no warning"
