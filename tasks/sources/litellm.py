"""LiteLLM's StandardLoggingPayload, one JSON object a line, as its loggers write it.

Traps kept in mind: a cache hit keeps all tokens but costs nothing; `prompt_tokens` includes cached and written ones;
for a stream that was not one, `completionStartTime` equals `endTime`; free-form metadata stands in three places.
"""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import msgspec

from ops.errors import InvalidValue
from ops.usage import (
    Status,
    UsageEvent,
    classify_error,
    normalise_model,
    normalise_operation,
    normalise_vendor,
)
from tasks.sources.by_line import by_line
from tasks.sources.interface import FileKind


class _CacheWrites(msgspec.Struct):
    ephemeral_1h_input_tokens: int | None = None


class _InputDetails(msgspec.Struct):
    cached_tokens: int | None = None
    cache_creation_tokens: int | None = None
    cache_creation_token_details: _CacheWrites | None = None


class _OutputDetails(msgspec.Struct):
    reasoning_tokens: int | None = None


class _Usage(msgspec.Struct):
    cache_read_input_tokens: int | None = None
    cache_creation_input_tokens: int | None = None
    prompt_tokens_details: _InputDetails | None = None
    completion_tokens_details: _OutputDetails | None = None
    service_tier: str | None = None


class _Error(msgspec.Struct):
    error_code: str | int | None = None
    error_class: str | None = None


class _Metadata(msgspec.Struct):
    usage_object: _Usage | None = None
    spend_logs_metadata: dict[str, Any] | None = None
    requester_metadata: dict[str, Any] | None = None
    user_api_key_team_id: str | None = None
    team_id: str | None = None
    user_api_key_user_id: str | None = None
    error_information: _Error | None = None


class _Payload(msgspec.Struct):
    id: str
    startTime: float
    model: str
    status: str
    endTime: float | None = None
    completionStartTime: float | None = None
    call_type: str | None = None
    custom_llm_provider: str | None = None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    response_cost: Decimal | None = None
    cache_hit: bool | None = None
    end_user: str | None = None
    request_tags: list[str] | None = None
    metadata: _Metadata | None = None
    error_information: _Error | None = None
    messages: Any = None


_DECODER = msgspec.json.Decoder(_Payload)
_NO_USAGE = _Usage()
_NO_METADATA = _Metadata()


def parse(line: bytes) -> tuple[UsageEvent]:
    """Turn one payload into an event.

    Raises:
        InvalidValue: not JSON, or a field of another type; the text says where.
    """
    try:
        payload = _DECODER.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidValue("line", line[:60].decode(errors="replace"), f"a LiteLLM payload ({error})") from None
    return (_event(payload),)


def _event(payload: _Payload) -> UsageEvent:
    metadata = payload.metadata or _NO_METADATA
    usage = metadata.usage_object or _NO_USAGE
    free = {**(metadata.requester_metadata or {}), **(metadata.spend_logs_metadata or {})}
    operation = normalise_operation(payload.call_type)
    prompt = _prompt(payload.messages) if operation == "embedding" else None
    inputs = usage.prompt_tokens_details or _InputDetails()
    failed = payload.status != "success"
    error = payload.error_information or metadata.error_information or _Error()
    return UsageEvent(
        event_id=payload.id,
        occurred_at=_time("startTime", payload.startTime),
        vendor=normalise_vendor(payload.custom_llm_provider or payload.model.partition("/")[0]),
        model=normalise_model(payload.model),
        operation=operation,
        status=Status.FAILURE if failed else Status.SUCCESS,
        error_type=classify_error(error.error_class, error.error_code) if failed else None,
        user_id=payload.end_user or metadata.user_api_key_user_id or None,
        team_id=metadata.team_id or metadata.user_api_key_team_id or None,
        feature=_tag(payload.request_tags, "feature:"),
        service=_text(free, "service"),
        release=_text(free, "release"),
        prompt_version=_text(free, "prompt_version"),
        tier=_tier(usage.service_tier),
        input_tokens=payload.prompt_tokens,
        cached_tokens=_first(usage.cache_read_input_tokens, inputs.cached_tokens),
        cache_write_tokens=_first(usage.cache_creation_input_tokens, inputs.cache_creation_tokens),
        cache_write_1h_tokens=_one_hour(inputs),
        output_tokens=payload.completion_tokens,
        reasoning_tokens=(usage.completion_tokens_details or _OutputDetails()).reasoning_tokens,
        latency_ms=_between(payload.startTime, payload.endTime),
        ttft_ms=_first_token(payload),
        cache_hit=payload.cache_hit,
        reported_cost_usd=payload.response_cost,
        prompt_hash=hashlib.sha256(prompt.encode("utf-8", "surrogatepass")).hexdigest() if prompt else None,
        prompt_text=None if prompt is None or "\x00" in prompt else prompt,  # Postgres holds no NUL; the usage counts
    )


def _time(field: str, epoch: float) -> datetime:
    try:
        return datetime.fromtimestamp(epoch, UTC)
    except (ValueError, OverflowError, OSError):
        raise InvalidValue(field, epoch, "seconds since 1970") from None


def _between(start: float, end: float | None) -> float | None:
    return None if end is None else round((end - start) * 1000, 3)


def _first_token(payload: _Payload) -> float | None:
    if payload.completionStartTime is None or payload.completionStartTime == payload.endTime:
        return None
    return _between(payload.startTime, payload.completionStartTime)


def _tag(tags: list[str] | None, prefix: str) -> str | None:
    return next((tag[len(prefix) :] for tag in tags or () if tag.startswith(prefix)), None)


def _text(free: dict[str, Any], name: str) -> str | None:
    value = free.get(name)
    return None if value in (None, "") else str(value)


def _tier(tier: str | None) -> str | None:
    return None if tier in (None, "", "standard", "default", "auto") else tier


def _first(*counts: int | None) -> int | None:
    return next((count for count in counts if count is not None), None)


def _one_hour(inputs: _InputDetails) -> int | None:
    return (inputs.cache_creation_token_details or _CacheWrites()).ephemeral_1h_input_tokens


def _prompt(messages: Any) -> str | None:
    """Return the text of a single-input embedding call; None for several inputs or token arrays."""
    if isinstance(messages, list) and len(messages) == 1:
        messages = messages[0]
    if isinstance(messages, dict):
        messages = messages.get("content")
    return messages if isinstance(messages, str) and messages else None


KIND = FileKind(by_line(parse))
