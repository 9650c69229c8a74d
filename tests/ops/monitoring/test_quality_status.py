"""The rows on metrics, scores, golden sets and data checks."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from ops.monitoring.baselines import DayScores, Pinned, Series
from ops.monitoring.histogram import Histogram
from ops.monitoring.measured import Known, RequestSums, SentSums
from ops.monitoring.metrics import METRICS
from ops.monitoring.quality_status import (
    CheckResult,
    LastRun,
    Mark,
    check_rows,
    evaluation_rows,
    metric_rows,
    score_rows,
)
from ops.monitoring.readings import Reading
from ops.monitoring.rules.quality import QualitySample
from ops.status import Row
from ops.window import Window

NOW = datetime(2026, 3, 5, 12, tzinfo=UTC)
SECOND, MINUTE, HOUR, DAY = timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
PINNED = Pinned(mean=0.8, sigma=0.2, n=700, days=7)


def told(row: Row) -> tuple[str, str, str]:
    return row.level.value, row.about, row.text


HOUR_BEFORE = Window(NOW - HOUR, NOW)
REQUESTS = RequestSums(known=Known(HOUR_BEFORE), requests=600, cost_usd=Decimal(3), priced=600)
SENT = SentSums(known=Known(HOUR_BEFORE), sent=600, failures={"timeout": 60})


def readings(sums: object, *names: str) -> list[Reading]:
    return [METRICS[name].read(None, sums, HOUR_BEFORE) for name in names]


def test_metrics_are_told_as_their_catalogue_reads_them() -> None:
    requests, cost = metric_rows({
        "requests": [*readings(REQUESTS, "requests_per_minute"), *readings(SENT, "error_rate")],
        "cost": readings(REQUESTS, "cost_total_usd", "cost_per_request_usd"),
    })  # fmt: skip
    assert told(requests) == ("ok", "requests", "10 a minute, error rate 10 %")
    assert requests.facts == {"requests_per_minute": 10.0, "error_rate": 0.1}
    assert told(cost) == ("ok", "cost", "total $3.00, per request $0.005")  # 3 / 600


def test_kinds_of_error_that_do_not_come_up_are_left_out() -> None:
    kinds = readings(SENT, "error_rate_timeout", "error_rate_server")
    [row] = metric_rows({"errors": kinds})
    assert (row.text, row.facts) == ("timeout 10 %", {"error_rate_timeout": 0.1, "error_rate_server": 0.0})
    requests = readings(REQUESTS, "requests_per_minute")
    assert [row.about for row in metric_rows({"requests": requests, "errors": kinds[1:]})] == ["requests"]


def test_metrics_of_too_few_observations_are_unknown() -> None:
    [row] = metric_rows({"latency": readings(Histogram({1: 3}, 1.0), "latency_p50_ms")})
    assert told(row) == ("unknown", "latency", "p50 insufficient data (3 of 30)")


def test_metrics_without_any_observation_are_one_line() -> None:
    found = metric_rows({"requests": readings(None, "error_rate"), "latency": readings(None, "latency_p50_ms")})
    assert [told(row) for row in found] == [("none", "", "no requests in the last hour")]


DAYS = (DayScores(NOW.date() - DAY, 50, 0.8),)


@pytest.mark.parametrize(
    ("sample", "level", "text"),
    [
        pytest.param(
            QualitySample("thumb", 0.8, 100, PINNED), "ok", "Quality 0.800 in 24 h, level with its baseline",
            id="as it was",
        ),
        pytest.param(
            QualitySample("thumb", 0.4, 100, PINNED), "warning", "Quality 0.400 in 24 h, 50.0 % below its baseline",
            id="as grave as the rule finds it",  # 0.4 / 0.8 - 1
        ),
        pytest.param(
            QualitySample("thumb", 0.8, 3, PINNED), "unknown", "Quality unknown: 3 scores, 30 needed", id="too few",
        ),
        pytest.param(
            QualitySample("thumb", None, 0, PINNED), "unknown", "Quality unknown: no scores", id="none in a day",
        ),
        pytest.param(
            QualitySample("thumb", None, 0, None, days=DAYS), "unknown",
            "Quality unknown: no baseline pinned yet, that takes 7 d and 100 scores; 1 d and 50 scores so far",
            id="nothing to compare with",
        ),
        pytest.param(
            QualitySample("thumb", None, 0, None), "none", "Quality unknown: no scores", id="nobody scores it",
        ),
    ],
)  # fmt: skip
def test_score_is_as_its_rule_judges_it_and_unknown_where_it_cannot(
    sample: QualitySample, level: str, text: str
) -> None:
    [row] = score_rows([sample])
    assert told(row) == (level, "thumb", text)
    assert row.facts["value"] == sample.mean


def test_no_metric_is_nothing_to_judge() -> None:
    assert [told(row) for row in score_rows([])] == [("none", "", "no metric is watched")]


def mark(metric: str, mean: float, pinned: Pinned | None = PINNED, n: int = 100) -> Mark:
    return Mark(series=Series(metric, "gpt-4o"), n=n, mean=mean, pinned=pinned)


def run(before: timedelta = HOUR, **changes: Any) -> LastRun:
    usual: dict[str, Any] = {
        "state": "done", "items": 100, "begun": 100, "scored": 100, "failed": 0, "spent_usd": Decimal("0.12"),
        "budget_usd": Decimal(1), "finished_at": NOW,
    }  # fmt: skip
    return LastRun(started_at=NOW - before, **{**usual, **changes})


@pytest.mark.parametrize(
    ("last", "level", "text"),
    [
        pytest.param(None, "unknown", "never ran", id="nobody knows"),
        pytest.param(
            run(marks=(mark("exact", 0.82), mark("regex", 0.5, None))), "ok",
            "done 60 min ago: 100 of 100 scored, exact 0.820 (2.5 % above its baseline), regex 0.500 (no baseline), "
            "$0.12 of $1.00", id="with its marks",  # 0.82 / 0.8 - 1
        ),
        pytest.param(
            run(marks=(mark("exact", 0.9), mark("judge", 0.4))), "warning",
            "done 60 min ago: 100 of 100 scored, judge 0.400 (50.0 % below its baseline), "
            "exact 0.900 (12.5 % above its baseline), $0.12 of $1.00", id="below its baseline, the worst first",
        ),
        pytest.param(
            run(marks=(mark("judge", 0.4, n=5),)), "ok",
            "done 60 min ago: 100 of 100 scored, judge 0.400 (50.0 % below its baseline), $0.12 of $1.00",
            id="too few to prove anything",
        ),
        pytest.param(
            run(marks=[mark(name, 0.8) for name in "abcd"]), "ok",
            "done 60 min ago: 100 of 100 scored, a 0.800 (level with its baseline), b 0.800 (level with its baseline), "
            "c 0.800 (level with its baseline), 1 more metrics, $0.12 of $1.00", id="more than a line has room for",
        ),
        pytest.param(
            run(state="out of budget", begun=60, scored=50, failed=10), "warning",
            "out of budget 60 min ago: 50 of 100 scored, 10 failed, 40 not asked, $0.12 of $1.00", id="cut short",
        ),
        pytest.param(
            run(scored=0, failed=100), "warning", "done 60 min ago: 0 of 100 scored, 100 failed, $0.12 of $1.00",
            id="nothing was scored",
        ),
        pytest.param(
            run(2 * DAY - SECOND), "ok", "done 47 h ago: 100 of 100 scored, $0.12 of $1.00", id="left out once",
        ),
        pytest.param(
            run(2 * DAY), "warning", "overdue, done 2 d ago (every 24 h): 100 of 100 scored, $0.12 of $1.00",
            id="overdue",
        ),
        pytest.param(
            run(MINUTE, state="running", finished_at=None, begun=10, scored=8), "info",
            "running 60 s ago: 8 of 100 scored, 90 not asked, $0.12 of $1.00", id="under way",
        ),
        pytest.param(
            run(state="interrupted", finished_at=None, begun=10, scored=8), "warning",
            "interrupted 60 min ago: 8 of 100 scored, 90 not asked, $0.12 of $1.00", id="killed",
        ),
    ],
)  # fmt: skip
def test_golden_set_says_how_it_was_answered_last(last: LastRun | None, level: str, text: str) -> None:
    [row] = evaluation_rows({"faq": last}, DAY, NOW)
    assert told(row) == (level, "faq", text)


def test_golden_set_has_the_values_behind_its_words() -> None:
    [row] = evaluation_rows({"faq": run(begun=90, marks=(mark("judge", 0.4),))}, DAY, NOW)
    assert row.facts == {
        "state": "done", "started_at": NOW - HOUR, "finished_at": NOW, "items": 100, "scored": 100, "failed": 0,
        "not_asked": 10, "spent_usd": Decimal("0.12"), "budget_usd": Decimal(1), "overdue": False,
        "marks": [{"series": "judge model:gpt-4o", "n": 100, "mean": 0.4, "change": -0.5, "below": True}],
    }  # fmt: skip


def test_golden_set_that_nobody_schedules_is_never_overdue() -> None:
    [row] = evaluation_rows({"faq": run(90 * DAY)}, None, NOW)
    assert told(row) == ("ok", "faq", "done 90 d ago: 100 of 100 scored, $0.12 of $1.00")


def test_no_golden_set_is_nothing_to_judge() -> None:
    assert [told(row) for row in evaluation_rows({}, DAY, NOW)] == [("none", "", "no golden set is configured")]


def result(name: str, outcome: str, before: timedelta = HOUR, **changes: Any) -> CheckResult:
    usual = {"suite": "events", "severity": "critical", "detail": None}
    return CheckResult(name=name, outcome=outcome, as_of=NOW - before, **{**usual, **changes})


FAULTY: Sequence[CheckResult] = (
    result("rows", "passed", 90 * MINUTE), result("ids", "failed", detail="12 rows break it"),
    result("tokens", "failed", severity="info"), result("costs", "errored", detail="no table"),
)  # fmt: skip


def test_failed_checks_have_their_severity_and_errored_ones_are_warnings() -> None:
    assert [told(row) for row in check_rows(FAULTY, HOUR, NOW)] == [
        ("critical", "events/ids", "failed: 12 rows break it"),
        ("info", "events/tokens", "failed"),
        ("warning", "events/costs", "errored: no table"),
        ("ok", "", "1 of 4 passed, 60 min ago"),
    ]


def test_checks_without_data_are_counted_and_not_fine() -> None:
    nothing = [result(name, "no_data", suite="traffic", detail="no source is watched") for name in ("fresh", "silent")]
    [unknown, passed] = check_rows([*nothing, result("rows", "passed")], HOUR, NOW)
    assert told(unknown) == ("unknown", "2 had no data", "traffic/fresh, traffic/silent")
    assert told(passed) == ("ok", "", "1 of 3 passed, 60 min ago")
    assert (passed.facts["passed"], passed.facts["no_data"]) == (1, 2)
    assert [row.level for row in check_rows(nothing, HOUR, NOW)] == ["unknown", "none"]


def test_rows_name_the_alert_that_says_the_same() -> None:
    assert check_rows(FAULTY, HOUR, NOW)[0].alert == "data_quality check:events/ids"
    [score] = score_rows([QualitySample("thumb", 0.4, 100, PINNED)])
    assert score.alert == "quality thumb"


def test_checks_that_nobody_repeats_say_what_they_found_last_and_that_it_is_old() -> None:
    later = NOW + 4 * HOUR
    *rows, last = check_rows(FAULTY, HOUR, later)
    assert [row.level for row in rows] == ["critical", "info", "warning"]
    assert told(last) == ("unknown", "", "1 of 4 passed, 5 h ago (every 60 min): how they are now is unknown")


def test_data_that_were_never_checked_are_unknown() -> None:
    assert [told(row) for row in check_rows([], HOUR, NOW)] == [("unknown", "", "the data were never checked")]
