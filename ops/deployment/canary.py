"""A rollout and its next move: hold, advance, promote or roll back.

Before it: `gates.py` gave a verdict. After it: `tasks` store the new state and the message that tells of it in one
transaction, guarded by `version`, and move the traffic. A rollout moves forward on PASS alone: without data, or while
the answer is open, it stays where it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Any

from ops.deployment.bucketing import Split
from ops.deployment.gates import GateResult, Verdict
from ops.deployment.plan import Plan
from ops.errors import InvalidValue


class RolloutState(StrEnum):
    """Where a rollout stands; the last three are final."""

    RUNNING = "running"
    PAUSED = "paused"
    PROMOTED = "promoted"
    ROLLED_BACK = "rolled_back"
    ABORTED = "aborted"


class Action(StrEnum):
    """What to do with a rollout now."""

    HOLD = "hold"
    ADVANCE = "advance"
    PROMOTE = "promote"
    ROLL_BACK = "roll_back"


_OPEN = (RolloutState.RUNNING, RolloutState.PAUSED)
_REACHED = {
    Action.ADVANCE: RolloutState.RUNNING,
    Action.PROMOTE: RolloutState.PROMOTED,
    Action.ROLL_BACK: RolloutState.ROLLED_BACK,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Rollout:
    """One release on its way to replace another."""

    rollout_id: str
    service: str
    control_release: str
    canary_release: str
    plan: Plan
    stage_started_at: datetime
    stage: int = 0  # index into the plan's steps; the last step is not a stage, it is the promotion
    state: RolloutState = RolloutState.RUNNING
    version: int = 0  # grows by one with every change: whoever writes an older one has lost the race

    def __post_init__(self) -> None:
        if self.control_release == self.canary_release:
            raise InvalidValue("rollout.canary_release", self.canary_release, "another release than the control's")
        if not 0 <= self.stage < len(self.plan.steps) - 1:
            raise InvalidValue("rollout.stage", self.stage, f"a stage of the plan's steps {self.plan.steps}")
        if self.stage_started_at.tzinfo is None:
            raise InvalidValue("rollout.stage_started_at", self.stage_started_at, "timezone-aware")

    @property
    def canary_percent(self) -> int:
        """The canary's share of traffic; 100 after promotion, 0 after a roll-back or an abort."""
        if self.state in _OPEN:
            return self.plan.steps[self.stage]
        return 100 if self.state is RolloutState.PROMOTED else 0

    @property
    def split(self) -> Split:
        """Who sees which release now: salted by the rollout, so that its stages share one order of keys."""
        return Split(
            service=self.service,
            control_release=self.control_release,
            canary_release=self.canary_release,
            canary_percent=self.canary_percent,
            salt=self.rollout_id,
        )


@dataclass(frozen=True, slots=True)
class Decision:
    """What to do, why in one line, the canary's percent afterwards, and the plain JSON values it follows from."""

    action: Action
    reason: str
    canary_percent: int
    rollout_version: int  # the version it was made for
    evidence: Mapping[str, Any]


def decide(rollout: Rollout, gate: GateResult, now: datetime, hold: str | None = None) -> Decision:
    """Decide the rollout's next move from the gate's verdict and the time spent in the stage.

    `hold` says why nothing may move forward now; back it always may.
    """
    action, reason = _choose(rollout, gate, now)
    if hold is not None and action in {Action.ADVANCE, Action.PROMOTE}:
        action, reason = Action.HOLD, f"passing, but held: {hold}"
    evidence = {
        "rollout_id": rollout.rollout_id,
        "version": rollout.version,
        "state": rollout.state.value,
        "stage": rollout.stage,
        "stage_started_at": rollout.stage_started_at.isoformat(),
        "decided_at": now.isoformat(),
        "gate": dict(gate.evidence),
    }
    return Decision(action, reason, _percent_after(rollout, action), rollout.version, evidence)


def apply(rollout: Rollout, decision: Decision, now: datetime) -> Rollout:
    """Return the rollout after the decision, one version later; a HOLD changes nothing.

    Raises:
        InvalidValue: the decision was made for another version, or the rollout is not running.
    """
    if decision.rollout_version != rollout.version:
        raise InvalidValue("decision.rollout_version", decision.rollout_version, f"the rollout's {rollout.version}")
    if decision.action is Action.HOLD:
        return rollout
    if rollout.state is not RolloutState.RUNNING:
        raise InvalidValue("rollout.state", rollout.state.value, f"running, so it cannot {decision.action}")
    return _changed(rollout, _REACHED[decision.action], now, advance=decision.action is Action.ADVANCE)


def change_state(rollout: Rollout, state: RolloutState, now: datetime) -> Rollout:
    """Pause, resume, abort, promote or roll back by hand; a resumed stage starts its time anew.

    Raises:
        InvalidValue: the rollout has ended, or is in that state already.
    """
    if rollout.state not in _OPEN:
        raise InvalidValue("rollout.state", rollout.state.value, f"open, so it cannot become {state}")
    if rollout.state is state:
        raise InvalidValue("rollout.state", rollout.state.value, f"another state than {state}")
    return _changed(rollout, state, now)


def _choose(rollout: Rollout, gate: GateResult, now: datetime) -> tuple[Action, str]:
    if rollout.state is not RolloutState.RUNNING:
        return Action.HOLD, f"the rollout is {rollout.state.replace('_', ' ')}"
    if gate.verdict is Verdict.FAIL:
        return Action.ROLL_BACK, gate.reason
    if gate.verdict is not Verdict.PASS:
        return Action.HOLD, gate.reason
    elapsed = now - rollout.stage_started_at
    if elapsed < rollout.plan.min_stage:
        return Action.HOLD, f"passing, but only {elapsed} of {rollout.plan.min_stage} spent in this stage"
    is_last = rollout.stage == len(rollout.plan.steps) - 2
    return Action.PROMOTE if is_last else Action.ADVANCE, gate.reason


def _percent_after(rollout: Rollout, action: Action) -> int:
    if action is Action.HOLD:
        return rollout.canary_percent
    return 0 if action is Action.ROLL_BACK else rollout.plan.steps[rollout.stage + 1]


def _changed(rollout: Rollout, state: RolloutState, now: datetime, advance: bool = False) -> Rollout:
    stage = rollout.stage + advance
    return replace(rollout, state=state, stage=stage, stage_started_at=now, version=rollout.version + 1)
