"""Recommend replicas, by hand; `keep-watch` does it every minute. Writes scaling_recommendations."""

from __future__ import annotations

from datetime import datetime

from prefect import flow

from flows.watch import watch
from tasks import recommend_scale as tasks


@flow(name="recommend-scale", validate_parameters=False)
def recommend_scale(as_of: datetime | None = None) -> list[str]:
    """Recommend replicas for every configured service."""
    with watch(as_of) as w:
        return tasks.recommend_scale(w.engine, w.settings, w.now)
