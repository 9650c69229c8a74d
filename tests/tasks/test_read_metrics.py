"""Readings of metrics: which there are, in which order, of which time."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from ops.monitoring.metrics import METRICS
from ops.monitoring.readings import Dimension, Reading
from ops.window import Window
from tasks.read_metrics import Asked, read_metrics
from tasks.settings import Settings
from tests.hand_made import DAY, HOUR, MIDNIGHT, MINUTE, NOW, event, load

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
    load(engine, [event(NOW - MIDNIGHT + HOUR, user_id="u", input_tokens=10**6, output_tokens=0)])  # yesterday, 23:00
    (found,) = read(engine, "cost_per_user_day_usd")
    assert found.window == Window(MIDNIGHT - DAY, MIDNIGHT)
    assert float(found.value or 0) == pytest.approx(0.15)  # gpt-4o-mini: $0.15 per million tokens
