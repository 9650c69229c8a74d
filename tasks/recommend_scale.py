"""Recommend replicas for every configured service, for KEDA or an HPA to read from `scaling_recommendations`."""

from __future__ import annotations

from datetime import datetime, timedelta

import sqlalchemy as sa
from prefect import task
from prefect.cache_policies import NO_CACHE

from ops.scaling.autoscaling import Recommendation, ServiceCapacity, Signal, in_flight, recommend
from tasks.settings import Service, Settings
from tasks.stores import scaling

SPAN = timedelta(minutes=5)


@task(cache_policy=NO_CACHE, persist_result=False)
def recommend_scale(engine: sa.Engine, settings: Settings, now: datetime) -> list[str]:
    """Publish a recommendation for each service as of `now`, and return one line for each."""
    lines = []
    with engine.begin() as connection:
        for service in settings.services:
            load = scaling.load(connection, settings.tenant, service.name, now, SPAN)
            advice = _advise(service, load)
            scaling.recommend(connection, settings.tenant, service.name, advice.desired, advice.reason.value, now)
            lines.append(f"{service.name}: {advice.desired} of now {service.replicas} ({advice.reason.value})")
    return lines


def _advise(service: Service, load: scaling.Load) -> Recommendation:
    busy = None
    if load.requests and load.mean_latency_ms is not None:
        rate = load.requests / SPAN.total_seconds()
        busy = in_flight(rate, timedelta(milliseconds=load.mean_latency_ms))
    signal = Signal("requests in flight", busy, service.target_in_flight)
    return recommend([signal], ServiceCapacity(ready=service.replicas, refused=load.refused))
