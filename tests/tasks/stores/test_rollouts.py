from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from ops.deployment.bucketing import Split
from ops.deployment.canary import Rollout, RolloutState
from ops.deployment.gates import StageCounts
from ops.deployment.plan import Plan
from ops.errors import InvalidValue
from ops.proportions import Share
from tasks.stores import rollouts
from tasks.stores.tables import rollout_events, traffic_splits
from tests.hand_made import HOUR, MOMENT, NOW, event, failed, load, rows_of

MINUTE = timedelta(minutes=1)
PLAN = Plan(name="p", steps=(10, 50, 100), min_requests=20, min_stage=30 * MINUTE, max_drop=0.1, alpha=0.01)
ROLLOUT = Rollout(
    rollout_id="r1", service="assistant", control_release="v1", canary_release="v2", plan=PLAN, stage_started_at=NOW
)
ADVANCED = replace(ROLLOUT, stage=1, version=1, stage_started_at=NOW + HOUR)


def start(engine: sa.Engine, rollout: Rollout = ROLLOUT, tenant: str = "default", now: datetime = NOW) -> None:
    with engine.begin() as connection:
        rollouts.insert_new(connection, tenant, rollout, now)


def decided(when: datetime = NOW + HOUR, action: str = "advance") -> dict[str, Any]:
    return {"decided_at": when, "action": action, "verdict": "pass", "reason": f"{action} it", "evidence": {"n": 1}}


def save(engine: sa.Engine, before: Rollout, after: Rollout, event: dict[str, Any] | None = None) -> None:
    with engine.begin() as connection:
        rollouts.save(connection, "default", before, after, event or decided())


def found(engine: sa.Engine, rollout_id: str = "r1") -> Rollout | None:
    with engine.connect() as connection:
        return rollouts.find(connection, "default", rollout_id)


def split(engine: sa.Engine) -> Split:
    with engine.connect() as connection:
        return rollouts.splits(connection, "default")["assistant"]


def test_rollout_is_read_as_it_was_started(engine: sa.Engine) -> None:
    start(engine)
    assert (found(engine), found(engine, "r2")) == (ROLLOUT, None)
    assert split(engine) == Split(
        service="assistant", control_release="v1", canary_release="v2", canary_percent=10, salt="r1"
    )
    with engine.connect() as connection:
        assert rollouts.running(connection, "default") == [(ROLLOUT, NOW)]
        assert rollouts.any_running(connection, "default")
        assert not rollouts.any_running(connection, "other")


@pytest.mark.parametrize(
    "second",
    [
        pytest.param(replace(ROLLOUT, rollout_id="r2", canary_release="v3"), id="another one for the same service"),
        pytest.param(replace(ROLLOUT, service="search-api"), id="one of the same name"),
    ],
)
def test_rollout_that_collides_is_refused_and_moves_no_traffic(engine: sa.Engine, second: Rollout) -> None:
    start(engine)
    with pytest.raises(InvalidValue, match=r"is not free: .* is open"):
        start(engine, second)
    assert [row.canary_release for row in rows_of(engine, traffic_splits)] == ["v2"]


def test_rollout_of_another_tenant_or_service_is_no_collision(engine: sa.Engine) -> None:
    start(engine)
    start(engine, tenant="other")
    start(engine, replace(ROLLOUT, rollout_id="r2", service="search-api"))
    assert len(rows_of(engine, traffic_splits)) == 3


def test_save_writes_version_event_and_split(engine: sa.Engine) -> None:
    start(engine)
    save(engine, ROLLOUT, ADVANCED)
    assert found(engine) == ADVANCED
    assert (split(engine).canary_percent, split(engine).salt) == (50, "r1")
    [row] = rows_of(engine, rollout_events)
    assert (row.version, row.weight, row.action, row.decided_at) == (1, 50, "advance", NOW + HOUR)
    with engine.connect() as connection:
        assert rollouts.history(connection, "default")[0]["reason"] == "advance it"
        [stored] = rollouts.decisions(connection, "default", "r1")
        assert stored["evidence"] == {"n": 1}


def test_save_of_a_version_that_is_not_the_latest_loses(engine: sa.Engine) -> None:
    start(engine)
    save(engine, ROLLOUT, ADVANCED)
    with pytest.raises(InvalidValue, match="changed meanwhile"):
        save(engine, ROLLOUT, replace(ROLLOUT, state=RolloutState.ROLLED_BACK, version=1))
    assert (found(engine), split(engine).canary_percent) == (ADVANCED, 50)
    assert len(rows_of(engine, rollout_events)) == 1


@pytest.mark.parametrize(
    ("state", "control"),
    [
        pytest.param(RolloutState.PROMOTED, "v2", id="promoted, the canary is the control"),
        pytest.param(RolloutState.ROLLED_BACK, "v1", id="rolled back, the control is alone"),
        pytest.param(RolloutState.ABORTED, "v1", id="aborted, the control is alone"),
    ],
)
def test_split_of_a_rollout_that_ended_names_one_release(engine: sa.Engine, state: RolloutState, control: str) -> None:
    start(engine)
    save(engine, ROLLOUT, replace(ROLLOUT, state=state, version=1))
    assert split(engine) == Split(service="assistant", control_release=control)
    with engine.connect() as connection:
        assert not rollouts.any_running(connection, "default")
    start(engine, replace(ROLLOUT, rollout_id="r2", control_release=control, canary_release="v3"))


def test_running_leaves_a_rollout_that_another_process_holds(engine: sa.Engine) -> None:
    start(engine)
    start(engine, replace(ROLLOUT, rollout_id="r2", service="search-api"))
    with engine.begin() as one, engine.begin() as other:
        assert rollouts.find(one, "default", "r1") == ROLLOUT
        other.execute(sa.text("SET LOCAL lock_timeout = '2s'"))
        assert [rollout.rollout_id for rollout, _ in rollouts.running(other, "default")] == ["r2"]


def test_history_is_in_the_order_of_starts(engine: sa.Engine) -> None:
    start(engine)
    start(engine, replace(ROLLOUT, rollout_id="r0", service="search-api"), now=NOW + HOUR)
    start(engine, replace(ROLLOUT, rollout_id="r9", service="search-api"), tenant="other")
    with engine.connect() as connection:
        assert [row["rollout_id"] for row in rollouts.history(connection, "default")] == ["r1", "r0"]


def test_reason_of_a_hold_changes_no_version(engine: sa.Engine) -> None:
    start(engine)
    with engine.begin() as connection:
        rollouts.set_reason(connection, "default", "r1", "waiting")
        [row] = rollouts.history(connection, "default")
    assert (row["reason"], row["version"], rows_of(engine, rollout_events)) == ("waiting", 0, [])


def arms(ok: int, bad: int, release: str, before: timedelta, **fields: Any) -> list[Any]:
    made = [event(before, release=release, **fields) for _ in range(ok)]
    return made + [failed(before, release=release, **fields) for _ in range(bad)]


def counts(engine: sa.Engine, rollout: Rollout, now: datetime) -> tuple[list[StageCounts], Share]:
    with engine.connect() as connection:
        return rollouts.stage_counts(connection, "default", rollout, NOW, now)


def test_stages_count_each_arm_from_one_advance_to_the_next(engine: sa.Engine) -> None:
    start(engine)
    save(engine, ROLLOUT, ADVANCED)
    load(engine, arms(90, 10, "v1", -MINUTE) + arms(9, 1, "v2", timedelta(0)) + arms(4, 4, "v2", MOMENT))
    load(engine, arms(1, 2, "v2", -HOUR) + arms(3, 0, "v2", MOMENT - HOUR) + arms(7, 0, "v1", -2 * HOUR))
    load(engine, arms(5, 5, "v2", -MINUTE, service="search-api") + arms(5, 5, "v3", -MINUTE))
    load(engine, arms(5, 5, "v2", -MINUTE), tenant="other")
    stages, recent = counts(engine, ADVANCED, NOW + 2 * HOUR)
    assert stages == [
        StageCounts(control=Share(90, 90 + 10), canary=Share(9 + 3, 9 + 1 + 3)),
        StageCounts(control=Share(0, 0), canary=Share(1, 1 + 2)),
    ]
    assert recent == Share(0, 0)


@pytest.mark.parametrize(
    ("before", "is_recent"),
    [
        pytest.param(15 * MINUTE, True, id="15 minutes ago"),
        pytest.param(15 * MINUTE + MOMENT, False, id="before that"),
    ],
)
def test_burst_is_of_the_canarys_last_15_minutes(engine: sa.Engine, before: timedelta, is_recent: bool) -> None:
    start(engine)
    load(engine, arms(1, 2, "v2", before - HOUR) + arms(0, 5, "v1", before - HOUR))
    _, recent = counts(engine, ROLLOUT, NOW + HOUR)
    assert recent == (Share(2, 3) if is_recent else Share(0, 0))


def test_burst_is_not_of_the_time_before_the_start(engine: sa.Engine) -> None:
    start(engine)
    load(engine, arms(0, 3, "v2", MINUTE) + arms(0, 1, "v2", -MINUTE))
    assert counts(engine, ROLLOUT, NOW + 5 * MINUTE)[1] == Share(1, 1)
