from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from tasks.recommend_scale import recommend_scale
from tasks.settings import Service, Settings
from tasks.stores.tables import scaling_recommendations
from tests.hand_made import NOW, event, failed, load, rows_of

MINUTE = timedelta(minutes=1)


def recommend(engine: sa.Engine, settings: Settings, **service: Any) -> Any:
    given = Service(**{"name": "assistant", "replicas": 2, "target_in_flight": 2, **service})
    [line] = recommend_scale.fn(engine, settings.model_copy(update={"services": (given,)}), NOW)
    [row] = rows_of(engine, scaling_recommendations)
    assert line == f"assistant: {row.desired} of now {given.replicas} ({row.reason})"
    return row


@pytest.mark.parametrize(
    ("requests", "desired"),
    [
        # requests / 300 s x 10 s are in flight; each replica serves 2
        pytest.param(120, 2, id="120: 4 in flight are what 2 replicas serve"),
        pytest.param(180, 3, id="180: 6 in flight need 3"),
        pytest.param(30, 1, id="30: 1 in flight needs 1"),
    ],
)
def test_recommendation_serves_the_requests_in_flight(
    engine: sa.Engine, settings: Settings, requests: int, desired: int
) -> None:
    load(engine, [event(MINUTE, latency_ms=10_000.0) for _ in range(requests)])
    assert recommend(engine, settings).desired == desired


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param(None, id="no requests"),
        pytest.param({"before": 5 * MINUTE + timedelta(seconds=1)}, id="requests that are too old"),
        pytest.param({"before": MINUTE, "latency_ms": None}, id="requests of unknown latency"),
        pytest.param({"before": MINUTE, "service": "search-api"}, id="requests of another service"),
    ],
)
def test_recommendation_is_null_when_nothing_fresh_is_known(
    engine: sa.Engine, settings: Settings, fields: dict[str, Any] | None
) -> None:
    if fields:
        load(engine, [event(**fields)])
    row = recommend(engine, settings)
    assert (row.desired, row.reason, row.computed_at) == (None, "no signal is fresh", NOW)


def test_recommendation_does_not_grow_against_the_vendors_limit(engine: sa.Engine, settings: Settings) -> None:
    load(engine, [event(MINUTE, latency_ms=10_000.0) for _ in range(180)])
    load(engine, [failed(MINUTE, latency_ms=10_000.0, error_type="rate_limit") for _ in range(20)])
    row = recommend(engine, settings)
    assert (row.desired, row.reason) == (2, "the vendor's rate limit binds: raise the limit or shed")


def test_recommendation_grows_from_no_replicas(engine: sa.Engine, settings: Settings) -> None:
    load(engine, [event(MINUTE, latency_ms=10_000.0) for _ in range(30)])
    assert recommend(engine, settings, replicas=0).desired == 1


def test_recommendations_of_no_service_are_none(engine: sa.Engine, settings: Settings) -> None:
    assert recommend_scale.fn(engine, settings, NOW) == []


def test_recommendation_of_each_service_is_its_own(engine: sa.Engine, settings: Settings) -> None:
    services = (Service(name="assistant"), Service(name="search-api"))
    load(engine, [event(MINUTE)])
    lines = recommend_scale.fn(engine, settings.model_copy(update={"services": services}), NOW)
    assert [line.split(" ")[:2] for line in lines] == [["assistant:", "1"], ["search-api:", "None"]]
