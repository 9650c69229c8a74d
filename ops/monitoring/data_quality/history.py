"""How a data check came out over time: runs in a row with the same outcome are one span.

Before it: `tasks/stores/quality_checks.py` reads. After it: `watchkeeper quality history`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby


@dataclass(frozen=True, slots=True)
class Run:
    """What one run of a check found."""

    as_of: datetime
    severity: str
    outcome: str
    observed: str | None
    detail: str | None


@dataclass(frozen=True, slots=True)
class Span:
    """Runs in a row that came out alike."""

    outcome: str
    since: datetime  # the first of them
    until: datetime  # the last of them
    runs: int
    last: Run


@dataclass(frozen=True, slots=True)
class Past:
    """A check's spans, oldest first; there is one at least."""

    suite: str
    name: str
    spans: Sequence[Span]

    @property
    def present(self) -> Span:
        """How it comes out since its outcome last changed."""
        return self.spans[-1]

    @property
    def outcomes(self) -> Counter[str]:
        """How many runs came out how."""
        counts: Counter[str] = Counter()
        for span in self.spans:
            counts[span.outcome] += span.runs
        return counts

    def is_named(self, words: str) -> bool:
        """Tell whether these words mean it: its suite, its name, or both as alerts and `status` write them."""
        return words in (self.suite, self.name, f"{self.suite}/{self.name}", f"{self.suite}: {self.name}")


def told_apart(runs: Iterable[Run]) -> list[Span]:
    """Return the spans of a check's runs, which are in the order of time."""
    found = []
    for outcome, alike in groupby(runs, lambda run: run.outcome):
        some = list(alike)
        found.append(Span(outcome, some[0].as_of, some[-1].as_of, len(some), some[-1]))
    return found
