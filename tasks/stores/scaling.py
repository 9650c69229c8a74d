"""What the services carry now, and what was recommended for them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from ops.proportions import Share
from tasks.stores.tables import scaling_recommendations, usage_events


@dataclass(frozen=True, slots=True)
class Load:
    """The calls of one service in a window."""

    requests: int
    mean_latency_ms: float | None
    refused: Share


def load(connection: sa.Connection, tenant: str, service: str, now: datetime, span: timedelta) -> Load:
    """Measure a service's calls in the `span` before `now`."""
    events = usage_events.c
    n, latency, refused = connection.execute(
        sa.select(
            sa.func.count(),
            sa.func.avg(events.latency_ms),
            sa.func.count().filter(events.error_type == "rate_limit"),
        ).where(
            events.tenant_id == tenant,
            events.service == service,
            events.occurred_at >= now - span,
            events.occurred_at < now,
        )
    ).one()
    return Load(n, latency, Share(refused, n))


def recommend(
    connection: sa.Connection, tenant: str, service: str, desired: int | None, reason: str, now: datetime
) -> None:
    """Publish a recommendation; NULL when nothing is known, so that the scaler's fallback acts."""
    row = {"tenant_id": tenant, "service": service, "desired": desired, "reason": reason, "computed_at": now}
    connection.execute(
        insert(scaling_recommendations)
        .values(**row)
        .on_conflict_do_update(index_elements=["tenant_id", "service"], set_=row)
    )
