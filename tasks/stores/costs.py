"""Cost by day, and the projections made of it."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal

import sqlalchemy as sa

from ops.cost.projection import DaySpend, Projection
from ops.window import Window, floor_day
from tasks.stores.tables import cost_projections, usage_events, usage_hourly

_HISTORY = timedelta(days=120)


def daily(connection: sa.Connection, tenant: str, now: datetime) -> list[DaySpend]:
    """Return the cost of every full UTC day before `now`, from the first one with events; days without are gaps."""
    day = sa.func.date_trunc("day", usage_hourly.c.hour, "UTC").label("day")
    rows = connection.execute(
        sa.select(day, sa.func.sum(usage_hourly.c.cost_usd).label("cost_usd"))
        .where(
            usage_hourly.c.tenant_id == tenant,
            usage_hourly.c.hour >= floor_day(now) - _HISTORY,
            usage_hourly.c.hour < floor_day(now),
        )
        .group_by(day)
        .order_by(day)
    ).all()
    known: dict[datetime, Decimal] = {row.day: row.cost_usd for row in rows}
    if not known:
        return []
    span = Window(min(known), floor_day(now))
    return [DaySpend(at.date(), known.get(at)) for at in span.days()]


def spent(connection: sa.Connection, tenant: str, window: Window) -> Decimal:
    """Return what the events of a window cost, to the microsecond."""
    events = usage_events.c
    total = connection.execute(
        sa.select(sa.func.coalesce(sa.func.sum(events.cost_usd), 0)).where(
            events.tenant_id == tenant, events.occurred_at >= window.start, events.occurred_at < window.end
        )
    ).scalar_one()
    return Decimal(total)


def totals(connection: sa.Connection, tenant: str, window: Window) -> tuple[int, int, Decimal]:
    """Return (events, events without a price, cost in USD) of the full hours in a window."""
    hourly = usage_hourly.c
    row = connection.execute(
        sa.select(
            sa.func.coalesce(sa.func.sum(hourly.events), 0),
            sa.func.coalesce(sa.func.sum(hourly.unpriced_events), 0),
            sa.func.coalesce(sa.func.sum(hourly.cost_usd), 0),
        ).where(hourly.tenant_id == tenant, hourly.hour >= window.start, hourly.hour < window.end)
    ).one()
    return int(row[0]), int(row[1]), Decimal(row[2])


def save_projection(connection: sa.Connection, tenant: str, projection: Projection, now: datetime, gaps: int) -> None:
    """Keep a projection; one made again for the same time replaces it. `gaps` is the month's events without a price."""
    from sqlalchemy.dialects.postgresql import insert

    row = {
        "tenant_id": tenant,
        "month": (projection.month.start + timedelta(days=1)).date().replace(day=1),  # its start may be the day before
        "as_of": now,
        "spent_usd": projection.spent_usd,
        "month_end_usd": projection.month_end_usd,
        "low80_usd": projection.low80,
        "high80_usd": projection.high80,
        "low95_usd": projection.low95,
        "high95_usd": projection.high95,
        "method": projection.method.value,
        "history_days": projection.history_days,
        "low_history": projection.low_history,
        "unpriced_events": gaps,
    }
    connection.execute(
        insert(cost_projections)
        .values(**row)
        .on_conflict_do_update(index_elements=["tenant_id", "month", "as_of"], set_=row)
    )
