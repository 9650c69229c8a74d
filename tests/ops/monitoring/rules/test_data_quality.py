from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from ops.monitoring.alerts import Condition, Status, Tier
from ops.monitoring.rules.data_quality import CheckSample, evaluate


def judge(**changes: Any) -> Condition:
    usual: dict[str, Any] = {
        "check": "events/vendor is known", "severity": "critical", "outcome": "failed",
        "checked_at": datetime(2026, 3, 5, 12, 20, tzinfo=UTC), "detail": "3 rows break it",
        "holds": ("projections", "promotions"),
    }  # fmt: skip
    return evaluate(CheckSample(**{**usual, **changes}))


@pytest.mark.parametrize(
    ("outcome", "severity", "status", "tier"),
    [
        ("failed", "critical", Status.BREACH, Tier.CRITICAL),
        ("failed", "warning", Status.BREACH, Tier.WARNING),
        ("passed", "critical", Status.OK, None),
        ("errored", "critical", Status.INSUFFICIENT_DATA, None),
        ("no_data", "critical", Status.INSUFFICIENT_DATA, None),
        (None, "info", Status.OK, None),
    ],
)
def test_check_is_told_by_its_outcome_and_severity(
    outcome: str | None, severity: str, status: Status, tier: Tier | None
) -> None:
    condition = judge(outcome=outcome, severity=severity)
    assert (condition.status, condition.tier, condition.key) == (status, tier, "check:events/vendor is known")
    assert condition.value == (1 if outcome == "failed" else 0)


def test_failure_says_when_what_and_what_is_held() -> None:
    condition = judge()
    assert condition.evidence == {
        "checked_at": "2026-03-05 12:20 UTC", "cause": "3 rows break it", "held": "projections and promotions"
    }  # fmt: skip
    assert condition.summary.value == "failed: events/vendor is known"
    assert judge(detail=None, holds=()).evidence == {"checked_at": "2026-03-05 12:20 UTC"}


@pytest.mark.parametrize(
    ("outcome", "words"),
    [
        ("passed", "passed: events/vendor is known"),
        ("no_data", "no data: events/vendor is known"),
        (None, "no longer made: events/vendor is known"),
    ],
)
def test_what_did_not_fail_has_no_evidence(outcome: str | None, words: str) -> None:
    condition = judge(outcome=outcome)
    assert (condition.evidence, condition.summary.value) == ({}, words)


def test_failure_whose_cause_is_told_by_another_alert_tells_nothing() -> None:
    condition = judge(told_by="silence of gateway")
    assert (condition.status, condition.tier, condition.evidence) == (Status.INSUFFICIENT_DATA, None, {})
    assert condition.summary.value == "failed: events/vendor is known"
