from __future__ import annotations

from datetime import timedelta

import sqlalchemy as sa

from ops.proportions import Share
from tasks.stores import scaling
from tasks.stores.scaling import Load
from tasks.stores.tables import scaling_recommendations
from tests.hand_made import HOUR, MOMENT, NOW, event, failed, load, rows_of

SPAN = timedelta(minutes=5)


def load_of(engine: sa.Engine, service: str = "assistant") -> Load:
    with engine.connect() as connection:
        return scaling.load(connection, "default", service, NOW, SPAN)


def test_load_counts_a_service_in_a_half_open_span(engine: sa.Engine) -> None:
    load(
        engine,
        [
            event(MOMENT, latency_ms=300.0),
            failed(SPAN, latency_ms=500.0, error_type="rate_limit"),
            failed(MOMENT, latency_ms=None, error_type="server"),
            event(timedelta(0), latency_ms=9e3),
            event(SPAN + MOMENT, latency_ms=9e3),
            event(MOMENT, latency_ms=9e3, service="search-api"),
        ],
    )
    load(engine, [event(MOMENT, latency_ms=9e3)], tenant="other")
    assert load_of(engine) == Load(3, (300 + 500) / 2, Share(1, 3))


def test_load_of_nothing_has_no_latency(engine: sa.Engine) -> None:
    assert load_of(engine) == Load(0, None, Share(0, 0))


def test_recommendation_is_one_row_per_service_and_may_be_unknown(engine: sa.Engine) -> None:
    with engine.begin() as connection:
        scaling.recommend(connection, "default", "assistant", 3, "why", NOW)
        scaling.recommend(connection, "default", "search-api", 1, "why", NOW)
        scaling.recommend(connection, "default", "assistant", None, "no signal", NOW + HOUR)
    found = [
        (row.service, row.desired, row.reason, row.computed_at) for row in rows_of(engine, scaling_recommendations)
    ]
    assert found == [("assistant", None, "no signal", NOW + HOUR), ("search-api", 1, "why", NOW)]
