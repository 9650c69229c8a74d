"""A data check that failed when it was looked at last: what is decided on that data may be wrong.

Before it: `tasks/check_quality.py` keeps the outcomes. The check's severity is the alert's tier.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from ops.monitoring.alerts import Condition, Json, Status, Summary, Tier
from ops.monitoring.data_quality.checks import Outcome


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckSample:
    """A check's last outcome; `outcome` is None when it is no longer made."""

    check: str  # suite/name
    severity: str
    outcome: str | None
    checked_at: datetime
    detail: str | None = None
    told_by: str | None = None  # the alert that tells of the cause
    holds: tuple[str, ...] = ()  # what does not go on while it fails


def evaluate(sample: CheckSample) -> Condition:
    """Breach when the check failed, unless another alert tells of the cause.

    One that could not be evaluated, or had nothing to look at, has said nothing.
    """
    failed = sample.outcome == Outcome.FAILED and sample.told_by is None
    unknown = sample.told_by is not None or sample.outcome in (Outcome.ERRORED, Outcome.NO_DATA)
    return Condition(
        rule="data_quality",
        key=f"check:{sample.check}",
        status=Status.BREACH if failed else Status.INSUFFICIENT_DATA if unknown else Status.OK,
        tier=Tier(sample.severity) if failed else None,
        value=float(failed),
        limit=0.0,
        unit="failures",
        summary=Summary("Data check", f"{_words(sample.outcome)}: {sample.check}", "none"),
        evidence=_evidence(sample) if failed else {},
    )


def _words(outcome: str | None) -> str:
    return "no longer made" if outcome is None else outcome.replace("_", " ")


def _evidence(sample: CheckSample) -> dict[str, Json]:
    facts: dict[str, Json] = {"checked_at": f"{sample.checked_at.astimezone(UTC):%Y-%m-%d %H:%M} UTC"}
    if sample.detail:
        facts["cause"] = sample.detail
    if sample.holds:
        facts["held"] = " and ".join(sample.holds)
    return facts
