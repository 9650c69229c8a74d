from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from ops.monitoring.alerts import Alert, State, Summary, Tier
from tasks.stores import alerts
from tests.hand_made import NOW

MINUTE = timedelta(minutes=1)


def alert(name: str = "a1", **changes: Any) -> Alert:
    usual = {
        "rule": "spend", "key": "total", "tier": Tier.CRITICAL, "state": State.FIRING, "since": NOW - MINUTE,
        "fired_at": NOW, "revision": 1, "value": 2.5, "limit": 2.0, "summary": Summary("Spend", "$5.00", "2x"),
        "evidence": {"cause": "requests 2.5x <normal>", "where": ["a", {"n": 1}], "none": None}, "breaches": 2,
    }  # fmt: skip
    return Alert(alert_id=name, **{**usual, **changes})


def save(engine: sa.Engine, *wanted: Alert, tenant: str = "default") -> None:
    with engine.begin() as connection:
        for each in wanted:
            alerts.save(connection, tenant, each)


def open_alerts(engine: sa.Engine) -> dict[tuple[str, str], Alert]:
    with engine.begin() as connection:
        return alerts.open_alerts(connection, "default")


def all_alerts(engine: sa.Engine) -> list[Alert]:
    with engine.connect() as connection:
        return alerts.all_alerts(connection, "default")


def test_alert_is_read_as_it_was_saved(engine: sa.Engine) -> None:
    save(engine, alert())
    assert open_alerts(engine) == {("spend", "total"): alert()}
    assert all_alerts(engine) == [alert()]


def test_alert_saved_again_is_changed_in_place(engine: sa.Engine) -> None:
    before = alert(tier=Tier.WARNING, state=State.PENDING, fired_at=None, revision=0, value=None, limit=None)
    after = alert(clears=1, breaches=0, evidence={}, summary=Summary("Spend", "$6.00", "2x", "warn at"))
    save(engine, before, after)
    assert list(open_alerts(engine).values()) == [after]


def test_alert_that_is_resolved_is_not_open_any_more(engine: sa.Engine) -> None:
    over = alert(state=State.RESOLVED, resolved_at=NOW + MINUTE, revision=2)
    save(engine, alert(), over)
    assert (open_alerts(engine), all_alerts(engine)) == ({}, [over])


@pytest.mark.parametrize(
    ("changes", "is_refused"),
    [
        pytest.param({}, True, id="the same rule and key"),
        pytest.param({"state": State.PENDING}, True, id="the same, still pending"),
        pytest.param({"state": State.RESOLVED}, False, id="the same, resolved"),
        pytest.param({"key": "feature:chat"}, False, id="another key"),
        pytest.param({"rule": "cache"}, False, id="another rule"),
    ],
)
def test_alert_has_one_open_incident_per_rule_and_key(
    engine: sa.Engine, changes: dict[str, Any], is_refused: bool
) -> None:
    save(engine, alert())
    if is_refused:
        with pytest.raises(sa.exc.IntegrityError, match="alerts_one_open"):
            save(engine, alert("a2", **changes))
    else:
        save(engine, alert("a2", **changes))


def test_alerts_that_nobody_was_told_of_are_not_listed(engine: sa.Engine) -> None:
    told = alert("told", key="b", since=NOW - 2 * MINUTE)
    save(engine, alert("later"), told, alert("quiet", key="c", revision=0, state=State.PENDING))
    assert [each.alert_id for each in all_alerts(engine)] == ["told", "later"]


def test_alerts_belong_to_their_tenant(engine: sa.Engine) -> None:
    save(engine, alert(), tenant="other")
    assert (open_alerts(engine), all_alerts(engine)) == ({}, [])
    save(engine, replace(alert(), value=9.0))
    assert open_alerts(engine)["spend", "total"].value == 9
