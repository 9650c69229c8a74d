"""What every channel is given and what it answers; the dispatcher knows channels by this alone.

Before it: `settings.channels`. After it: `tasks/dispatch_outbox.py` writes each answer into the outbox.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Protocol, TextIO

if TYPE_CHECKING:
    from slack_sdk import WebClient


@dataclass(frozen=True, slots=True)
class Sent:
    """A message that its destination shows."""

    channel_id: str
    ts: str
    revision: int


@dataclass(frozen=True, slots=True)
class NotDelivered:
    """It certainly did not arrive and the same again may: too fast, no connection."""

    reason: str
    retry_after: timedelta | None = None


@dataclass(frozen=True, slots=True)
class Ambiguous:
    """It may have arrived: the answer was lost or says nothing certain."""

    reason: str


@dataclass(frozen=True, slots=True)
class Gone:
    """The message to update is no longer there."""

    reason: str


@dataclass(frozen=True, slots=True)
class BadPayload:
    """It did not arrive, and this payload never will."""

    reason: str


@dataclass(frozen=True, slots=True)
class BadDestination:
    """It did not arrive, and nothing will until a person repairs the destination."""

    reason: str


@dataclass(frozen=True, slots=True)
class Unknown:
    """The history could not be read: whether the message arrived stays open."""

    reason: str
    retry_after: timedelta | None = None


Outcome = Sent | NotDelivered | Ambiguous | Gone | BadPayload | BadDestination
Found = Sent | Unknown | BadDestination | None


class OpenChannel(Protocol):
    """A channel ready to send; `spacing` is the least time between two messages."""

    @property
    def spacing(self) -> timedelta:
        """The least time between two messages."""
        ...

    def send(self, payload: Mapping[str, Any], key: str, revision: int, previous: Sent | None) -> Outcome:
        """Post the message that `key` names, or update `previous` to `revision`."""
        ...

    def find(self, key: str, since: datetime) -> Found:
        """Look for the message of `key` among those posted from `since` on; None: it never arrived."""
        ...


@dataclass(frozen=True, slots=True)
class Outlets:
    """What channels are opened on."""

    slack: WebClient | None
    stream: TextIO
