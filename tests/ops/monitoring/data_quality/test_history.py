"""How a check came out over time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from ops.monitoring.data_quality.history import Past, Run, Span, told_apart

START = datetime(2026, 3, 5, tzinfo=UTC)


def runs(*outcomes: str) -> list[Run]:
    return [
        Run(START + timedelta(hours=number), "critical", outcome, f"{number}", None)
        for number, outcome in enumerate(outcomes)
    ]


PAST = Past("events", "ids", told_apart(runs("passed", "failed", "failed", "anything else", "passed")))


def test_runs_in_a_row_that_came_out_alike_are_one_span() -> None:
    made = runs("passed", "failed", "failed")
    assert told_apart(made) == [
        Span("passed", START, START, 1, made[0]),
        Span("failed", START + timedelta(hours=1), START + timedelta(hours=2), 2, made[2]),
    ]


def test_past_counts_every_outcome_whatever_it_is_called() -> None:
    assert PAST.outcomes == {"passed": 2, "failed": 2, "anything else": 1}
    assert (PAST.present.outcome, PAST.present.runs) == ("passed", 1)


@pytest.mark.parametrize(
    ("words", "meant"),
    [("events", True), ("ids", True), ("events/ids", True), ("events: ids", True), ("id", False), ("traffic", False)],
)
def test_past_is_named_as_alerts_and_screens_name_it(words: str, meant: bool) -> None:
    assert PAST.is_named(words) is meant
