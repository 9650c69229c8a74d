"""The rows on sources, alerts, messages, scores, data checks and steps."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from ops.monitoring.alerts import Alert, Condition, State, Status, Summary, Tier
from ops.monitoring.measured import EventSums
from ops.monitoring.metrics import METRICS
from ops.monitoring.status import (
    Backlog,
    CheckResult,
    alert_rows,
    backlog_rows,
    check_rows,
    metric_rows,
    period,
    score_rows,
    source_row,
    step_rows,
    vendor_rows,
)
from ops.monitoring.vendor_status import PageState, Reading, StatusPage
from ops.status import Row
from ops.window import Window

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
            {"state": "never loaded", "last_success_at": None, "newest_event_at": None}, 0, "info", "never loaded",
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


def test_alerts_are_told_the_gravest_first_then_the_oldest() -> None:
    firing = [
        alert("new", Tier.WARNING, HOUR), alert("old", Tier.WARNING, 3 * HOUR), alert("note", Tier.INFO, DAY),
        alert("worst", Tier.CRITICAL, MINUTE),
    ]  # fmt: skip
    rows = alert_rows(firing, NOW, NOW)
    assert [(row.level, row.about) for row in rows] == [
        ("critical", "worst"), ("warning", "old"), ("warning", "new"), ("info", "note"),
    ]  # fmt: skip
    assert rows[0].text == "Error rate 10 % (limit 5 %), for 60 s"
    assert rows[0].facts == {"rule": "availability", "since": NOW - MINUTE, "value": 0.1, "limit": 0.05}


def test_no_alert_is_fine_only_if_somebody_looked() -> None:
    [quiet] = alert_rows([], NOW - 3 * MINUTE, NOW)
    assert told(quiet) == ("ok", "", "none is firing; evaluated 3 min ago")
    [unknown] = alert_rows([], None, NOW)
    assert told(unknown) == ("none", "", "the rules were never evaluated")


@pytest.mark.parametrize(
    ("reading", "level", "text"),
    [
        pytest.param(None, "none", "no status page is configured", id="nothing to read"),
        pytest.param(Reading(now=NOW), "info", "unknown: not read yet", id="what nobody knows is not fine"),
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


def test_metrics_are_told_as_their_catalogue_reads_them() -> None:
    hour = Window(NOW - HOUR, NOW)
    sums = EventSums(minutes=60, requests=600, sent=600, failures={"timeout": 60})
    known = [METRICS[name].read(None, sums, hour) for name in ("requests_per_minute", "error_rate")]
    unknown = [METRICS["latency_p50_ms"].read(None, None, hour)]
    measured, missing = metric_rows({"requests": known, "latency": unknown})
    assert told(measured) == ("ok", "requests", "per minute 10 a minute, error rate 10 %")
    assert measured.facts == {"requests_per_minute": 10.0, "error_rate": 0.1}
    assert told(missing) == ("none", "latency", "p50 insufficient data (0 of 30)")


@pytest.mark.parametrize(
    ("status", "tier", "level"),
    [
        pytest.param(Status.OK, None, "ok", id="kept"),
        pytest.param(Status.BREACH, Tier.WARNING, "warning", id="as grave as the rule finds it"),
        pytest.param(Status.INSUFFICIENT_DATA, None, "none", id="too few scores are not fine"),
    ],
)
def test_score_is_as_its_rule_judges_it(status: Status, tier: Tier | None, level: str) -> None:
    condition = Condition(
        rule="quality", key="thumb", status=status, tier=tier, value=0.8, limit=0.7, unit="score",
        summary=Summary("Quality", "0.800", "10 % below"), evidence={"scores": 40},
    )  # fmt: skip
    [row] = score_rows([condition])
    assert told(row) == (level, "thumb", "Quality 0.800")
    assert row.facts == {"value": 0.8, "limit": 0.7, "scores": 40}


def test_no_metric_is_nothing_to_judge() -> None:
    assert [told(row) for row in score_rows([])] == [("none", "", "no metric is watched")]


def result(name: str, outcome: str, before: timedelta = HOUR, **changes: Any) -> CheckResult:
    usual = {"severity": "critical", "detail": None}
    return CheckResult(name=name, outcome=outcome, as_of=NOW - before, **{**usual, **changes})


def test_failed_checks_have_their_severity_and_errored_ones_are_warnings() -> None:
    results = [
        result("rows", "passed", 2 * HOUR), result("ids", "failed", detail="12 rows break it"),
        result("tokens", "failed", severity="info"), result("costs", "errored", detail="no table"),
    ]  # fmt: skip
    assert [told(row) for row in check_rows(results, NOW)] == [
        ("critical", "ids", "failed: 12 rows break it"),
        ("info", "tokens", "failed"),
        ("warning", "costs", "errored: no table"),
        ("ok", "", "1 of 4 passed, 60 min ago"),
    ]


def test_no_check_in_a_day_is_nothing_to_judge() -> None:
    assert [told(row) for row in check_rows([], NOW)] == [("none", "", "no data check ran in the last day")]


CRON = {"ingest-usage": "*/5 * * * *", "keep-watch": "* * * * *", "project-costs": "10 * * * *", "by-hand": None}


def test_steps_on_time_and_those_that_never_ran_are_a_line_each() -> None:
    last = {"ingest-usage": NOW - 4 * MINUTE, "keep-watch": NOW - 30 * SECOND, "load": NOW}
    first, second = step_rows(CRON, last, NOW)
    assert told(first) == ("ok", "2 on time", "ingest-usage 4 min, keep-watch 30 s")
    assert first.facts == {"ingest-usage": NOW - 4 * MINUTE, "keep-watch": NOW - 30 * SECOND}
    assert told(second) == ("none", "1 never ran", "project-costs")


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
