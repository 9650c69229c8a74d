"""What a request through LiteLLM was, as its loggers tell it and its table keeps it: one event for both.

Before it: `litellm.py` decodes logging payloads, `litellm_rows.py` the table's rows. So that a request counts once
however it came, times are cut to the table's milliseconds, and a cache hit is named after its call.

Traps kept in mind: a cache hit keeps all tokens but costs nothing; `prompt_tokens` includes cached and written ones;
a stream's `response_time` ends with its first token; for what was no stream, `completionStartTime` equals `endTime`;
`cost_breakdown.input_cost` includes the cache's parts; free-form metadata stands in three places.
"""

from __future__ import annotations

import hashlib
import re
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
    normalise_tier,
    normalise_vendor,
)


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


class Metadata(msgspec.Struct):
    """What payloads and the table's rows tell beside their own fields; a row knows only some of it."""

    usage_object: _Usage | None = None
    additional_usage_values: _Usage | None = None
    spend_logs_metadata: dict[str, Any] | None = None
    requester_metadata: dict[str, Any] | None = None
    user_api_key_team_id: str | None = None
    team_id: str | None = None
    user_api_key_user_id: str | None = None
    error_information: _Error | None = None
    litellm_call_id: str | None = None
    status: str | None = None


class Payload(msgspec.Struct):
    """A StandardLoggingPayload; times are seconds since 1970."""

    id: str
    startTime: float
    model: str
    status: str
    litellm_call_id: str | None = None
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
    metadata: Metadata | None = None
    error_information: _Error | None = None
    messages: Any = None


_NO_USAGE = _Usage()
_NO_METADATA = Metadata()
_HIT = re.compile(r"(_cache_hit[\d.]+)+$")


def event(payload: Payload) -> UsageEvent:
    """Return the event of a payload.

    Raises:
        InvalidValue: a time that no calendar has.
    """
    metadata = payload.metadata or _NO_METADATA
    usage = metadata.usage_object or metadata.additional_usage_values or _NO_USAGE
    free = {**(metadata.requester_metadata or {}), **(metadata.spend_logs_metadata or {})}
    operation = normalise_operation(payload.call_type)
    prompt = _prompt(payload.messages) if operation == "embedding" else None
    inputs = usage.prompt_tokens_details or _InputDetails()
    failed = payload.status != "success"
    error = payload.error_information or metadata.error_information or _Error()
    started, ended = _time("startTime", payload.startTime), _maybe("endTime", payload.endTime)
    return UsageEvent(
        event_id=_identity(payload.id, payload.litellm_call_id or metadata.litellm_call_id),
        occurred_at=started,
        vendor=_vendor(payload),
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
        tier=normalise_tier(usage.service_tier),
        input_tokens=payload.prompt_tokens,
        cached_tokens=_first(usage.cache_read_input_tokens, inputs.cached_tokens),
        cache_write_tokens=_first(usage.cache_creation_input_tokens, inputs.cache_creation_tokens),
        cache_write_1h_tokens=_one_hour(inputs),
        output_tokens=payload.completion_tokens,
        reasoning_tokens=(usage.completion_tokens_details or _OutputDetails()).reasoning_tokens,
        latency_ms=_between(started, ended),
        ttft_ms=_first_token(started, _maybe("completionStartTime", payload.completionStartTime), ended),
        cache_hit=True if _HIT.search(payload.id) else payload.cache_hit,
        reported_cost_usd=payload.response_cost,
        prompt_hash=hashlib.sha256(prompt.encode("utf-8", "surrogatepass")).hexdigest() if prompt else None,
        prompt_text=None if prompt is None or "\x00" in prompt else prompt,  # Postgres holds no NUL; the usage counts
    )


def _identity(name: str, call: str | None) -> str:
    """Name a cache hit after its call: the logger and the table each put a clock of their own behind the id."""
    answer = _HIT.sub("", name)
    return name if answer == name or not call else f"{answer}_cache_hit:{call}"


def _vendor(payload: Payload) -> str:
    prefix, slash, _ = payload.model.partition("/")
    return normalise_vendor(payload.custom_llm_provider or (prefix if slash else "unknown"))


def _maybe(field: str, epoch: float | None) -> datetime | None:
    return None if epoch is None else _time(field, epoch)


def _time(field: str, epoch: float) -> datetime:
    """Return a time cut to milliseconds, as the proxy's table keeps it."""
    try:
        when = datetime.fromtimestamp(epoch, UTC)
    except (ValueError, OverflowError, OSError):
        raise InvalidValue(field, epoch, "seconds since 1970") from None
    return when.replace(microsecond=when.microsecond // 1000 * 1000)


def _between(start: datetime, end: datetime | None) -> float | None:
    return None if end is None else round((end - start).total_seconds() * 1000, 3)


def _first_token(start: datetime, first: datetime | None, end: datetime | None) -> float | None:
    return None if first == end else _between(start, first)


def _tag(tags: list[str] | None, prefix: str) -> str | None:
    return next((tag[len(prefix) :] for tag in tags or () if tag.startswith(prefix)), None)


def _text(free: dict[str, Any], name: str) -> str | None:
    value = free.get(name)
    return None if value in (None, "") else str(value)


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
