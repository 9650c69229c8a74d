"""Put a message into the outbox of every channel that wants its tier, inside the transaction that decided it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import sqlalchemy as sa

from ops.monitoring.alerts import Tier
from ops.monitoring.routing import Channel, route
from ops.monitoring.slack_message import SlackMessage
from tasks import settings as configured
from tasks.settings import Settings
from tasks.stores import outbox

_CONSOLE = configured.Channel(name="console", kind="console")


def usable_channels(settings: Settings) -> tuple[configured.Channel, ...]:
    """Return the configured channels; those of Slack only where there is a token. The console stands in for none."""
    usable = (channel for channel in settings.channels if channel.kind != "slack" or settings.slack_ready)
    return tuple(usable) or (_CONSOLE,)


def routes_of(settings: Settings) -> tuple[Channel, ...]:
    """Return the usable channels as routing sees them."""
    return tuple(
        Channel(channel.name, channel.kind, frozenset(map(Tier, channel.tiers)), channel.target)
        for channel in usable_channels(settings)
    )


def notify(
    connection: sa.Connection, tenant: str, channels: Sequence[Channel], *, key: str, tier: Tier,
    message: SlackMessage, revision: int, now: datetime,
) -> None:  # fmt: skip
    """Ask for `message` to be what every channel of `tier` shows under `key`."""
    for channel in route(tier, channels):
        outbox.enqueue(
            connection, tenant=tenant, dedup_key=key, destination=channel.name, tier=tier.value,
            payload=message.payload(), revision=revision, now=now,
        )  # fmt: skip
