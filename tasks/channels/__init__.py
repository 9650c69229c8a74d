"""The kinds of channel that alerts can go to, one file each. To add one: a file with `open_channel` and a line here.

Before it: `tasks/notify.py` names the configured channels. After it: `tasks/dispatch_outbox.py` sends through them.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, TextIO

from ops.errors import UnknownName
from ops.monitoring.routing import Channel
from tasks.channels import console, slack
from tasks.channels.interface import OpenChannel, Outlets

if TYPE_CHECKING:
    from slack_sdk import WebClient

KINDS: dict[str, Callable[[Channel, Outlets], OpenChannel]] = {
    "slack": slack.open_channel,
    "console": console.open_channel,
}


def open_channels(
    channels: Iterable[Channel], client: WebClient | None = None, stream: TextIO | None = None
) -> dict[str, OpenChannel]:
    """Open every configured channel, by name, in their order; the console prints to `stream`, standard error if None.

    Raises:
        UnknownName: no such kind.
        InvalidValue: a Slack channel without a client or a target.
    """
    outlets = Outlets(client, stream or sys.stderr)
    return {channel.name: _open(channel, outlets) for channel in channels}


def _open(channel: Channel, outlets: Outlets) -> OpenChannel:
    if channel.kind not in KINDS:
        raise UnknownName(f"channels.{channel.name}.kind", channel.kind, KINDS)
    return KINDS[channel.kind](channel, outlets)
