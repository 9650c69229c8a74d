"""A judge that moves, as its probes show."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from ops.monitoring.alerts import Status, Summary, Tier
from ops.monitoring.baselines import DayScores, Pinned
from ops.monitoring.rules.judge import JudgeSample, evaluate
from tests.scored_days import FIRST

# A day of 25 probes scatters by .05 / 5 = .01
PINNED = Pinned(mean=0.7, sigma=0.05, n=625, days=25)


def of(*means: float) -> tuple[DayScores, ...]:
    return tuple(DayScores(FIRST + timedelta(days=number), 25, mean) for number, mean in enumerate(means))


STEADY = JudgeSample("probe:relevance judge:rubric-1", "rubric-1", PINNED, of(0.7, 0.705, 0.695))


RETIRED = JudgeSample("probe:relevance judge:old", "", None, retired=True)
UNKNOWN = Status.INSUFFICIENT_DATA
STRICTER = "moved, probes at 0.650, 7.1 % below their baseline"
MILDER = "moved, probes at 0.750, 7.1 % above their baseline"


@pytest.mark.parametrize(
    ("sample", "status", "told"),
    [
        (STEADY, Status.OK, "steady"),
        # z = -5: 2 x (5 - .7) = 8.6 > 7.1 + ln 2 = 7.8
        (replace(STEADY, days=of(0.7, 0.65, 0.65)), Status.BREACH, STRICTER),
        (replace(STEADY, days=of(0.7, 0.75, 0.75)), Status.BREACH, MILDER),
        (replace(STEADY, pinned=None), UNKNOWN, "unknown: its probes have no pinned baseline yet"),
        (replace(STEADY, days=()), UNKNOWN, "unknown: no probes since they were pinned"),
        (RETIRED, Status.OK, "no longer in use"),
    ],
    ids=["steady", "stricter", "milder", "not pinned yet", "no probes", "retired"],
)
def test_judge_that_moved_is_told(sample: JudgeSample, status: Status, told: str) -> None:
    condition = evaluate(sample)
    assert (condition.status, condition.summary.value) == (status, told)
    assert condition.tier is (Tier.WARNING if status is Status.BREACH else None)


def test_judge_that_moved_is_told_with_the_day_it_did() -> None:
    condition = evaluate(replace(STEADY, days=of(0.7, 0.65, 0.65)))
    assert condition.summary == Summary("Judge", STRICTER, "2026-01-06", "since")
    assert (condition.value, condition.limit) == (pytest.approx(0.65), 0.7)
    assert set(condition.evidence) == {"cause", "what_to_do"}
