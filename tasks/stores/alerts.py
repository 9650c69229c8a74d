"""Alerts as rows: one open incident per rule and key, kept by a unique index."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from ops.monitoring.alerts import Alert, State, Summary, Tier
from tasks.stores.tables import alerts

_COLUMNS = ("alert_id", "rule", "key", "since", "fired_at", "resolved_at", "revision")
_IN_BODY = ("value", "limit", "evidence", "breaches", "clears")


def open_alerts(connection: sa.Connection, tenant: str) -> dict[tuple[str, str], Alert]:
    """Return the incidents that are not resolved, by (rule, key), locked until the transaction ends."""
    rows = connection.execute(
        sa.select(alerts)
        .where(alerts.c.tenant_id == tenant, alerts.c.state != State.RESOLVED.value)
        .order_by(alerts.c.alert_id)
        .with_for_update()
    )
    return {(row.rule, row.key): _alert(row._mapping) for row in rows}


def firing(connection: sa.Connection, tenant: str) -> list[Alert]:
    """Return the incidents that are firing, not locked: to look at."""
    is_firing = (alerts.c.tenant_id == tenant, alerts.c.state == State.FIRING.value)
    return [_alert(row._mapping) for row in connection.execute(sa.select(alerts).where(*is_firing))]


def pending_and_resolved(connection: sa.Connection, tenant: str, since: datetime) -> tuple[int, int]:
    """Count the incidents that nobody was told of yet, and those that somebody was, and that are over since then."""
    is_pending = alerts.c.state == State.PENDING.value
    is_over = sa.and_(alerts.c.state == State.RESOLVED.value, alerts.c.resolved_at > since, alerts.c.revision > 0)
    counted = sa.select(sa.func.count().filter(is_pending), sa.func.count().filter(is_over))
    pending, resolved = connection.execute(counted.where(alerts.c.tenant_id == tenant)).one()
    return pending, resolved


def all_alerts(connection: sa.Connection, tenant: str) -> list[Alert]:
    """Return every incident that somebody was told of, oldest first."""
    rows = connection.execute(
        sa.select(alerts).where(alerts.c.tenant_id == tenant, alerts.c.revision > 0).order_by(alerts.c.since)
    )
    return [_alert(row._mapping) for row in rows]


def save(connection: sa.Connection, tenant: str, alert: Alert) -> None:
    """Insert or update an incident."""
    row: dict[str, Any] = {name: getattr(alert, name) for name in _COLUMNS}
    row |= {"tenant_id": tenant, "tier": alert.tier.value, "state": alert.state.value, "body": _body(alert)}
    statement = insert(alerts).values(**row)
    changed = {name: statement.excluded[name] for name in row if name not in {"tenant_id", "alert_id", "rule", "key"}}
    connection.execute(statement.on_conflict_do_update(index_elements=["tenant_id", "alert_id"], set_=changed))


def _body(alert: Alert) -> dict[str, Any]:
    summary = alert.summary
    return {
        **{name: getattr(alert, name) for name in _IN_BODY},
        "evidence": dict(alert.evidence),
        "summary": [summary.what, summary.value, summary.limit, summary.bound],
    }


def _alert(row: Mapping[Any, Any]) -> Alert:
    body = row["body"]
    return Alert(
        **{name: row[name] for name in _COLUMNS},
        **{name: body[name] for name in _IN_BODY},
        tier=Tier(row["tier"]),
        state=State(row["state"]),
        summary=Summary(*body["summary"]),
    )
