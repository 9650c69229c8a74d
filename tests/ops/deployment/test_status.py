"""The rows on rollouts."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from ops.deployment.canary import Rollout, RolloutState
from ops.deployment.plan import Plan
from ops.deployment.status import Seen, rollout_rows

NOW = datetime(2026, 3, 5, 12, tzinfo=UTC)
PLAN = Plan(name="careful", steps=(10, 25, 100), min_requests=100, min_stage=timedelta(minutes=30))


def seen(state: RolloutState) -> Seen:
    rollout = Rollout(
        rollout_id="chat:v2", service="chat", control_release="v1", canary_release="v2", plan=PLAN, stage=1,
        state=state, stage_started_at=NOW - timedelta(hours=3),
    )  # fmt: skip
    return Seen(rollout, "held: 40 of 100 requests", NOW - timedelta(minutes=5))


@pytest.mark.parametrize(
    ("state", "level", "place", "percent"),
    [
        pytest.param(RolloutState.RUNNING, "info", "running at 25 % for 3 h", 25, id="since its stage began"),
        pytest.param(RolloutState.PAUSED, "warning", "paused at 25 % for 3 h", 25, id="paused"),
        pytest.param(RolloutState.PROMOTED, "ok", "promoted 5 min ago", 100, id="promoted"),
        pytest.param(RolloutState.ROLLED_BACK, "warning", "rolled back 5 min ago", 0, id="rolled back"),
        pytest.param(RolloutState.ABORTED, "info", "aborted 5 min ago", 0, id="aborted by somebody"),
    ],
)
def test_rollout_says_where_it_stands_and_why(state: RolloutState, level: str, place: str, percent: int) -> None:
    [row] = rollout_rows([seen(state)], NOW)
    assert (row.level, row.about, row.text) == (level, "chat", f"v1 → v2 {place}: held: 40 of 100 requests")
    assert (row.facts["rollout_id"], row.facts["canary_percent"]) == ("chat:v2", percent)


def test_no_rollout_is_nothing_to_judge() -> None:
    [row] = rollout_rows([], NOW)
    assert (row.level, row.text) == ("none", "no rollout is open, none ended in a day")
