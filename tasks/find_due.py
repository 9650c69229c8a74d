"""Say which of the minute's steps have something to do, so that an idle minute costs four small queries and no task."""

from __future__ import annotations

from datetime import datetime, timedelta

import sqlalchemy as sa

from tasks.settings import Settings
from tasks.stores import ingest, outbox, rollouts
from tasks.stores.tables import alerts, ingest_sources, usage_hourly, vendor_statuses

IDLE = timedelta(minutes=5)  # windows slide even when nothing new comes in


def evaluation_due(engine: sa.Engine, settings: Settings, now: datetime) -> bool:
    """Whether an alert is open, or the last evaluation of a system in use is old: usage, sources or vendors."""
    with engine.connect() as connection:
        is_open = sa.exists().where(alerts.c.tenant_id == settings.tenant, alerts.c.state != "resolved")
        used = sa.exists().where(usage_hourly.c.tenant_id == settings.tenant)
        watched = sa.exists().where(
            ingest_sources.c.tenant_id == settings.tenant, ingest_sources.c.silent_after_minutes.is_not(None)
        )
        relied_on = sa.exists().where(vendor_statuses.c.tenant_id == settings.tenant)
        last = ingest.watermark(connection, settings.tenant, "evaluate_alerts")
        loaded = ingest.watermark(connection, settings.tenant, "load")
        if connection.execute(sa.select(is_open)).scalar():
            return True
        in_use = bool(connection.execute(sa.select(sa.or_(used, watched, relied_on))).scalar())
    return in_use and (last is None or now - last >= IDLE or (loaded is not None and loaded > last))


def rollouts_due(engine: sa.Engine, settings: Settings) -> bool:
    """Whether a rollout is running."""
    with engine.connect() as connection:
        return rollouts.any_running(connection, settings.tenant)


def messages_due(engine: sa.Engine, settings: Settings, now: datetime) -> bool:
    """Whether the outbox holds something."""
    with engine.connect() as connection:
        return outbox.pending(connection, settings.tenant, now) > 0
