"""Requests of the last hours, counted by what can be to blame: the shared measure of availability and of vendors.

Before it: `tasks/stores/traffic.py` counts. After it: `rules/availability.py` and `rules/vendor.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeAlias

from ops.proportions import Share

WINDOWS = ("5 min", "1 h", "6 h")  # that end now
IDLE = timedelta(days=7)  # without a request: what an alert is about is no longer in use
NOT_IN_USE = f"no requests in {IDLE.days} d: no longer in use"
SUCCESS = "success"
NOTHING = Share(0, 0)
Shares: TypeAlias = tuple[Share, Share, Share]


@dataclass(frozen=True, slots=True)
class Cell:
    """How many requests ended in one way, in each of WINDOWS."""

    vendor: str
    model: str
    service: str
    outcome: str  # SUCCESS, or what kind of failure it was
    counts: tuple[int, int, int]


def failures(cells: Iterable[Cell], passed: Collection[str]) -> Shares:
    """Return the failures of each window: of all requests, those whose outcome is not `passed`."""
    sums = [[0, 0] for _ in WINDOWS]
    for cell in cells:
        for pair, count in zip(sums, cell.counts, strict=True):
            pair[0] += 0 if cell.outcome in passed else count
            pair[1] += count
    short, middle, long = (Share(hits, n) for hits, n in sums)
    return short, middle, long


def grouped(cells: Iterable[Cell], name: Callable[[Cell], str]) -> dict[str, list[Cell]]:
    """Return the cells by a name of theirs, in the order of the names."""
    by_name: dict[str, list[Cell]] = {}
    for cell in cells:
        by_name.setdefault(name(cell), []).append(cell)
    return dict(sorted(by_name.items()))
