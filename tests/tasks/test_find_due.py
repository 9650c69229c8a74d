from __future__ import annotations

from datetime import datetime, timedelta

import pytest
import sqlalchemy as sa

from tasks.advance_rollout import abort_rollout, start_rollout
from tasks.evaluate_alerts import evaluate_alerts
from tasks.find_due import evaluation_due, messages_due, rollouts_due
from tasks.settings import Settings, Vendor
from tasks.stores import ingest, vendor_statuses
from tests.hand_made import DAY, HOUR, MOMENT, NOW, event, failed, load

MINUTE = timedelta(minutes=1)


def mark(engine: sa.Engine, step: str, reached_at: datetime, tenant: str = "default") -> None:
    with engine.begin() as connection:
        ingest.set_watermark(connection, tenant, step, reached_at)


@pytest.mark.parametrize(
    ("evaluated", "loaded", "is_due"),
    [
        pytest.param(None, None, True, id="never evaluated"),
        pytest.param(5 * MINUTE, None, True, id="evaluated five minutes ago"),
        pytest.param(5 * MINUTE - MOMENT, None, False, id="evaluated since"),
        pytest.param(MINUTE, timedelta(0), True, id="something was loaded since"),
        pytest.param(MINUTE, MINUTE, False, id="what was loaded at that time is judged"),
        pytest.param(MINUTE, 2 * MINUTE, False, id="so is what was loaded before"),
    ],
)
def test_evaluation_of_a_system_in_use_is_due(
    engine: sa.Engine, settings: Settings, evaluated: timedelta | None, loaded: timedelta | None, is_due: bool
) -> None:
    load(engine, [event(HOUR)], at=NOW - DAY)
    for step, before in (("evaluate_alerts", evaluated), ("load", loaded)):
        if before is not None:
            mark(engine, step, NOW - before)
    mark(engine, "load", NOW + HOUR, tenant="other")
    assert evaluation_due(engine, settings, NOW) is is_due


def test_evaluation_of_a_system_without_usage_is_never_due(engine: sa.Engine, settings: Settings) -> None:
    load(engine, [event(HOUR)], tenant="other")
    assert not evaluation_due(engine, settings, NOW)


def test_evaluation_is_due_while_a_vendor_is_watched(engine: sa.Engine, settings: Settings) -> None:
    with engine.begin() as connection:
        vendor_statuses.watch(connection, "other", [Vendor(name="openai")])
    assert not evaluation_due(engine, settings, NOW)
    with engine.begin() as connection:
        vendor_statuses.watch(connection, "default", [Vendor(name="openai")])
    assert evaluation_due(engine, settings, NOW)


def test_evaluation_is_due_every_time_while_an_alert_is_open(engine: sa.Engine, settings: Settings) -> None:
    load(engine, [failed(MINUTE) for _ in range(60)])
    evaluate_alerts.fn(engine, settings, NOW)
    assert evaluation_due(engine, settings, NOW + MOMENT)
    other = settings.model_copy(update={"tenant": "other"})
    assert not evaluation_due(engine, other, NOW + MOMENT)
    load(engine, [event(MINUTE, now=NOW + 7 * HOUR) for _ in range(60)])
    evaluate_alerts.fn(engine, settings, NOW + 7 * HOUR)
    assert not evaluation_due(engine, settings, NOW + 7 * HOUR + MOMENT)


def test_rollouts_and_messages_are_due_while_there_are_some(engine: sa.Engine, settings: Settings) -> None:
    assert (rollouts_due(engine, settings), messages_due(engine, settings, NOW)) == (False, False)
    started = start_rollout(engine, settings, service="a", canary="v2", control="v1", plan="careful", now=NOW)
    assert (rollouts_due(engine, settings), messages_due(engine, settings, NOW)) == (True, True)
    assert not messages_due(engine, settings, NOW - MOMENT)
    abort_rollout(engine, settings, started.rollout_id, "enough", NOW + HOUR)
    assert not rollouts_due(engine, settings)
