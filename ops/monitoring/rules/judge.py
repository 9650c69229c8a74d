"""A judge that marks its probe set, which never changes, otherwise than when it was pinned.

While it does, what it says of the answers is not what it said before: `quality.py` tells nobody of a fall that the
probes show too.
"""

from __future__ import annotations

from dataclasses import dataclass

from ops.monitoring.alerts import Condition, Status, Summary, Tier
from ops.monitoring.baselines import DayScores, Pinned
from ops.monitoring.drift import Shift, find_shift


@dataclass(frozen=True, slots=True)
class JudgeSample:
    """A judge's marks of its probes, on the days since they were pinned and today."""

    key: str
    judge: str
    pinned: Pinned | None  # None: nothing pinned yet
    days: tuple[DayScores, ...] = ()
    series: int = 1  # how many probe sets are judged
    retired: bool = False  # its metric's probes are marked, but not by this judge

    @property
    def shift(self) -> Shift | None:
        """How the judge has changed; None when it has not, or nobody can tell."""
        return None if self.pinned is None else find_shift(self.judge, self.days, self.pinned, series=self.series)


def evaluate(sample: JudgeSample) -> Condition:
    """Breach when the CUSUM of the probes' daily means sounds its alarm, upwards or downwards."""
    shift = sample.shift
    known = sample.retired or (sample.pinned is not None and bool(sample.days))
    status = Status.BREACH if shift else Status.OK if known else Status.INSUFFICIENT_DATA
    return Condition(
        rule="judge",
        key=sample.key,
        status=status,
        tier=Tier.WARNING if shift else None,
        value=shift.level if shift else None,
        limit=sample.pinned.mean if sample.pinned else None,
        unit="score",
        summary=_summary(sample, shift),
        evidence=_EVIDENCE if shift else {},
    )


_EVIDENCE = {
    "cause": "the probes are the same each day: the judge's model or prompt has changed, not the answers",
    "what_to_do": "give the changed judge a version of its own, or accept its baselines: quality accept-baseline",
}


def _summary(sample: JudgeSample, shift: Shift | None) -> Summary:
    if shift is not None:
        return Summary("Judge", f"moved, probes at {shift.told}", f"{shift.onset}", "since")
    if sample.retired:
        return Summary("Judge", "no longer in use", "no change")
    if sample.pinned is None:
        return Summary("Judge", "unknown: its probes have no pinned baseline yet", "no change")
    return Summary("Judge", "steady" if sample.days else "unknown: no probes since they were pinned", "no change")
