"""Print alerts to a terminal or a log: the channel that needs no credentials and never refuses.

Before it: `tasks/dispatch_outbox.py`. After it: whoever reads the stream.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, TextIO

from ops.monitoring.routing import Channel
from ops.monitoring.slack_message import SlackMessage, as_text
from ops.plain_text import printable
from tasks.channels.interface import Outlets, Sent


class ConsoleChannel:
    """A stream of text; what is printed stays, so an update is printed below."""

    spacing = timedelta(0)

    def __init__(self, name: str, stream: TextIO) -> None:
        self._name = name
        self._stream = stream

    def send(self, payload: Mapping[str, Any], key: str, revision: int, previous: Sent | None) -> Sent:
        """Print the message."""
        message = SlackMessage(payload["text"], payload.get("blocks", []), payload.get("attachments", []))
        self._stream.write(f"{printable(as_text(message))}\n")
        self._stream.flush()
        return Sent(self._name, previous.ts if previous else key, revision)

    def find(self, key: str, since: datetime) -> None:  # noqa: ARG002  the interface's signature
        """Know nothing of what was printed: after a crash a message is printed again."""
        return


def open_channel(channel: Channel, outlets: Outlets) -> ConsoleChannel:
    """Open the console."""
    return ConsoleChannel(channel.name, outlets.stream)
