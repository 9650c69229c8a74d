"""Show what quality is held to: every series' baseline, who accepted it when and why, and what it replaced.

Before it: `tasks/pin_baselines.py` pins. After it: `watchkeeper quality baselines` and `accept-baseline`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from itertools import groupby, pairwise
from typing import Any

from ops.monitoring.baselines import compared
from tasks.stores.baselines import Baseline

COLUMNS = ("Series", "Held to#", "Usual day", "Sigma#", "Scores#", "Days", "Since", "By", "Reason", "Replaces")
Kept = tuple[Baseline, Baseline | None]  # a baseline and the one before it


def with_before(found: Sequence[Baseline], *, replaced: bool = False) -> Iterator[Kept]:
    """Yield every series' baseline in force and what it replaced; with `replaced`, those before it too.

    `found` are all of them, by series and the newest first.
    """
    for _, same in groupby(found, lambda baseline: baseline.series):
        kept = list(pairwise([*same, None]))
        yield from ((new, old) for new, old in (kept if replaced else kept[:1]) if new is not None)


def rows(kept: Iterable[Kept]) -> Iterator[tuple[str, ...]]:
    """Write each as a line of a table."""
    for baseline, before in kept:
        pinned, window = baseline.pinned, baseline.window
        low, high = pinned.usual(pinned.n / pinned.days)
        yield (
            str(baseline.series), f"{pinned.mean:.3f}", f"{low:.3f} to {high:.3f}", f"{pinned.sigma:.3f}",
            f"{pinned.n:,}", f"{pinned.days} of {window.start:%Y-%m-%d} to {window.end:%Y-%m-%d}",
            f"{baseline.accepted_at:%Y-%m-%d %H:%M}", baseline.accepted_by, baseline.reason,
            replaces(baseline, before) if before else "",
        )  # fmt: skip


def replaces(baseline: Baseline, before: Baseline) -> str:
    """Say what the one before was, since when, and how the new one compares."""
    old = before.pinned.mean
    return f"{old:.3f} since {before.accepted_at:%Y-%m-%d}, now {compared(baseline.pinned.mean, old)} it"


def as_document(baseline: Baseline, before: Baseline | None) -> dict[str, Any]:
    """Return a baseline as JSON has it."""
    low, high = baseline.pinned.usual(baseline.pinned.n / baseline.pinned.days)
    window = {"from": baseline.window.start, "to": baseline.window.end}
    accepted = {"accepted_at": baseline.accepted_at, "accepted_by": baseline.accepted_by, "reason": baseline.reason}
    old = before and {
        "mean": before.pinned.mean, "n": before.pinned.n, "accepted_at": before.accepted_at,
        "accepted_by": before.accepted_by, "reason": before.reason,
    }  # fmt: skip
    usual = {"usual_low": low, "usual_high": high}
    return {**asdict(baseline.series), **asdict(baseline.pinned), **usual, **window, **accepted, "replaces": old}
