import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ops.deployment.bucketing import assign
from ops.deployment.canary import Action, Rollout, RolloutState, apply, change_state, decide
from ops.deployment.gates import GateResult, Verdict
from ops.deployment.plan import CAREFUL
from ops.errors import InvalidValue

START = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
LATER = START + CAREFUL.min_stage
ROLLOUT = Rollout(
    rollout_id="r1",
    service="answers",
    control_release="old",
    canary_release="new",
    plan=CAREFUL,
    stage_started_at=START,
)


def gate(verdict: Verdict) -> GateResult:
    return GateResult(verdict, f"because {verdict}", {"verdict": verdict.value})


@pytest.mark.parametrize(
    ("rollout", "verdict", "waited", "action", "percent"),
    [
        pytest.param(ROLLOUT, Verdict.PASS, 30, Action.ADVANCE, 25, id="a pass advances to the next weight"),
        pytest.param(
            replace(ROLLOUT, stage=2), Verdict.PASS, 30, Action.PROMOTE, 100, id="a pass in the last stage promotes"
        ),
        pytest.param(ROLLOUT, Verdict.PASS, 29, Action.HOLD, 10, id="a pass before the stage is old enough waits"),
        pytest.param(ROLLOUT, Verdict.PASS, -5, Action.HOLD, 10, id="a clock behind the stage's start waits"),
        pytest.param(ROLLOUT, Verdict.FAIL, 0, Action.ROLL_BACK, 0, id="a failure rolls back at once"),
        pytest.param(ROLLOUT, Verdict.INCONCLUSIVE, 9999, Action.HOLD, 10, id="an open answer waits for ever"),
        pytest.param(ROLLOUT, Verdict.NO_DATA, 9999, Action.HOLD, 10, id="no data waits for ever"),
        pytest.param(
            replace(ROLLOUT, state=RolloutState.PAUSED), Verdict.FAIL, 30, Action.HOLD, 10, id="a paused one is left"
        ),
        pytest.param(
            replace(ROLLOUT, state=RolloutState.PROMOTED), Verdict.PASS, 30, Action.HOLD, 100, id="a promoted one too"
        ),
        pytest.param(
            replace(ROLLOUT, state=RolloutState.ABORTED), Verdict.PASS, 30, Action.HOLD, 0, id="an aborted one too"
        ),
    ],
)
def test_decide(rollout, verdict, waited, action, percent):
    decision = decide(rollout, gate(verdict), START + timedelta(minutes=waited))
    assert (decision.action, decision.canary_percent) == (action, percent)


@pytest.mark.parametrize(
    ("stage", "verdict", "action", "reason"),
    [
        pytest.param(0, Verdict.PASS, Action.HOLD, "passing, but held: bad data", id="what would advance is held"),
        pytest.param(2, Verdict.PASS, Action.HOLD, "passing, but held: bad data", id="what would be promoted too"),
        pytest.param(0, Verdict.FAIL, Action.ROLL_BACK, "because fail", id="what fails is rolled back all the same"),
        pytest.param(0, Verdict.NO_DATA, Action.HOLD, "because no_data", id="what waits has its own reason"),
    ],
)
def test_held_rollout_moves_back_only(stage, verdict, action, reason):
    decision = decide(replace(ROLLOUT, stage=stage), gate(verdict), LATER, "bad data")
    assert (decision.action, decision.reason) == (action, reason)


@pytest.mark.parametrize(
    ("rollout", "verdict", "reason"),
    [
        pytest.param(ROLLOUT, Verdict.FAIL, "because fail", id="with the gate's reason to roll back"),
        pytest.param(ROLLOUT, Verdict.NO_DATA, "because no_data", id="with the gate's reason to hold"),
        pytest.param(
            ROLLOUT,
            Verdict.PASS,
            "passing, but only 0:10:00 of 0:30:00 spent in this stage",
            id="with the time that is missing",
        ),
        pytest.param(
            replace(ROLLOUT, state=RolloutState.ROLLED_BACK),
            Verdict.PASS,
            "the rollout is rolled back",
            id="with the state that is final",
        ),
    ],
)
def test_decide_explains(rollout, verdict, reason):
    assert decide(rollout, gate(verdict), START + timedelta(minutes=10)).reason == reason


def test_decide_keeps_evidence_that_json_can_hold():
    decision = decide(ROLLOUT, gate(Verdict.PASS), LATER)
    assert json.loads(json.dumps(decision.evidence)) == {
        "rollout_id": "r1",
        "version": 0,
        "state": "running",
        "stage": 0,
        "stage_started_at": "2026-03-02T09:00:00+00:00",
        "decided_at": "2026-03-02T09:30:00+00:00",
        "gate": {"verdict": "pass"},
    }


@pytest.mark.parametrize(
    ("stage", "verdict", "expected"),
    [
        pytest.param(0, Verdict.PASS, {"stage": 1, "state": RolloutState.RUNNING}, id="an advance starts a stage"),
        pytest.param(2, Verdict.PASS, {"stage": 2, "state": RolloutState.PROMOTED}, id="a promotion ends it"),
        pytest.param(1, Verdict.FAIL, {"stage": 1, "state": RolloutState.ROLLED_BACK}, id="a roll-back ends it"),
    ],
)
def test_apply(stage, verdict, expected):
    before = replace(ROLLOUT, stage=stage, version=7)
    decision = decide(before, gate(verdict), LATER)
    after = apply(before, decision, LATER)
    assert after == replace(before, version=8, stage_started_at=LATER, **expected)
    assert after.canary_percent == decision.canary_percent


def test_apply_of_a_hold_changes_nothing():
    assert apply(ROLLOUT, decide(ROLLOUT, gate(Verdict.NO_DATA), LATER), LATER) == ROLLOUT


def test_apply_refuses_a_decision_made_for_another_version():
    decision = decide(ROLLOUT, gate(Verdict.PASS), LATER)
    moved_on = apply(ROLLOUT, decision, LATER)
    with pytest.raises(InvalidValue, match=r"decision\.rollout_version: 0 is not the rollout's 1"):
        apply(moved_on, decision, LATER)


def test_apply_refuses_to_move_a_rollout_that_is_not_running():
    decision = decide(ROLLOUT, gate(Verdict.PASS), LATER)
    with pytest.raises(InvalidValue, match=r"rollout\.state: 'paused' is not running, so it cannot advance"):
        apply(replace(ROLLOUT, state=RolloutState.PAUSED), decision, LATER)


@given(st.lists(st.sampled_from(list(Verdict)), max_size=30))
def test_apply_visits_every_weight_in_turn_and_never_leaves_a_final_state(verdicts):
    rollout, now, passes = ROLLOUT, START, 0
    for verdict in verdicts:
        now += CAREFUL.min_stage
        before, rollout = rollout, apply(rollout, decide(rollout, gate(verdict), now), now)
        if before.state is not RolloutState.RUNNING:
            assert rollout == before
        elif verdict is Verdict.PASS:
            passes += 1
            assert rollout.canary_percent == CAREFUL.steps[passes]
        else:
            assert rollout.canary_percent == (0 if verdict is Verdict.FAIL else before.canary_percent)


@pytest.mark.parametrize(
    ("before", "after", "percent"),
    [
        pytest.param(RolloutState.RUNNING, RolloutState.PAUSED, 10, id="a pause keeps the weight"),
        pytest.param(RolloutState.PAUSED, RolloutState.RUNNING, 10, id="a resumed one goes on"),
        pytest.param(RolloutState.PAUSED, RolloutState.ABORTED, 0, id="a paused one can be aborted"),
        pytest.param(RolloutState.RUNNING, RolloutState.PROMOTED, 100, id="a running one can be promoted in full"),
    ],
)
def test_change_state(before, after, percent):
    changed = change_state(replace(ROLLOUT, state=before, version=4), after, LATER)
    assert (changed.state, changed.version, changed.stage_started_at) == (after, 5, LATER)
    assert changed.canary_percent == percent


@pytest.mark.parametrize(
    ("before", "after"),
    [
        pytest.param(RolloutState.ABORTED, RolloutState.PROMOTED, id="promote what was aborted"),
        pytest.param(RolloutState.PROMOTED, RolloutState.RUNNING, id="restart what was promoted"),
        pytest.param(RolloutState.PAUSED, RolloutState.PAUSED, id="pause twice"),
    ],
)
def test_change_state_refuses_to(before, after):
    with pytest.raises(InvalidValue, match=r"rollout\.state"):
        change_state(replace(ROLLOUT, state=before), after, LATER)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        pytest.param({"canary_release": "old"}, "rollout.canary_release", id="a canary that is the control"),
        pytest.param({"stage": 3}, "rollout.stage", id="a stage at the promotion"),
        pytest.param({"stage": -1}, "rollout.stage", id="a stage before the first"),
        pytest.param(
            {"stage_started_at": START.replace(tzinfo=None)}, "rollout.stage_started_at", id="a time without a zone"
        ),
    ],
)
def test_rollout_refuses(changes, field):
    with pytest.raises(InvalidValue) as caught:
        replace(ROLLOUT, **changes)
    assert caught.value.field == field


def test_rollout_split_keeps_everyone_in_the_canary_from_stage_to_stage():
    def canaries(rollout):
        return {user for user in range(500) if assign(rollout.split, f"user-{user}") == "new"}

    stages = [replace(ROLLOUT, stage=stage) for stage in range(3)]
    promoted, rolled_back = (
        change_state(ROLLOUT, state, LATER) for state in (RolloutState.PROMOTED, RolloutState.ROLLED_BACK)
    )
    first, second, third = map(canaries, stages)
    assert first < second < third < canaries(promoted) == set(range(500))
    assert canaries(rolled_back) == set()
