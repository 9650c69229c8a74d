"""Quality as rows: the results of data checks, and the pinned baselines of scores."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from tasks.stores import measures
from tasks.stores.tables import quality_baselines, quality_checks

MIN_PINNED = 100


def save_checks(connection: sa.Connection, rows: Sequence[dict[str, Any]]) -> None:
    """Keep the outcome of every check of a run; a run repeated for the same time replaces it."""
    if not rows:
        return
    statement = insert(quality_checks)
    changed = {name: statement.excluded[name] for name in ("severity", "outcome", "observed", "detail")}
    connection.execute(
        statement.on_conflict_do_update(index_elements=["tenant_id", "as_of", "name"], set_=changed), list(rows)
    )


def pin_missing(
    connection: sa.Connection, tenant: str, metrics: Iterable[str], now: datetime, span: timedelta
) -> list[str]:
    """Pin the first `span` of a metric's scores as its baseline, once; later only a person changes it."""
    pinned = []
    for metric in measures.unpinned(connection, tenant, metrics):
        first = measures.first_score(connection, tenant, metric)
        if first is None or now < first + span:
            continue
        mean, sigma, n = measures.describe_scores(connection, tenant, metric, first, first + span)
        if mean and mean > 0 and sigma and n >= MIN_PINNED:  # a drop is a share of the mean
            _pin(connection, tenant, metric, (mean, sigma, n), now, f"first {span.days} days of scores")
            pinned.append(metric)
    return pinned


def _pin(
    connection: sa.Connection, tenant: str, metric: str, figures: tuple[float, float, int], now: datetime, reason: str
) -> None:
    mean, sigma, n = figures
    row = {"tenant_id": tenant, "metric": metric, "mean": mean, "sigma": sigma, "n": n}
    connection.execute(insert(quality_baselines).values(**row, accepted_at=now, reason=reason).on_conflict_do_nothing())
