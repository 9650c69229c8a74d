"""What an open alert is about and nobody asks any more: without a request there is nothing to measure its end by.

After it: the samples of `measures.py` and `traffic.py` say so, and the rules that it is over.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

import sqlalchemy as sa

from ops.monitoring.traffic import IDLE
from ops.window import floor_hour
from tasks.stores.tables import alerts, usage_hourly


def idle(
    connection: sa.Connection, tenant: str, rule: str, name: sa.ColumnElement[str], now: datetime, *,
    known: Collection[str] = (),
) -> list[str]:  # fmt: skip
    """Return the keys of a rule's open alerts, but those `known`, that no hour of the last week has under this name.

    None while a source is silent, or all of them bring nothing: then nobody knows what is asked.
    """
    start, hourly = floor_hour(now) - IDLE, usage_hourly.c
    asked = sa.exists().where(hourly.tenant_id == tenant, hourly.hour >= start, hourly.hour < now, name == alerts.c.key)
    is_open = (
        alerts.c.tenant_id == tenant, alerts.c.rule == rule, alerts.c.state != "resolved", alerts.c.since < start
    )  # fmt: skip
    spoken = sa.exists().where(hourly.tenant_id == tenant, hourly.hour >= start, hourly.hour < now)
    other = alerts.alias()
    silent = sa.exists().where(
        other.c.tenant_id == tenant, other.c.rule == "silence", other.c.state != "resolved"
    )  # fmt: skip
    keys = sa.select(alerts.c.key).where(*is_open, alerts.c.key.not_in(list(known)), ~asked, spoken, ~silent)
    return list(connection.execute(keys.order_by(alerts.c.key)).scalars())
