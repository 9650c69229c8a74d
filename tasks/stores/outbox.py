"""The outbox: what each destination should show, one row per (alert, destination), and how far delivery has come.

Before it: `tasks/evaluate_alerts.py` enqueues in the transaction that changes the alert. After it:
`tasks/dispatch_outbox.py` claims a row, sends it outside any transaction, and marks what came of it. Nothing in here
commits. A mark does nothing when another dispatcher has taken the row over meanwhile: its `attempts` then differ.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from ops.monitoring.status import Backlog
from tasks.stores.tables import outbox, outbox_destinations

_UNDELIVERED = ("waiting", "sending", "ambiguous")
_URGENCY = sa.case({"critical": 0, "warning": 1}, value=outbox.c.tier, else_=2)


@dataclass(frozen=True, slots=True)
class Claimed:
    """A row that one dispatcher holds until `lease_until`."""

    tenant: str
    dedup_key: str
    destination: str
    tier: str
    payload: dict[str, Any]
    revision: int
    attempts: int
    first_sent_at: datetime
    lease_until: datetime
    ambiguous: bool  # an earlier attempt may have arrived
    channel_id: str | None
    message_ts: str | None
    sent_rev: int

    @property
    def key(self) -> str:
        """Name the message so that a destination's history can be searched for it."""
        return f"{self.tenant}/{self.destination}/{self.dedup_key}"


def enqueue(
    connection: sa.Connection, *, tenant: str, dedup_key: str, destination: str, tier: str,
    payload: Mapping[str, Any], revision: int, now: datetime,
) -> None:  # fmt: skip
    """Set what `destination` should show; an equal or lower revision than the known one changes nothing."""
    place = {"tenant_id": tenant, "destination": destination}
    connection.execute(insert(outbox_destinations).values(**place, not_before=now).on_conflict_do_nothing())
    new = insert(outbox).values(
        **place, dedup_key=dedup_key, tier=tier, payload=_storable(payload), desired_rev=revision,
        not_before=now, created_at=now,
    )  # fmt: skip
    reopened = sa.case((outbox.c.state.in_(_UNDELIVERED), outbox.c.state), else_="waiting")
    replaced = {name: new.excluded[name] for name in ("tier", "payload", "desired_rev")}
    connection.execute(
        new.on_conflict_do_update(
            index_elements=list(outbox.primary_key),
            set_={**replaced, "state": reopened},
            where=outbox.c.desired_rev < new.excluded.desired_rev,
        )
    )


def claim(
    connection: sa.Connection, *, tenant: str, now: datetime, lease: timedelta, spacing: Mapping[str, timedelta]
) -> Claimed | None:
    """Take the most urgent row of a free destination, and keep the destination for `spacing`; None: nothing is due.

    Rows and destinations that another dispatcher is claiming are skipped, never waited for.
    """
    row = connection.execute(_most_urgent(tenant, now)).one_or_none()
    if row is None:
        return None
    claimed = Claimed(
        tenant, row.dedup_key, row.destination, row.tier, row.payload, row.desired_rev, row.attempts + 1,
        row.first_sent_at or now, now + lease, row.state != "waiting", row.channel_id, row.message_ts, row.sent_rev,
    )  # fmt: skip
    held = {"state": "sending", "attempts": claimed.attempts}
    held |= {"first_sent_at": claimed.first_sent_at, "lease_until": claimed.lease_until}
    connection.execute(outbox.update().where(_is(claimed)).values(held))
    hold_destination(connection, claimed, until=now + spacing.get(row.destination, timedelta(0)))
    return claimed


def mark_sent(connection: sa.Connection, claimed: Claimed, *, channel_id: str, ts: str, revision: int) -> None:
    """Record that the destination shows `revision`; a later one wanted meanwhile goes on waiting."""
    state = sa.case((outbox.c.desired_rev > revision, "waiting"), else_="sent")
    shown = {"channel_id": channel_id, "message_ts": ts, "sent_rev": revision}
    _settle(connection, claimed, **shown, state=state, last_error=None)


def mark_waiting(
    connection: sa.Connection, claimed: Claimed, *, not_before: datetime, error: str, count: bool, forget: bool = False
) -> None:
    """Put the row back: nothing has arrived. `count`: it was an attempt; `forget`: its earlier message is gone."""
    values: dict[str, Any] = {"state": "waiting", "not_before": not_before, "last_error": error}
    if not count:
        values["attempts"] = claimed.attempts - 1
    if forget:
        values |= {"channel_id": None, "message_ts": None, "sent_rev": 0}
    _settle(connection, claimed, **values)


def mark_ambiguous(connection: sa.Connection, claimed: Claimed, *, until: datetime, error: str) -> None:
    """Record that the message may have arrived; nobody touches the row before `until`."""
    _settle(connection, claimed, state="ambiguous", lease_until=until, last_error=error)


def mark_failed(connection: sa.Connection, claimed: Claimed, *, error: str) -> None:
    """Give up on this revision; a later one tries again."""
    _settle(connection, claimed, state="failed", last_error=error)


def hold_destination(connection: sa.Connection, claimed: Claimed, *, until: datetime) -> None:
    """Send nothing to the row's destination before `until`; a later hold stays."""
    table = outbox_destinations
    ours = sa.and_(table.c.tenant_id == claimed.tenant, table.c.destination == claimed.destination)
    connection.execute(table.update().where(ours).values(not_before=sa.func.greatest(table.c.not_before, until)))


def pending(connection: sa.Connection, tenant: str, now: datetime) -> int:
    """Count the messages enqueued by `now` that are neither delivered nor given up, due or not."""
    open_rows = (outbox.c.tenant_id == tenant, outbox.c.state.in_(_UNDELIVERED), outbox.c.created_at <= now)
    return connection.execute(sa.select(sa.func.count()).where(*open_rows)).scalar_one()


def backlogs(connection: sa.Connection, tenant: str, now: datetime) -> list[Backlog]:
    """Return what every destination has not been sent, of those with something to tell; given up: of the last day."""
    waits = outbox.c.state.in_(_UNDELIVERED)
    never_sent = sa.and_(waits, outbox.c.sent_rev == 0)  # of another revision nobody knows when it was asked for
    critical = sa.and_(never_sent, outbox.c.tier == "critical")
    failed = sa.and_(outbox.c.state == "failed", outbox.c.created_at > now - timedelta(days=1))
    found = {
        "waiting": sa.func.count().filter(waits),
        "oldest_at": sa.func.min(outbox.c.created_at).filter(never_sent),
        "oldest_critical_at": sa.func.min(outbox.c.created_at).filter(critical),
        "failed": sa.func.count().filter(failed),
        "last_error": sa.func.max(outbox.c.last_error),
    }
    rows = connection.execute(
        sa.select(outbox.c.destination, *(column.label(name) for name, column in found.items()))
        .where(outbox.c.tenant_id == tenant, outbox.c.state != "sent", sa.or_(waits, failed))
        .group_by(outbox.c.destination)
        .order_by(outbox.c.destination)
    )
    return [Backlog(**row) for row in rows.mappings()]


def _most_urgent(tenant: str, now: datetime) -> sa.Select[Any]:
    lapsed = sa.and_(outbox.c.state.in_(("sending", "ambiguous")), outbox.c.lease_until <= now)
    place = outbox_destinations
    return (
        sa.select(outbox)
        .join(place, sa.and_(place.c.tenant_id == outbox.c.tenant_id, place.c.destination == outbox.c.destination))
        .where(outbox.c.tenant_id == tenant, outbox.c.not_before <= now, place.c.not_before <= now)
        .where(sa.or_(outbox.c.state == "waiting", lapsed))
        .order_by(_URGENCY, outbox.c.created_at, outbox.c.dedup_key, outbox.c.destination)
        .limit(1)
        # Both are locked: Postgres then checks the conditions again on what another dispatcher has just committed.
        # The destination first: whoever has it has its best row too.
        .with_for_update(of=[place, outbox], skip_locked=True)
    )


def _is(claimed: Claimed) -> sa.ColumnElement[bool]:
    keys = (claimed.tenant, claimed.dedup_key, claimed.destination)
    return sa.and_(*(column == key for column, key in zip(outbox.primary_key, keys, strict=True)))


def _settle(connection: sa.Connection, claimed: Claimed, **values: Any) -> None:
    still_ours = sa.and_(_is(claimed), outbox.c.state == "sending", outbox.c.attempts == claimed.attempts)
    connection.execute(outbox.update().where(still_ours).values({"lease_until": None, **values}))


def _storable(value: Any) -> Any:
    """Replace what jsonb refuses (NUL, lone surrogates): a sample's text must not abort the alert's transaction."""
    if isinstance(value, str):
        return value.replace("\x00", "\N{REPLACEMENT CHARACTER}").encode("utf-8", "replace").decode("utf-8")
    if isinstance(value, Mapping):
        return {_storable(name): _storable(part) for name, part in value.items()}
    return [_storable(part) for part in value] if isinstance(value, list | tuple) else value
