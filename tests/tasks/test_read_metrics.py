"""Readings of metrics: which there are, in which order, of which time."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from ops.monitoring.metrics import METRICS
from ops.monitoring.readings import Dimension, Reading
from ops.window import Window
from tasks.read_metrics import Asked, read_metrics
from tasks.settings import Settings
from tasks.stores.tables import scores
from tests.hand_made import DAY, HOUR, MIDNIGHT, MINUTE, NOW, event, insert, load, score_row

WINDOW = Window.before(NOW, HOUR)


def read(engine: sa.Engine, metric: str | None = None, by: Dimension | None = None) -> list[Reading]:
    return read_metrics(engine, Settings(), Asked(window=WINDOW, metric=metric, by=by))


def test_readings_of_everything_are_one_of_each_metric_in_the_order_of_the_catalogue(engine: sa.Engine) -> None:
    found = read(engine)
    assert [reading.metric.name for reading in found] == list(METRICS)
    assert {reading.key for reading in found} == {None}


def test_readings_of_a_metric_begin_with_what_rests_on_most_and_end_with_what_has_no_name(engine: sa.Engine) -> None:
    names = ["b", "b", "a", "c", None]
    load(engine, [event(MINUTE, feature=name) for name in names])
    found = read(engine, "requests_per_minute", Dimension.FEATURE)
    assert [(reading.key, reading.n) for reading in found] == [("b", 2), ("a", 1), ("c", 1), (None, 1)]


def test_readings_of_users_are_of_full_days_whatever_the_window(engine: sa.Engine) -> None:
    yesterday = NOW - MIDNIGHT + HOUR  # 23:00
    load(engine, [event(yesterday, user_id="u", input_tokens=10**6, output_tokens=0), event(yesterday + DAY)])
    (found,) = read(engine, "cost_per_user_day_usd")
    assert found.window == Window(MIDNIGHT - DAY, MIDNIGHT)
    assert float(found.value or 0) == pytest.approx(0.15)  # gpt-4o-mini: $0.15 per million tokens
    (month,) = read(engine, "cost_per_user_month_usd")
    assert (month.value, month.words()) == (None, "insufficient data (1 of 30)")


def test_readings_of_one_key_by_two_scorers_are_two(engine: sa.Engine) -> None:
    given = {"judge": ["m1"] * 2 + [None], "evaluation": ["m1", None], "user": ["m1"]}
    insert(engine, scores, [
        score_row(MINUTE, 1, "judge_relevance", source=source, model=model)
        for source, models in given.items() for model in models
    ])  # fmt: skip
    found = read(engine, "relevance", Dimension.MODEL)
    assert [(reading.key, str(reading.scorer), reading.n) for reading in found] == [
        ("m1", "judge", 2), ("m1", "evaluation", 1), ("m1", "user", 1), (None, "evaluation", 1), (None, "judge", 1),
    ]  # fmt: skip
