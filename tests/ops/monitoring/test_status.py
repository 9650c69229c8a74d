"""The rows on sources, alerts, vendors, messages and steps."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from ops.monitoring.alerts import Alert, State, Summary, Tier
from ops.monitoring.status import (
    Backlog,
    Evaluated,
    alert_rows,
    backlog_rows,
    period,
    source_row,
    step_rows,
    vendor_rows,
)
from ops.monitoring.vendor_status import PageState, Reading, StatusPage
from ops.status import Row

NOW = datetime(2026, 3, 5, 12, tzinfo=UTC)
SECOND, MINUTE, HOUR, DAY = timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)


def told(row: Row) -> tuple[str, str, str]:
    return row.level.value, row.about, row.text


def said(state: PageState) -> Reading:
    return Reading(now=NOW, read_at=NOW - MINUTE, page=StatusPage(state=state, description="as usual"))


def source(**changes: Any) -> dict[str, Any]:
    usual = {
        "source": "gateway", "state": "loaded", "tier": None, "last_success_at": NOW - 2 * MINUTE,
        "newest_event_at": NOW - 3 * MINUTE, "failures": 0, "last_error": None,
    }  # fmt: skip
    return {**usual, **changes}


@pytest.mark.parametrize(
    ("changes", "rejects", "level", "text"),
    [
        pytest.param({}, 0, "ok", "loaded 2 min ago, newest event 3 min old", id="fine"),
        pytest.param(
            {}, 1200, "ok", "loaded 2 min ago, newest event 3 min old, 1,200 rejected rows kept", id="with rejects"
        ),
        pytest.param(
            {"state": "failing", "failures": 2, "last_error": "gone"}, 0, "warning",
            "failing, loaded 2 min ago, newest event 3 min old, failed 2x: gone", id="failing",
        ),
        pytest.param(
            {"state": "silent", "tier": Tier.CRITICAL, "last_success_at": NOW - 5 * HOUR, "newest_event_at": None}, 0,
            "critical", "silent, loaded 5 h ago", id="silent, as grave as its alert",
        ),
        pytest.param(
            {"state": "never loaded", "last_success_at": None, "newest_event_at": None}, 0, "unknown", "never loaded",
            id="new",
        ),
        pytest.param(
            {"state": "not configured", "last_success_at": None, "newest_event_at": None}, 0, "none",
            "not configured", id="no longer in the settings",
        ),
    ],
)  # fmt: skip
def test_source_says_when_it_was_loaded_and_what_is_wrong(
    changes: dict[str, Any], rejects: int, level: str, text: str
) -> None:
    row = source_row(source(**changes), rejects, NOW)
    assert told(row) == (level, "gateway", text)
    assert (row.facts["rejects"], row.facts["failures"]) == (rejects, changes.get("failures", 0))


def test_long_error_is_cut_in_the_words_and_whole_in_the_facts() -> None:
    row = source_row(source(failures=1, last_error="x" * 101), 0, NOW)
    assert row.text.endswith(f": {'x' * 99}…")
    assert row.facts["last_error"] == "x" * 101


def alert(key: str, tier: Tier, since: timedelta) -> Alert:
    return Alert(
        alert_id=key, rule="availability", key=key, tier=tier, state=State.FIRING, since=NOW - since, value=0.1,
        limit=0.05, summary=Summary("Error rate", "10 %", "5 %"), evidence={},
    )  # fmt: skip


def evaluated(before: timedelta | None, **counts: int) -> Evaluated:
    return Evaluated(at=None if before is None else NOW - before, every=5 * MINUTE, **counts)


def test_alerts_are_told_the_gravest_first_then_the_oldest() -> None:
    firing = [
        alert("new", Tier.WARNING, HOUR), alert("old", Tier.WARNING, 3 * HOUR), alert("note", Tier.INFO, DAY),
        alert("worst", Tier.CRITICAL, MINUTE),
    ]  # fmt: skip
    rows = alert_rows(firing, evaluated(MINUTE), NOW)
    assert [(row.level, row.about) for row in rows] == [
        ("critical", "worst"), ("warning", "old"), ("warning", "new"), ("info", "note"), ("ok", "rules"),
    ]  # fmt: skip
    assert rows[0].text == "Error rate 10 % (limit 5 %), for 60 s"
    assert rows[0].facts == {"rule": "availability", "since": NOW - MINUTE, "value": 0.1, "limit": 0.05}


@pytest.mark.parametrize(
    ("found", "level", "text"),
    [
        pytest.param(evaluated(3 * MINUTE), "ok", "evaluated 3 min ago: none is firing", id="just now"),
        pytest.param(
            evaluated(3 * MINUTE, pending=2, resolved=1), "ok",
            "evaluated 3 min ago: none is firing, 2 pending, 1 resolved in a day", id="with what is under way",
        ),
        pytest.param(evaluated(10 * MINUTE - SECOND), "ok", "evaluated 9 min ago: none is firing", id="once left out"),
        pytest.param(
            evaluated(10 * MINUTE), "unknown", "last evaluated 10 min ago (every 5 min): what came since is unknown",
            id="left out twice",
        ),
        pytest.param(
            evaluated(5 * HOUR, pending=2), "unknown",
            "last evaluated 5 h ago (every 5 min): what came since is unknown", id="the scheduler died hours ago",
        ),
        pytest.param(evaluated(None), "unknown", "never evaluated: nobody is told of anything", id="never"),
    ],
)  # fmt: skip
def test_no_alert_is_fine_only_if_somebody_looked(found: Evaluated, level: str, text: str) -> None:
    [row] = alert_rows([], found, NOW)
    assert told(row) == (level, "rules", text)
    assert row.facts == {
        "evaluated_at": found.at, "every_s": 300.0, "firing": 0, "pending": found.pending,
        "resolved_in_a_day": found.resolved,
    }  # fmt: skip


def test_alerts_of_rules_that_nobody_evaluates_are_told_with_that() -> None:
    worst, rules = alert_rows([alert("old", Tier.WARNING, 6 * HOUR)], evaluated(5 * HOUR), NOW)
    assert (worst.level, rules.level, rules.facts["firing"]) == ("warning", "unknown", 1)
    assert alert_rows([alert("old", Tier.WARNING, HOUR)], evaluated(MINUTE), NOW)[1].text == (
        "evaluated 60 s ago: 1 firing"
    )


@pytest.mark.parametrize(
    ("reading", "level", "text"),
    [
        pytest.param(None, "none", "no status page is configured", id="nothing to read"),
        pytest.param(Reading(now=NOW), "unknown", "unknown: not read yet", id="what nobody knows is not fine"),
        pytest.param(said(PageState.OPERATIONAL), "ok", "operational: as usual", id="operational"),
        pytest.param(said(PageState.DEGRADED), "info", "degraded performance: as usual", id="degraded"),
        pytest.param(said(PageState.MAJOR_OUTAGE), "warning", "major outage: as usual", id="out, by itself alone"),
    ],
)
def test_vendor_is_as_grave_as_the_rule_takes_its_page(reading: Reading | None, level: str, text: str) -> None:
    [row] = vendor_rows({"openai": reading})
    assert told(row) == (level, "openai", text)


def test_no_vendor_is_nothing_to_judge() -> None:
    assert [told(row) for row in vendor_rows({})] == [("none", "", "none is configured")]


@pytest.mark.parametrize(
    ("backlog", "level", "text"),
    [
        pytest.param(Backlog(destination="ops", waiting=1), "info", "1 waiting", id="an update"),
        pytest.param(
            Backlog(destination="ops", waiting=2, oldest_at=NOW - 299 * SECOND), "info",
            "2 waiting, the oldest for 4 min", id="sent within five minutes",
        ),
        pytest.param(
            Backlog(destination="ops", waiting=2, oldest_at=NOW - 5 * MINUTE, last_error="not_in_channel"), "warning",
            "2 waiting, the oldest for 5 min, not_in_channel", id="late",
        ),
        pytest.param(
            Backlog(destination="ops", waiting=2, oldest_at=NOW - HOUR, oldest_critical_at=NOW - 5 * MINUTE),
            "critical", "2 waiting, the oldest for 60 min", id="a critical one is late",
        ),
        pytest.param(
            Backlog(destination="ops", waiting=2, oldest_at=NOW - HOUR, oldest_critical_at=NOW - MINUTE),
            "warning", "2 waiting, the oldest for 60 min", id="a critical one is not late yet",
        ),
        pytest.param(
            Backlog(destination="ops", waiting=0, failed=3), "warning", "3 given up", id="given up",
        ),
    ],
)  # fmt: skip
def test_backlog_is_as_grave_as_the_messages_that_nobody_got(backlog: Backlog, level: str, text: str) -> None:
    [row] = backlog_rows([backlog], NOW)
    assert told(row) == (level, "ops", text)


def test_empty_outbox_is_fine() -> None:
    [row] = backlog_rows([], NOW)
    assert told(row) == ("ok", "", "nothing waits to be sent")


CRON = {"ingest-usage": "*/5 * * * *", "keep-watch": "* * * * *", "project-costs": "10 * * * *", "by-hand": None}


def test_steps_on_time_and_those_that_never_ran_are_a_line_each() -> None:
    last = {"ingest-usage": NOW - 4 * MINUTE, "keep-watch": NOW - 30 * SECOND, "load": NOW}
    first, second = step_rows(CRON, last, NOW)
    assert told(first) == ("ok", "2 on time", "ingest-usage 4 min, keep-watch 30 s")
    assert first.facts == {"ingest-usage": NOW - 4 * MINUTE, "keep-watch": NOW - 30 * SECOND}
    assert told(second) == ("none", "1 never ran", "project-costs")


def test_watch_that_never_ran_is_unknown_and_says_who_runs_it() -> None:
    [row] = step_rows(CRON, {}, NOW)
    words = "no flow ever did by its schedule: `watchkeeper up` runs them"
    assert told(row) == ("unknown", "3 never ran", words)
    _, some = step_rows(CRON, {"ingest-usage": NOW}, NOW)
    assert told(some) == ("unknown", "2 never ran", "keep-watch, project-costs: `watchkeeper up` runs them")


@pytest.mark.parametrize(
    ("name", "before", "level"),
    [
        pytest.param("project-costs", 2 * HOUR - SECOND, "ok", id="not yet two periods"),
        pytest.param("project-costs", 2 * HOUR, "warning", id="two periods"),
        pytest.param("project-costs", 9 * HOUR, "warning", id="a step that others tell of is no more than that"),
        pytest.param("keep-watch", 10 * MINUTE - SECOND, "ok", id="a minute's step may take ten"),
        pytest.param("keep-watch", 10 * MINUTE, "warning", id="the watch is late"),
        pytest.param("keep-watch", 40 * MINUTE, "critical", id="the watch stands still"),
    ],
)
def test_step_is_late_after_two_periods(name: str, before: timedelta, level: str) -> None:
    [row] = step_rows({name: CRON[name]}, {name: NOW - before}, NOW)
    assert row.level == level


def test_late_step_says_how_often_it_is_to_run() -> None:
    [row] = step_rows({"project-costs": "10 * * * *"}, {"project-costs": NOW - 3 * HOUR}, NOW)
    assert told(row) == ("warning", "project-costs", "last ran 3 h ago, is to run every 60 min")


@pytest.mark.parametrize(
    ("cron", "every"),
    [
        pytest.param("* * * * *", MINUTE, id="each minute"),
        pytest.param("*/5 * * * *", 5 * MINUTE, id="each five minutes"),
        pytest.param("10 * * * *", HOUR, id="each hour"),
        pytest.param("15 5 * * *", DAY, id="each day"),
        pytest.param("45 6 * * 1", 7 * DAY, id="each Monday"),
        pytest.param("0 6 1 * *", 31 * DAY, id="each first of a month"),
        pytest.param("0 6 1 1 *", 366 * DAY, id="each New Year"),
    ],
)
def test_period_of_a_schedule(cron: str, every: timedelta) -> None:
    assert period(cron) == every
