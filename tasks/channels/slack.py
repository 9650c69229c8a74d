"""Send alerts to a Slack channel, and say exactly what is known of each attempt.

Before it: `tasks/dispatch_outbox.py` with a payload of `ops/monitoring/slack_message.py`. After it: Slack's Web API.
The client must not retry by itself (`tasks.slack_client`): a retry after a lost answer posts twice.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import httpx
from slack_sdk.errors import SlackApiError, SlackClientError

from ops.errors import InvalidValue, Refused
from ops.monitoring.routing import Channel
from tasks.channels.interface import (
    Ambiguous,
    BadDestination,
    BadPayload,
    Found,
    Gone,
    NotDelivered,
    Outcome,
    Outlets,
    Sent,
    Unknown,
)
from tasks.request_body import Refusal

if TYPE_CHECKING:
    from slack_sdk import WebClient
    from slack_sdk.web import SlackResponse

Failure = NotDelivered | Ambiguous | Gone | BadPayload | BadDestination

EVENT_TYPE = "watchkeeper_alert"
CLOCK_SKEW = timedelta(seconds=60)  # between our clock and Slack's
PAGE = 200
MOST_PAGES = 100  # of a channel's history: a server whose pages never end is not waited for

# ValueError: a body that is not UTF-8 or JSON; _SHAPES: the SDK and we, on JSON that is not of Slack's form.
_SHAPES = (AttributeError, LookupError, TypeError)
_FAILURES = (SlackClientError, httpx.TransportError, Refusal, Refused, ValueError, *_SHAPES)
_NEVER_SENT = (httpx.ConnectError, httpx.ConnectTimeout)

# https://docs.slack.dev/reference/methods/chat.postMessage#errors, and those of chat.update
_TOO_FAST = {"ratelimited", "rate_limited"}
_UNSURE = {"internal_error", "fatal_error", "request_timeout", "service_unavailable"}
_GONE = {"message_not_found", "cant_update_message", "edit_window_closed"}
_BAD_PAYLOAD = {
    "invalid_blocks", "invalid_blocks_format", "msg_too_long", "msg_blocks_too_long", "invalid_attachments",
    "too_many_attachments", "attachment_payload_limit_exceeded", "no_text", "markdown_text_conflict",
}  # fmt: skip
_ERROR_CODE = re.compile(r"[a-z][a-z0-9_]*")
_SECONDS = re.compile(r"\d{1,5}")


class SlackChannel:
    """One channel of one workspace, by its id."""

    spacing = timedelta(seconds=1.1)  # Slack allows about one message a second and channel

    def __init__(self, client: WebClient, target: str) -> None:
        self._client = client
        self._target = target

    def send(self, payload: Mapping[str, Any], key: str, revision: int, previous: Sent | None) -> Outcome:
        """Post once, or update `previous` in place."""
        message = _arguments(payload, key, revision)
        try:
            if previous:
                response = self._client.chat_update(channel=previous.channel_id, ts=previous.ts, **message)
            else:
                quiet: dict[str, Any] = {"unfurl_links": False, "unfurl_media": False}
                response = self._client.chat_postMessage(channel=self._target, **quiet, **message)
        except _FAILURES as error:
            return classify(error)
        return _sent(response, revision)

    def find(self, key: str, since: datetime) -> Found:
        """Read the channel's history for the metadata of `key`."""
        oldest = f"{(since - CLOCK_SKEW).timestamp():.6f}"
        try:
            pages = self._client.conversations_history(
                channel=self._target, oldest=oldest, include_all_metadata=True, limit=PAGE
            )
            for number, page in enumerate(pages):
                if number == MOST_PAGES:
                    return Unknown(f"conversations.history: more than {MOST_PAGES} pages")
                hits = (_revision(message, key) for message in page["messages"])
                found = next((Sent(self._target, ts, revision) for ts, revision in hits if revision is not None), None)
                if found:
                    return found
        except _FAILURES as error:
            return _unread(classify(error))
        return None


def open_channel(channel: Channel, outlets: Outlets) -> SlackChannel:
    """Open the channel of id `target`.

    Raises:
        InvalidValue: no client, or no target.
    """
    if not channel.target:
        raise InvalidValue(f"channels.{channel.name}.target", channel.target, "the id of a Slack channel")
    if outlets.slack is None:
        raise InvalidValue("slack.bot_token", "", f"a bot token, which channel {channel.name} needs")
    return SlackChannel(outlets.slack, channel.target)


def classify(error: Exception) -> Failure:
    """Say what a failed call means for the message."""
    if isinstance(error, SlackApiError):
        return _refusal(error.response)
    if isinstance(error, Refused):
        return BadDestination(str(error))
    reason = f"{type(error).__name__}: {error}"[:300]
    return NotDelivered(reason) if isinstance(error, _NEVER_SENT) else Ambiguous(reason)


def _refusal(response: SlackResponse) -> Failure:
    code, status = str(response.get("error"))[:300], response.status_code
    if status == 429 or code in _TOO_FAST:
        return NotDelivered(code, _retry_after(response.headers))
    if status >= 500 or code in _UNSURE or not _ERROR_CODE.fullmatch(code):
        return Ambiguous(f"HTTP {status}: {code}")
    if code in _GONE:
        return Gone(code)
    return BadPayload(code) if code in _BAD_PAYLOAD else BadDestination(code)


def _unread(failure: Failure) -> Unknown | BadDestination:
    if isinstance(failure, BadDestination):
        return BadDestination(f"conversations.history: {failure.reason}")
    return Unknown(f"conversations.history: {failure.reason}", getattr(failure, "retry_after", None))


def _retry_after(headers: Mapping[str, str]) -> timedelta | None:
    seconds = headers.get("Retry-After", "")
    return timedelta(seconds=int(seconds)) if _SECONDS.fullmatch(seconds) else None


def _arguments(payload: Mapping[str, Any], key: str, revision: int) -> dict[str, Any]:
    # Empty lists too: chat.update keeps the blocks and attachments that it is not told of.
    parts = {name: payload.get(name, []) for name in ("blocks", "attachments")}
    metadata = {"event_type": EVENT_TYPE, "event_payload": {"key": key, "rev": revision}}
    return {"text": payload["text"], **parts, "metadata": metadata}


def _sent(response: SlackResponse, revision: int) -> Sent | Ambiguous:
    channel_id, ts = response["channel"], response["ts"]
    return Sent(channel_id, ts, revision) if channel_id and ts else Ambiguous("ok, but no ts in the answer")


def _revision(message: dict[str, Any], key: str) -> tuple[str, int | None]:
    metadata = message.get("metadata") or {}
    payload = metadata.get("event_payload") or {}
    ours = metadata.get("event_type") == EVENT_TYPE and payload.get("key") == key
    return message.get("ts", ""), int(payload["rev"]) if ours else None
