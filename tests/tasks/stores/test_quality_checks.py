from __future__ import annotations

from typing import Any

import pytest
import sqlalchemy as sa

from ops.monitoring.alerts import Tier
from ops.monitoring.data_quality.checks import Use
from ops.monitoring.data_quality.traffic import FRESH
from ops.monitoring.rules.data_quality import CheckSample
from tasks.evaluate_alerts import evaluate_alerts
from tasks.settings import Alerting, Settings, Source
from tasks.stores import quality_checks as store
from tasks.stores import source_states
from tasks.stores.tables import alerts, quality_checks
from tests.hand_made import DAY, HOUR, MINUTE, NOW, rows_of


def outcome(**changes: Any) -> dict[str, Any]:
    usual = {"suite": "events", "as_of": NOW, "name": "status is known", "severity": "critical", "outcome": "failed"}
    return {"tenant_id": "default", "observed": "0", "detail": None, "told_by": None, **usual, **changes}


def save(engine: sa.Engine, *rows: dict[str, Any]) -> None:
    with engine.begin() as connection:
        store.save(connection, rows)


def test_checks_repeated_for_the_same_time_replace_their_outcomes(engine: sa.Engine) -> None:
    save(engine, outcome(), outcome(name="vendor is known"))
    save(engine, outcome(outcome="passed", observed="5"), outcome(suite="rollups"))
    save(engine, outcome(as_of=NOW + DAY, outcome="errored", detail="why"))
    found = [(row.suite, row.as_of, row.name, row.outcome, row.observed, row.detail)
             for row in rows_of(engine, quality_checks)]  # fmt: skip
    assert found == [
        ("events", NOW, "status is known", "passed", "5", None),
        ("events", NOW, "vendor is known", "failed", "0", None),
        ("events", NOW + DAY, "status is known", "errored", "0", "why"),
        ("rollups", NOW, "status is known", "failed", "0", None),
    ]


def test_checks_of_nothing_store_nothing(engine: sa.Engine) -> None:
    save(engine)
    assert rows_of(engine, quality_checks) == []


def test_latest_are_each_suites_last_run_up_to_now(engine: sa.Engine) -> None:
    save(engine, outcome(as_of=NOW - HOUR), outcome(as_of=NOW - HOUR, name="gone"), outcome(observed="2"))
    save(engine, outcome(suite="prices", as_of=NOW - DAY), outcome(as_of=NOW + MINUTE), outcome(tenant_id="other"))
    with engine.connect() as connection:
        found = store.latest(connection, "default", NOW)
    assert [(row.suite, row.as_of, row.name, row.observed) for row in found] == [
        ("events", NOW, "status is known", "2"), ("prices", NOW - DAY, "status is known", "0")
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "promotions", "projections"),
    [
        ({}, True, True),
        ({"suite": "traffic"}, True, True),
        ({"suite": "rollups"}, False, True),
        ({"suite": "prices"}, False, True),
        ({"severity": "warning"}, False, False),
        ({"outcome": "passed"}, False, False),
        ({"outcome": "errored"}, False, False),
        ({"outcome": "no_data"}, False, False),
        ({"told_by": "silence of gateway"}, True, True),
    ],
)
def test_failed_critical_check_holds_what_its_suite_carries(
    engine: sa.Engine, changes: dict[str, Any], promotions: bool, projections: bool
) -> None:
    save(engine, outcome(**changes))
    with engine.connect() as connection:
        held = [store.hold(connection, "default", use, NOW) for use in (Use.PROMOTIONS, Use.PROJECTIONS)]
    assert [reason is not None for reason in held] == [promotions, projections]


@pytest.mark.parametrize(
    ("later", "reason"),
    [
        (["errored"], "data check failed: events: status is known (why)"),
        (["errored", "errored"], "data check failed: events: status is known (why)"),
        (["no_data", "errored"], "data check failed: events: status is known (why)"),
        (["no_data", "passed"], None),
        (["passed"], None),
        (["errored", "passed"], None),
        (["passed", "errored"], None),
    ],
    ids=[
        "not evaluated",
        "twice not evaluated",
        "nothing to look at",
        "something to look at",
        "passed",
        "not evaluated, passed",
        "passed, not evaluated",
    ],
)
def test_check_that_failed_holds_until_it_passes(engine: sa.Engine, later: list[str], reason: str | None) -> None:
    save(engine, outcome(as_of=NOW - DAY, detail="why"))
    for number, word in enumerate(later):
        save(engine, outcome(as_of=NOW - HOUR + number * MINUTE, outcome=word, detail="it could not be read"))
    with engine.connect() as connection:
        assert store.hold(connection, "default", Use.PROMOTIONS, NOW) == reason


def samples(engine: sa.Engine) -> list[CheckSample]:
    with engine.begin() as connection:
        return store.samples(connection, "default", NOW, Alerting())


def test_samples_say_what_is_held(engine: sa.Engine) -> None:
    save(engine, outcome(detail="why"), outcome(suite="prices", severity="warning"))
    common: dict[str, Any] = {"outcome": "failed", "checked_at": NOW}
    assert samples(engine) == [
        CheckSample(check="events/status is known", severity="critical", detail="why",
                    holds=("projections", "promotions"), **common),
        CheckSample(check="prices/status is known", severity="warning", **common),
    ]  # fmt: skip


def evaluate(engine: sa.Engine, settings: Settings, number: int) -> dict[str, tuple[str, str]]:
    evaluate_alerts.fn(engine, settings, NOW + number * MINUTE)
    return {row.key: (row.tier, row.state) for row in rows_of(engine, alerts)}


def test_failed_check_is_an_alert_of_its_own_until_it_passes(engine: sa.Engine, settings: Settings) -> None:
    save(engine, outcome(), outcome(name="an event is stored once"), outcome(suite="traffic", severity="warning"))
    for number in range(2):
        found = evaluate(engine, settings, number)
    assert found == {
        "check:events/status is known": (Tier.CRITICAL, "firing"),
        "check:events/an event is stored once": (Tier.CRITICAL, "firing"),
        "check:traffic/status is known": (Tier.WARNING, "firing"),
    }
    later = NOW + 2 * MINUTE  # one is made no more, one passes, one could not be evaluated
    save(engine, outcome(as_of=later, outcome="passed"))
    save(engine, outcome(as_of=later, suite="traffic", severity="warning", outcome="errored"))
    for number in range(2, 5):
        found = evaluate(engine, settings, number)
    assert {key: state for key, (_, state) in found.items()} == {
        "check:events/status is known": "resolved",
        "check:events/an event is stored once": "resolved",
        "check:traffic/status is known": "firing",
    }


@pytest.mark.parametrize("renamed", [[], ["log2"]], ids=["none is watched any more", "none that was watched then is"])
def test_failure_about_watched_sources_is_over_when(renamed: list[str], engine: sa.Engine, settings: Settings) -> None:
    """One that has no rows stands as it stood; of sources that are gone nobody waits for anything any more."""
    log, others = ([Source(name=name, kind="jsonl", path="x") for name in names] for names in (["log"], renamed))
    names = ({"suite": "traffic", "name": FRESH}, {})
    save(engine, *(outcome(**name) for name in names))
    for number in range(2):
        evaluate(engine, settings, number)
    save(engine, *(outcome(**name, as_of=NOW + 2 * MINUTE, outcome="no_data") for name in names))
    both = "data check failed: events: status is known; traffic: events are fresh"
    for sources, since, number, held, state in (
        (log, NOW, 2, both, "firing"), (others, NOW + MINUTE, 6, both.partition(";")[0], "resolved"),
    ):  # fmt: skip
        with engine.begin() as connection:
            source_states.watch(connection, "default", sources, since)
            assert store.hold(connection, "default", Use.PROMOTIONS, NOW + number * MINUTE) == held
        for more in range(3):
            found = evaluate(engine, settings, number + more)
        assert {key: state for key, (_, state) in found.items()} == {
            f"check:traffic/{FRESH}": state, "check:events/status is known": "firing",
        }  # fmt: skip


def test_check_without_data_neither_fires_nor_resolves(engine: sa.Engine, settings: Settings) -> None:
    new = outcome(outcome="no_data", suite="prices")
    save(engine, outcome(), new)
    for number in range(2):
        evaluate(engine, settings, number)
    save(engine, outcome(as_of=NOW + 2 * MINUTE, outcome="no_data"))
    for number in range(2, 6):
        found = evaluate(engine, settings, number)
    assert found == {"check:events/status is known": (Tier.CRITICAL, "firing")}
