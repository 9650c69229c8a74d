"""What the rules of quality are given: series, their days since they were pinned, and the judges' probes."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from ops.monitoring.baselines import DayScores, Pinned
from ops.monitoring.rules.judge import JudgeSample
from ops.monitoring.rules.quality import QualitySample
from tasks.settings import Alerting
from tasks.stores import measures
from tasks.stores.tables import alerts, quality_baselines, scores
from tests.hand_made import DAY, HOUR, MIDNIGHT, MOMENT, NOW, alert_row, insert, score_row

TODAY = NOW.date()
WEEKDAYS = [0.1, 0.0, 0.0, 0.0, 0.0, 0.0, -0.1]
PIN = {
    "metric": "thumb", "mean": 0.8, "sigma": 0.4, "n": 150, "accepted_at": NOW - DAY, "reason": "by hand",
    "accepted_by": "ann", "starts_at": MIDNIGHT - 9 * DAY, "ends_at": MIDNIGHT - 2 * DAY, "days": 7, "day_sigma": 0.01,
    "weekdays": WEEKDAYS, "model": None, "judge_version": None,
}  # fmt: skip


def measure(engine: sa.Engine, rule: str, *metrics: str, now: datetime = NOW) -> list[Any]:
    limits = Alerting(quality_metrics=metrics or ("thumb",))
    with engine.connect() as connection:
        return list(measures.measure(connection, "default", now, limits)[rule])


def score(engine: sa.Engine, before: timedelta, *values: float, **fields: Any) -> None:
    insert(engine, scores, [score_row(before, value, **fields) for value in values])


def days_ago(number: int) -> date:
    return TODAY - timedelta(days=number)


def test_quality_averages_the_scores_of_24_hours(engine: sa.Engine) -> None:
    for before, value in [(MOMENT, 0.5), (DAY, 1.0), (timedelta(0), 9.0), (DAY + MOMENT, 9.0)]:
        score(engine, before, value)
    score(engine, HOUR, 9.0, metric="judge")
    score(engine, HOUR, 9.0, tenant_id="other")
    thumb, unheard = measure(engine, "quality", "thumb", "unheard")
    assert (thumb.key, thumb.mean, thumb.n) == ("thumb", (0.5 + 1.0) / 2, 2)
    assert unheard == QualitySample(key="unheard", mean=None, n=0, pinned=None)


def test_quality_knows_a_series_by_metric_model_prompt_and_judge(engine: sa.Engine) -> None:
    score(engine, HOUR, 0.1)
    score(engine, HOUR, 0.2, model="gpt-4o", judge_version="rubric-1")
    score(engine, HOUR, 0.3, model="gpt-4o", judge_version="rubric-2")
    score(engine, HOUR, 0.4, model="gpt-4o", judge_version="rubric-2", prompt_version="v2", feature="search")
    score(engine, HOUR, 0.6, model="gpt-4o", judge_version="rubric-2", prompt_version="v2", feature="chat")
    assert {sample.key: sample.mean for sample in measure(engine, "quality")} == {
        "thumb": 0.1,
        "thumb model:gpt-4o judge:rubric-1": 0.2,
        "thumb model:gpt-4o judge:rubric-2": 0.3,
        "thumb model:gpt-4o prompt:v2 judge:rubric-2": (0.4 + 0.6) / 2,
    }


def test_quality_is_given_the_full_days_since_its_own_baseline(engine: sa.Engine) -> None:
    insert(engine, quality_baselines, [PIN, {**PIN, "tenant_id": "other", "mean": 0.1}, {**PIN, "model": "gpt-4o"}])
    for day, values in {3: (0.3, 0.3), 2: (0.2, 0.4), 1: (0.5, 0.7), 0: (0.9, 0.9)}.items():
        score(engine, day * DAY, *values)
    [sample] = measure(engine, "quality")
    assert sample.pinned == Pinned(0.8, 0.4, 150, 7, 0.01, tuple(WEEKDAYS))
    assert sample.days == (
        DayScores(days_ago(2), 2, pytest.approx(0.3), pytest.approx(2 * 0.1**2)),
        DayScores(days_ago(1), 2, pytest.approx(0.6), pytest.approx(2 * 0.1**2)),
    )


def test_quality_is_held_to_the_newest_baseline_as_of_then(engine: sa.Engine) -> None:
    newer = {**PIN, "accepted_at": NOW, "mean": 0.7}
    insert(engine, quality_baselines, [newer, PIN, {**PIN, "accepted_at": NOW + MOMENT, "mean": 0.6}])
    score(engine, 2 * DAY, 0.3)
    assert [sample.pinned.mean for sample in measure(engine, "quality")] == [0.7]
    assert [sample.pinned.mean for sample in measure(engine, "quality", now=NOW - MOMENT)] == [0.8]


def test_quality_counts_the_series_that_are_judged(engine: sa.Engine) -> None:
    insert(engine, quality_baselines, [PIN, {**PIN, "model": "a"}, {**PIN, "model": "gone"}])
    for model in (None, "a", "not pinned"):
        score(engine, HOUR, 0.3, model=model)
    assert [sample.series for sample in measure(engine, "quality")] == [2, 2, 2]


def test_quality_of_a_series_that_is_not_pinned_shows_all_its_days(engine: sa.Engine) -> None:
    score(engine, 91 * DAY, 0.1)
    score(engine, 90 * DAY, 0.2)
    score(engine, DAY, 0.3)
    [sample] = measure(engine, "quality")
    assert (sample.pinned, [day.day for day in sample.days]) == (None, [days_ago(90), days_ago(1)])


@pytest.mark.parametrize(
    ("before", "keys"),
    [
        pytest.param(6 * DAY, ["thumb model:old"], id="scored in the last seven days"),
        pytest.param(7 * DAY, ["thumb"], id="not scored in them: the metric has no scores"),
    ],
)
def test_quality_is_of_series_in_use(engine: sa.Engine, before: timedelta, keys: list[str]) -> None:
    score(engine, before, 0.3, model="old")
    assert [sample.key for sample in measure(engine, "quality")] == keys


def test_quality_of_a_version_that_is_in_use_no_more_is_over(engine: sa.Engine) -> None:
    """But not that of a metric without any scores: there nobody knows."""
    keys = ["thumb model:old", "thumb model:new", "unheard model:old"]
    insert(engine, alerts, [alert_row("quality", key) for key in keys])
    insert(engine, alerts, [alert_row("quality", "thumb model:older", "resolved"), alert_row("judge", "thumb model:x")])
    score(engine, HOUR, 0.3, model="new")
    found = measure(engine, "quality", "thumb", "unheard")
    assert [(sample.key, sample.retired) for sample in found] == [
        ("thumb model:new", False), ("unheard", False), ("thumb model:old", True),
    ]  # fmt: skip


# The judges


def test_judge_is_given_its_probes_since_they_were_pinned_and_those_of_today(engine: sa.Engine) -> None:
    probes = {"metric": "probe:thumb", "judge_version": "rubric-1"}
    insert(engine, quality_baselines, [{**PIN, **probes}])
    for before in (3 * DAY, 2 * DAY, HOUR):
        score(engine, before, 0.7, **probes)
    score(engine, 2 * DAY, 0.1, **{**probes, "metric": "probe:unwatched"})
    assert measure(engine, "judge") == [
        JudgeSample(
            key="probe:thumb judge:rubric-1", judge="rubric-1",
            pinned=Pinned(0.8, 0.4, 150, 7, 0.01, tuple(WEEKDAYS)),
            days=(DayScores(days_ago(2), 1, 0.7), DayScores(days_ago(0), 1, 0.7)),
        )
    ]  # fmt: skip


def test_judge_that_is_in_use_no_more_is_over(engine: sa.Engine) -> None:
    insert(engine, alerts, [alert_row("judge", "probe:thumb judge:old")])
    assert measure(engine, "judge") == []
    score(engine, HOUR, 0.3, metric="probe:thumb", judge_version="new")
    assert [(sample.key, sample.retired) for sample in measure(engine, "judge")] == [
        ("probe:thumb judge:new", False), ("probe:thumb judge:old", True),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("judge", "moved"),
    [pytest.param("rubric-1", True, id="that moved"), pytest.param("rubric-2", False, id="that did not")],
)
def test_quality_knows_of_its_own_judge(engine: sa.Engine, judge: str, moved: bool) -> None:
    steady = {**PIN, "metric": "probe:thumb", "judge_version": "rubric-1", "mean": 0.7, "sigma": 0.01, "weekdays": []}
    insert(engine, quality_baselines, [steady, {**steady, "judge_version": "rubric-2"}])
    score(engine, DAY, 0.5, metric="probe:thumb", judge_version="rubric-1")
    score(engine, DAY, 0.7, metric="probe:thumb", judge_version="rubric-2")
    score(engine, HOUR, 0.3, judge_version=judge)
    [sample] = measure(engine, "quality")
    assert (sample.shift is not None) is moved
