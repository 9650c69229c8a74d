"""Rows of LiteLLM's spend log: of an export of the table `LiteLLM_SpendLogs`, of its API, of the table itself.

Before it: a file, `litellm_api.py` or `litellm_table.py` has a row as JSON. After it: `litellm_payload.py` makes the
event, the same as of the logging payload of that request; `requester_metadata` and an embedding's text only the
payload tells.
"""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, TypeVar

import msgspec

from ops.errors import InvalidValue
from ops.usage import UsageEvent
from tasks.settings import Source
from tasks.sources.by_line import by_line
from tasks.sources.interface import FileKind, required
from tasks.sources.litellm_payload import Metadata, Payload, event

_NOTHING = msgspec.Raw()


class _Row(msgspec.Struct):
    request_id: str
    startTime: str
    model: str
    endTime: str | None = None
    completionStartTime: str | None = None
    call_type: str | None = None
    custom_llm_provider: str | None = None
    status: str | None = None
    spend: Decimal | None = None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    cache_hit: str | bool | None = None
    end_user: str | None = None
    user: str | None = None
    team_id: str | None = None
    litellm_call_id: str | None = None
    metadata: msgspec.Raw = _NOTHING
    request_tags: msgspec.Raw = _NOTHING
    messages: msgspec.Raw = _NOTHING


T = TypeVar("T")
_DECODER = msgspec.json.Decoder(_Row)
_TEXT = msgspec.json.Decoder(str)
_METADATA = msgspec.json.Decoder(Metadata | None)
_TAGS = msgspec.json.Decoder(list[str] | None)
_ANY: msgspec.json.Decoder[Any] = msgspec.json.Decoder()
_HITS = {"true": True, "false": False}


def parse(line: bytes) -> tuple[UsageEvent]:
    """Turn one row, a JSON object, into an event.

    Raises:
        InvalidValue: not JSON, or a field of another type; the text says where.
    """
    try:
        row = _DECODER.decode(line)
        metadata = _inner(row.metadata, _METADATA) or Metadata()
        tags, messages = _inner(row.request_tags, _TAGS), _inner(row.messages, _ANY)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        shown = line[:60].decode(errors="replace")
        raise InvalidValue("line", shown, f"a row of LiteLLM_SpendLogs ({error})") from None
    return (event(_payload(row, metadata, tags, messages)),)


def _inner(raw: msgspec.Raw, decoder: msgspec.json.Decoder[T]) -> T | None:
    """Decode a JSON column: an object, or the text of one."""
    text = bytes(raw)
    if text.startswith(b'"'):
        text = _TEXT.decode(text).encode()
    return decoder.decode(text) if text else None


def _payload(row: _Row, metadata: Metadata, tags: list[str] | None, messages: object) -> Payload:
    metadata.user_api_key_user_id = metadata.user_api_key_user_id or row.user
    metadata.user_api_key_team_id = metadata.user_api_key_team_id or row.team_id
    return Payload(
        id=row.request_id,
        startTime=moment("startTime", row.startTime).timestamp(),
        endTime=_epoch("endTime", row.endTime),
        completionStartTime=_epoch("completionStartTime", row.completionStartTime),
        model=row.model,
        status=row.status or metadata.status or "success",
        litellm_call_id=row.litellm_call_id,
        call_type=row.call_type,
        custom_llm_provider=row.custom_llm_provider,
        prompt_tokens=row.prompt_tokens,
        completion_tokens=row.completion_tokens,
        response_cost=row.spend,
        cache_hit=_HITS.get(str(row.cache_hit).lower()),
        end_user=row.end_user,
        request_tags=tags,
        metadata=metadata,
        messages=messages,
    )


def moment(field: str, text: str) -> datetime:
    """Return a row's time; without a zone it is UTC.

    Raises:
        InvalidValue: no ISO 8601 time.
    """
    try:
        when = datetime.fromisoformat(text)
        return (when if when.tzinfo else when.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        raise InvalidValue(field, text, "an ISO 8601 time") from None


def _epoch(field: str, text: str | None) -> float | None:
    return moment(field, text).timestamp() if text else None


def parse_again(source: Source, row: Any) -> tuple[UsageEvent]:  # noqa: ARG001  a kind's signature
    """Turn a row that was kept as a reject into an event; see `ApiKind.row`."""
    return parse(msgspec.json.encode(row))


KIND = FileKind(by_line(parse), marks=(required(_Row),))
