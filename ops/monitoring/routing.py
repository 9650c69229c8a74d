"""Who must know: which destinations get an alert of a tier.

Before it: `alerts.py` says that a notification is due. After it: one outbox row per destination.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from ops.monitoring.alerts import Tier


@dataclass(frozen=True, slots=True)
class Channel:
    """A destination, as the settings name it."""

    name: str
    kind: str  # which transport: slack, console
    tiers: frozenset[Tier]
    target: str | None = None  # what the transport needs to find it: a Slack channel id


def route(tier: Tier, channels: Iterable[Channel]) -> tuple[Channel, ...]:
    """Choose the channels that want alerts of `tier`, in their own order."""
    return tuple(channel for channel in channels if tier in channel.tiers)
