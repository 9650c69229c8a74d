"""What `watchkeeper status` shows: rows of a few words, each with how grave it is. The areas write their own rows.

Before it: `tasks/read_status.py` reads what the rows are made of. After it: `cli/status.py` prints them.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

ALERTS = "alerts"  # the section that tells of them
LATE_AFTER = 2  # periods: what should have been done so often and was not is late


class Level(StrEnum):
    """How something stands, the gravest first; critical, warning and info are the alert tiers."""

    CRITICAL = "critical"
    UNREADABLE = "unreadable"  # we could not look: graver than a warning
    WARNING = "warning"
    UNKNOWN = "unknown"  # whoever should have looked did not, or saw too little to tell
    INFO = "info"
    OK = "ok"
    NONE = "none"  # nothing is there to be judged, which is neither fine nor a breach

    @property
    def rank(self) -> int:
        """Its place among them: the graver, the lower."""
        return list(Level).index(self)

    @property
    def is_grave(self) -> bool:
        """Whether somebody should look."""
        return self.rank <= Level.UNKNOWN.rank

    @classmethod
    def gravest(cls, levels: Iterable[Level]) -> Level:
        """Return the gravest of some; NONE of none at all."""
        return min(levels, key=lambda level: level.rank, default=cls.NONE)


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the screen; `facts` are the values behind the words, for machines."""

    level: Level
    about: str
    text: str
    facts: Mapping[str, Any] = field(default_factory=dict)
    stays: bool = False  # is shown however many there are
    alert: str = ""  # rule and key of the one that says the same

    def as_json(self) -> dict[str, Any]:
        """Return what machines read of it."""
        return {"level": self.level, "about": self.about, "text": self.text, "facts": self.facts}


@dataclass(frozen=True, slots=True)
class Section:
    """What is known of one part of the system."""

    name: str
    rows: tuple[Row, ...]

    @property
    def level(self) -> Level:
        """The gravest of its rows."""
        return Level.gravest(row.level for row in self.rows)

    def without(self, alerts: Collection[str]) -> Section:
        """Leave out what these say too."""
        rows = tuple(row for row in self.rows if row.alert not in alerts)
        told = len(self.rows) - len(rows)
        return Section(self.name, (*rows, Row(Level.NONE, "", f"{told:,} more: see the alerts")) if told else rows)

    def shown(self, most: int) -> tuple[Row, ...]:
        """Return the gravest rows, at most so many; where some are left out the last one says how many."""
        ordered = sorted(self.rows, key=lambda row: row.level.rank)
        if len(ordered) <= most:
            return tuple(ordered)
        room = most - 1 - sum(row.stays for row in ordered)
        rest = [row for row in ordered if not row.stays][room:]
        left_out = Row(rest[0].level, "", f"and {len(rest):,} more: --json has all")
        return *(row for row in ordered if row not in rest), left_out


def counts(levels: Iterable[Level]) -> dict[Level, int]:
    """Count the grave ones: `{CRITICAL: 1, WARNING: 2}`."""
    found = list(levels)
    return {level: found.count(level) for level in Level if level.is_grave and level in found}


def told_once(sections: Sequence[Section]) -> list[Section]:
    """Leave out of each section what an alert that fires says too."""
    firing = {row.alert for section in sections if section.name == ALERTS for row in section.rows if row.alert}
    return [section if section.name == ALERTS else section.without(firing) for section in sections]


def worst_first(sections: Iterable[Section]) -> list[Section]:
    """Put what somebody should look at before all else, the gravest first; the others stay in their order."""
    return sorted(sections, key=lambda section: section.level.rank if section.level.is_grave else len(Level))
