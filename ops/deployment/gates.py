"""The gate of a rollout: is the canary's success rate still good enough, by the requests seen so far?

Before it: `tasks` count each arm's requests by stage. After it: `canary.py` decides by the verdict. Too little data has
a verdict of its own: it neither promotes nor rolls back. The evidence holds every input, so that `replay` reaches the
same verdict from a stored row.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Self

from ops.deployment.plan import Plan
from ops.deployment.sequential import Bounds, share_difference
from ops.proportions import Share

BURST_MIN_REQUESTS = 10
BURST_FAILURE_SHARE = 0.5
NO_REQUESTS = Share(0, 0)


class Verdict(StrEnum):
    """What a gate says."""

    PASS = "pass"  # noqa: S105  (a verdict, not a password)
    FAIL = "fail"
    INCONCLUSIVE = "inconclusive"
    NO_DATA = "no_data"


@dataclass(frozen=True, slots=True)
class GateResult:
    """A verdict, the line that a person reads, and the plain JSON values that it follows from."""

    verdict: Verdict
    reason: str
    evidence: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class StageCounts:
    """Successes among the requests of each arm, during one stage (the same hours for both arms)."""

    control: Share
    canary: Share

    @classmethod
    def from_mapping(cls, mapping: Mapping[str, Sequence[int]]) -> Self:
        """Read what `to_mapping` wrote."""
        return cls(Share(*mapping["control"]), Share(*mapping["canary"]))

    def to_mapping(self) -> dict[str, list[int]]:
        """Return [successes, requests] of each arm."""
        return {"control": [self.control.hits, self.control.n], "canary": [self.canary.hits, self.canary.n]}


def success_rate_gate(stages: Sequence[StageCounts], plan: Plan, recent_failures: Share = NO_REQUESTS) -> GateResult:
    """Judge the canary's success rate against the control's, over all stages so far; the last one is the current.

    FAIL when surely more than half of the canary's last requests failed (`recent_failures`, of the last few minutes),
    from 10 requests on. NO_DATA below the plan's `min_requests`. PASS when the lower bound of canary minus control is
    above -`max_drop`: a smaller loss is what the plan accepts, even when it is certain. FAIL when the upper bound is
    below zero: the canary is worse, and may be by more than is accepted. Otherwise INCONCLUSIVE.
    """
    bounds = share_difference([(stage.control, stage.canary) for stage in stages], plan.alpha)
    verdict, reason = _judge(bounds, stages, plan, recent_failures)
    evidence = {
        "gate": "success_rate",
        "plan": plan.to_mapping(),
        "stages": [stage.to_mapping() for stage in stages],
        "recent_failures": [recent_failures.hits, recent_failures.n],
        "difference": _as_json(bounds),
        "verdict": verdict.value,
    }
    return GateResult(verdict, reason, evidence)


def replay(evidence: Mapping[str, Any]) -> GateResult:
    """Judge again from stored evidence: the same counts under the same plan."""
    stages = [StageCounts.from_mapping(stage) for stage in evidence["stages"]]
    return success_rate_gate(stages, Plan.from_mapping(evidence["plan"]), Share(*evidence["recent_failures"]))


def _judge(bounds: Bounds | None, stages: Sequence[StageCounts], plan: Plan, burst: Share) -> tuple[Verdict, str]:
    if burst.n >= BURST_MIN_REQUESTS and burst.lower() > BURST_FAILURE_SHARE:
        return Verdict.FAIL, f"error burst: {burst.hits} of the canary's last {burst.n} requests failed"
    current = stages[-1] if stages else StageCounts(NO_REQUESTS, NO_REQUESTS)
    if bounds is None or min(current.control.n, current.canary.n) < plan.min_requests:
        return Verdict.NO_DATA, (
            f"{current.canary.n} canary and {current.control.n} control requests in this stage: "
            f"{plan.min_requests} of each are needed"
        )
    return _compare(bounds, stages, plan)


def _compare(bounds: Bounds, stages: Sequence[StageCounts], plan: Plan) -> tuple[Verdict, str]:
    lower, upper, accepted = (_points(value) for value in (bounds.lower, bounds.upper, -plan.max_drop))
    seen = f"{_describe(stages)}: difference {_points(bounds.estimate)} points,"
    sure = f"{1 - plan.alpha:.0%} sure"
    if bounds.lower > -plan.max_drop:
        return Verdict.PASS, f"{seen} {sure} that it is above {lower}; {accepted} is accepted"
    if bounds.upper < 0:
        return Verdict.FAIL, f"{seen} {sure} that it is below {upper}, a loss"
    return Verdict.INCONCLUSIVE, f"{seen} between {lower} and {upper}: {accepted} is not ruled out, nor is no loss"


def _describe(stages: Sequence[StageCounts]) -> str:
    canary, control = [stage.canary for stage in stages], [stage.control for stage in stages]
    return f"success {_rate(canary)} of canary, {_rate(control)} of control"


def _rate(shares: Sequence[Share]) -> str:
    hits, n = sum(share.hits for share in shares), sum(share.n for share in shares)
    return f"{hits}/{n} ({hits / n:.2%})"


def _points(difference: float) -> str:
    return f"{100 * difference:+.2f}"


def _as_json(bounds: Bounds | None) -> dict[str, Any] | None:
    if bounds is None:
        return None
    return {"lower": bounds.lower, "estimate": bounds.estimate, "upper": bounds.upper, "method": bounds.method}
