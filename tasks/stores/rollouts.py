"""Rollouts as rows: read under a lock, written by compare-and-set on their version, with the traffic they move."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from ops.deployment.bucketing import Split
from ops.deployment.canary import Rollout, RolloutState
from ops.deployment.gates import StageCounts
from ops.deployment.plan import Plan
from ops.deployment.status import Seen
from ops.errors import InvalidValue
from ops.proportions import Share
from tasks.stores.tables import rollout_events, rollouts, traffic_splits, usage_events

_BURST = timedelta(minutes=15)


def running(connection: sa.Connection, tenant: str) -> list[tuple[Rollout, datetime]]:
    """Return the running rollouts with their start, locked; one that another process holds is left to it."""
    rows = connection.execute(
        sa.select(rollouts)
        .where(rollouts.c.tenant_id == tenant, rollouts.c.state == RolloutState.RUNNING.value)
        .order_by(rollouts.c.rollout_id)
        .with_for_update(skip_locked=True)
    )
    return [(_rollout(row._mapping), row.started_at) for row in rows]


def any_running(connection: sa.Connection, tenant: str) -> bool:
    """Whether there is a rollout to advance."""
    return bool(
        connection.execute(
            sa.select(sa.exists().where(rollouts.c.tenant_id == tenant, rollouts.c.state == RolloutState.RUNNING.value))
        ).scalar()
    )


def find(connection: sa.Connection, tenant: str, rollout_id: str) -> Rollout | None:
    """Return a rollout, locked; None when there is none of that name."""
    row = connection.execute(
        sa.select(rollouts).where(rollouts.c.tenant_id == tenant, rollouts.c.rollout_id == rollout_id).with_for_update()
    ).one_or_none()
    return _rollout(row._mapping) if row else None


def history(connection: sa.Connection, tenant: str) -> list[Mapping[str, Any]]:
    """Return every rollout with its present state and reason, oldest first."""
    rows = connection.execute(sa.select(rollouts).where(rollouts.c.tenant_id == tenant).order_by(rollouts.c.started_at))
    return [dict(row._mapping) for row in rows]


def open_or_ended_since(connection: sa.Connection, tenant: str, since: datetime) -> list[Seen]:
    """Return the rollouts that are open and those decided about since then, not locked: to look at."""
    of_it = (rollout_events.c.tenant_id == rollouts.c.tenant_id, rollout_events.c.rollout_id == rollouts.c.rollout_id)
    last = sa.select(sa.func.max(rollout_events.c.decided_at)).where(*of_it).scalar_subquery()
    decided_at = sa.func.coalesce(last, rollouts.c.started_at)
    is_open = rollouts.c.state.in_((RolloutState.RUNNING.value, RolloutState.PAUSED.value))
    rows = connection.execute(
        sa.select(rollouts, decided_at.label("decided_at"))
        .where(rollouts.c.tenant_id == tenant, sa.or_(is_open, decided_at >= since))
        .order_by(rollouts.c.started_at)
    )
    return [Seen(_rollout(row._mapping), row.reason, row.decided_at) for row in rows]


def decisions(connection: sa.Connection, tenant: str, rollout_id: str) -> list[Mapping[str, Any]]:
    """Return what was decided about a rollout, in order."""
    rows = connection.execute(
        sa.select(rollout_events)
        .where(rollout_events.c.tenant_id == tenant, rollout_events.c.rollout_id == rollout_id)
        .order_by(rollout_events.c.version)
    )
    return [dict(row._mapping) for row in rows]


def insert_new(connection: sa.Connection, tenant: str, rollout: Rollout, now: datetime) -> None:
    """Store a new rollout and give its canary the first share of traffic.

    Raises:
        InvalidValue: the service has an open rollout, or the name is taken.
    """
    row = _row(rollout) | {"tenant_id": tenant, "started_at": now, "reason": "started"}
    new = insert(rollouts).values(**row).on_conflict_do_nothing().returning(rollouts.c.rollout_id)
    if connection.execute(new).scalar() is None:
        raise InvalidValue("service", rollout.service, f"free: {_open(connection, tenant, rollout.service)} is open")
    set_split(connection, tenant, rollout.split, now)


def _open(connection: sa.Connection, tenant: str, service: str) -> str:
    states = (RolloutState.RUNNING.value, RolloutState.PAUSED.value)
    return str(
        connection.execute(
            sa.select(rollouts.c.rollout_id).where(
                rollouts.c.tenant_id == tenant, rollouts.c.service == service, rollouts.c.state.in_(states)
            )
        ).scalar()
        or "a rollout of the same name"
    )


def save(connection: sa.Connection, tenant: str, before: Rollout, after: Rollout, event: Mapping[str, Any]) -> None:
    """Write the next version of a rollout, the event that tells why, and the traffic split.

    Raises:
        InvalidValue: somebody else wrote that version first.
    """
    changed = connection.execute(
        sa.update(rollouts)
        .where(
            rollouts.c.tenant_id == tenant,
            rollouts.c.rollout_id == before.rollout_id,
            rollouts.c.version == before.version,
        )
        .values(**_row(after), reason=event["reason"])
    ).rowcount
    if not changed:
        raise InvalidValue("rollout.version", before.version, "the latest; it was changed meanwhile")
    connection.execute(
        sa.insert(rollout_events).values(
            tenant_id=tenant, rollout_id=after.rollout_id, version=after.version, weight=after.canary_percent, **event
        )
    )
    set_split(connection, tenant, _settled(after), event["decided_at"])


def set_reason(connection: sa.Connection, tenant: str, rollout_id: str, reason: str) -> None:
    """Show why a rollout holds."""
    connection.execute(
        sa.update(rollouts)
        .where(rollouts.c.tenant_id == tenant, rollouts.c.rollout_id == rollout_id)
        .values(reason=reason)
    )


def stage_counts(
    connection: sa.Connection, tenant: str, rollout: Rollout, started_at: datetime, now: datetime
) -> tuple[list[StageCounts], Share]:
    """Count each stage's successes per arm, and the canary's failures of the last 15 minutes."""
    moves = connection.execute(
        sa.select(rollout_events.c.decided_at)
        .where(
            rollout_events.c.tenant_id == tenant,
            rollout_events.c.rollout_id == rollout.rollout_id,
            rollout_events.c.action == "advance",
        )
        .order_by(rollout_events.c.version)
    ).scalars()
    edges = [started_at, *moves, now]
    stages = [_counts(connection, tenant, rollout, start, end) for start, end in pairwise(edges)]
    recent = _counts(connection, tenant, rollout, max(started_at, now - _BURST), now).canary
    return stages, Share(recent.n - recent.hits, recent.n)


def _counts(connection: sa.Connection, tenant: str, rollout: Rollout, start: datetime, end: datetime) -> StageCounts:
    events = usage_events.c
    rows = connection.execute(
        sa.select(events.release, sa.func.count().filter(events.status == "success"), sa.func.count())
        .where(
            events.tenant_id == tenant,
            events.service == rollout.service,
            events.release.in_((rollout.control_release, rollout.canary_release)),
            events.occurred_at >= start,
            events.occurred_at < end,
        )
        .group_by(events.release)
    )
    arms = {release: Share(successes, n) for release, successes, n in rows}
    none = Share(0, 0)
    return StageCounts(arms.get(rollout.control_release, none), arms.get(rollout.canary_release, none))


def set_split(connection: sa.Connection, tenant: str, split: Split, now: datetime) -> None:
    """Tell the applications who sees which release."""
    row = {
        "tenant_id": tenant,
        "service": split.service,
        "control_release": split.control_release,
        "canary_release": split.canary_release,
        "canary_percent": int(split.canary_percent),
        "salt": split.salt,
        "algorithm": split.algorithm,
        "updated_at": now,
    }
    connection.execute(
        insert(traffic_splits).values(**row).on_conflict_do_update(index_elements=["tenant_id", "service"], set_=row)
    )


def splits(connection: sa.Connection, tenant: str) -> dict[str, Split]:
    """Return the traffic split of every service."""
    rows: Sequence[Any] = connection.execute(
        sa.select(traffic_splits).where(traffic_splits.c.tenant_id == tenant)
    ).all()
    return {
        row.service: Split(
            service=row.service,
            control_release=row.control_release,
            canary_release=row.canary_release,
            canary_percent=row.canary_percent,
            salt=row.salt,
            algorithm=row.algorithm,
        )
        for row in rows
    }


def _settled(rollout: Rollout) -> Split:
    """After promotion the canary is the new control; after a roll-back nobody is left on it."""
    if rollout.state is RolloutState.PROMOTED:
        return Split(service=rollout.service, control_release=rollout.canary_release)
    if rollout.canary_percent == 0:
        return Split(service=rollout.service, control_release=rollout.control_release)
    return rollout.split


def _row(rollout: Rollout) -> dict[str, Any]:
    return {
        "rollout_id": rollout.rollout_id,
        "service": rollout.service,
        "control_release": rollout.control_release,
        "canary_release": rollout.canary_release,
        "plan": rollout.plan.to_mapping(),
        "state": rollout.state.value,
        "stage": rollout.stage,
        "stage_started_at": rollout.stage_started_at,
        "version": rollout.version,
    }


def _rollout(row: Mapping[Any, Any]) -> Rollout:
    same = ("rollout_id", "service", "control_release", "canary_release", "stage", "stage_started_at", "version")
    return Rollout(
        **{name: row[name] for name in same}, plan=Plan.from_mapping(row["plan"]), state=RolloutState(row["state"])
    )
