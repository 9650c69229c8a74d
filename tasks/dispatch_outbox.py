"""Send what the outbox wants sent: every alert once per destination, later revisions as updates of that message.

Before it: `tasks/stores/outbox.py` holds the messages. After it: `tasks/channels/`. A claim and its result are two
transactions with the sending between them; whoever dies in between leaves a row whose lease runs out, and the next
dispatcher looks into the destination's history before it sends again. Nothing in here sleeps.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa
from prefect import task
from prefect.cache_policies import NO_CACHE

from tasks.channels.interface import (
    Ambiguous,
    BadDestination,
    BadPayload,
    Gone,
    NotDelivered,
    OpenChannel,
    Outcome,
    Sent,
    Unknown,
)
from tasks.stores import outbox
from tasks.stores.outbox import Claimed

LEASE = timedelta(seconds=60)
SENDING = timedelta(seconds=25)  # two posts of at most 10 s each, and some air
PROBE_EVERY = timedelta(seconds=30)  # how often an unreachable destination is tried
TEXT_LIMIT = 4000

_NOTICE = "undelivered"


@dataclass(frozen=True, slots=True)
class DispatchReport:
    """What one call did, and how many messages still wait afterwards, due or not."""

    sent: int
    updated: int
    failed: int
    waiting: int

    def __str__(self) -> str:
        return f"messages: {self.sent} sent, {self.updated} updated, {self.failed} failed, {self.waiting} waiting"


def dispatch_due(
    engine: sa.Engine, tenant: str, channels: Mapping[str, OpenChannel], now: Callable[[], datetime], limit: int = 100
) -> DispatchReport:
    """Send up to `limit` messages that are due; what a channel's pace does not allow yet is left for a later call.

    `now` is asked before and after each message, since sending takes time; pass a constant one to replay a day.
    """
    done: Counter[str] = Counter()
    spacing = {name: channel.spacing for name, channel in channels.items()}
    for _ in range(limit):
        with engine.begin() as connection:
            claimed = outbox.claim(connection, tenant=tenant, now=now(), lease=LEASE, spacing=spacing)
        if claimed is None:
            break
        outcome = _attempt(claimed, channels.get(claimed.destination), now)
        with engine.begin() as connection:
            done[_record(connection, claimed, outcome, channels, now())] += 1
    with engine.connect() as connection:
        waiting = outbox.pending(connection, tenant, now())
    return DispatchReport(done["sent"], done["updated"], done["failed"], waiting)


@task(cache_policy=NO_CACHE)
def dispatch_outbox(
    engine: sa.Engine, tenant: str, channels: Mapping[str, OpenChannel], now: Callable[[], datetime]
) -> DispatchReport:
    """Send the messages that are due; never with retries, which would post twice."""
    return dispatch_due(engine, tenant, channels, now)


def _attempt(claimed: Claimed, channel: OpenChannel | None, now: Callable[[], datetime]) -> Outcome | Unknown:
    if channel is None:
        return BadDestination("not a configured channel")
    previous = _previous(claimed)
    if claimed.ambiguous and previous is None:
        found = channel.find(claimed.key, claimed.first_sent_at)
        if found is not None:
            return found
        if now() > claimed.lease_until - SENDING:
            return Unknown("the history took too long to read")
    outcome = channel.send(claimed.payload, claimed.key, claimed.revision, previous)
    if isinstance(outcome, BadPayload):
        plain = {"text": claimed.payload["text"][:TEXT_LIMIT]}
        return channel.send(plain, claimed.key, claimed.revision, previous)
    return outcome


def _previous(claimed: Claimed) -> Sent | None:
    if claimed.channel_id is None or claimed.message_ts is None:
        return None
    return Sent(claimed.channel_id, claimed.message_ts, claimed.sent_rev)


def _record(
    connection: sa.Connection, claimed: Claimed, outcome: Outcome | Unknown, channels: Mapping[str, OpenChannel],
    now: datetime,
) -> str:  # fmt: skip
    """Write the outcome into the outbox and name it for the report."""
    match outcome:
        case Sent(channel_id, ts, revision):
            outbox.mark_sent(connection, claimed, channel_id=channel_id, ts=ts, revision=revision)
            return "updated" if claimed.message_ts else "sent"
        case BadPayload(reason) | BadDestination(reason):
            outbox.mark_failed(connection, claimed, error=reason)
            _tell_elsewhere(connection, claimed, reason, channels, now)
            return "failed"
        case Gone(reason):
            outbox.mark_waiting(connection, claimed, not_before=now, error=reason, count=True, forget=True)
        case Ambiguous(reason):
            outbox.mark_ambiguous(connection, claimed, until=claimed.lease_until, error=reason)
        case NotDelivered(reason, retry_after):
            until = _hold(connection, claimed, retry_after, now)
            outbox.mark_waiting(connection, claimed, not_before=until, error=reason, count=False)
        case Unknown(reason, retry_after):
            until = _hold(connection, claimed, retry_after, now)
            outbox.mark_ambiguous(connection, claimed, until=until, error=reason)
    return "waiting"


def _hold(connection: sa.Connection, claimed: Claimed, retry_after: timedelta | None, now: datetime) -> datetime:
    until = now + (retry_after or PROBE_EVERY)
    outbox.hold_destination(connection, claimed, until=until)
    return until


def _tell_elsewhere(
    connection: sa.Connection, claimed: Claimed, reason: str, channels: Mapping[str, OpenChannel], now: datetime
) -> None:
    """Enqueue the failed message's text for the first channel that it has not failed on."""
    tried = f"{_NOTICE}/{claimed.destination}/{claimed.dedup_key}"
    other = next((name for name in channels if f"{_NOTICE}/{name}/" not in tried), None)
    if other is None:
        return
    text = f"Not delivered to {claimed.destination} ({reason}): {claimed.payload['text']}"[:TEXT_LIMIT]
    outbox.enqueue(
        connection, tenant=claimed.tenant, dedup_key=tried, destination=other, tier=claimed.tier,
        payload={"text": text}, revision=claimed.revision, now=now,
    )  # fmt: skip
