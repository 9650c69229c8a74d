"""The canonical usage event: one call of a model, whatever log it came from.

Before it: `tasks/sources/*` parse a log line into an event. After it: `tasks/stores/usage.py` copies it into
`usage_events`. Unknown is None, never 0.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from functools import lru_cache
from operator import attrgetter
from typing import Annotated

import msgspec
from msgspec import Meta

from ops.errors import InvalidValue

MAX_TOKENS = 2**32  # at the book's dearest price still a cost that the table can hold
MAX_TEXT = 512
DAY_MS = 86_400_000.0
MAX_SKEW = timedelta(days=1)
MAX_NAME_BYTES = 256  # seven names and the tenant are one key of the hourly roll-up; Postgres allows it 2,704 bytes
MAX_DECIMALS = 400  # more than any float has; Postgres refuses 16,384
EARLIEST = datetime(2015, 1, 1, tzinfo=UTC)


class Status(StrEnum):
    """How the call ended."""

    SUCCESS = "success"
    FAILURE = "failure"


class ErrorType(StrEnum):
    """What kind of failure it was; `other` is known to have failed for a reason we have no name for."""

    TIMEOUT = "timeout"
    RATE_LIMIT = "rate_limit"
    CONTENT_FILTER = "content_filter"
    SERVER = "server"
    CLIENT = "client"
    OTHER = "other"


Required = Annotated[str, Meta(min_length=1, max_length=MAX_TEXT)]
Text = Annotated[str, Meta(max_length=MAX_TEXT)]
Count = Annotated[int, Meta(ge=0, le=MAX_TOKENS)]
Millis = Annotated[float, Meta(ge=0, le=DAY_MS)]


class UsageEvent(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One request to a model. Limits in the types are checked by msgspec when it decodes, by `validate` in any case.

    Token counts follow the vendors' totals: `cached_tokens` and `cache_write_tokens` are parts of `input_tokens`,
    `cache_write_1h_tokens` of `cache_write_tokens`, `reasoning_tokens` of `output_tokens`.
    """

    event_id: Required  # the source's own id: the same event read twice has the same id
    occurred_at: datetime  # when the request began, UTC, microseconds
    vendor: Required  # lower case, as the price book names it: openai, anthropic, google
    model: Required  # without vendor prefix
    operation: Required  # chat, embedding, completion, rerank, image, audio, other
    status: Status
    error_type: ErrorType | None = None
    user_id: Text | None = None
    team_id: Text | None = None
    feature: Text | None = None
    service: Text | None = None
    release: Text | None = None
    prompt_version: Text | None = None
    tier: Text | None = None  # the vendor's service tier: None is standard, `batch` is half price
    input_tokens: Count | None = None
    cached_tokens: Count | None = None
    cache_write_tokens: Count | None = None
    cache_write_1h_tokens: Count | None = None
    output_tokens: Count | None = None
    reasoning_tokens: Count | None = None
    latency_ms: Millis | None = None  # whole request
    ttft_ms: Millis | None = None  # time to first token; None when not streamed
    cache_hit: bool | None = None  # answered by the gateway's own cache; None when it has none
    reported_cost_usd: Decimal | None = None  # what the source says it cost
    prompt_hash: Text | None = None  # sha256 of the input text, for cache planning
    prompt_text: str | None = None  # kept only when `warming.store_texts` is on


_TEXT_FIELDS = ("event_id", "vendor", "model", "operation")
_OPTIONAL_TEXT = ("user_id", "team_id", "feature", "service", "release", "prompt_version", "tier", "prompt_hash")
NAMES = ("vendor", "model", "operation", "service", "release", "feature", "team_id")
_TOKEN_FIELDS = (
    "input_tokens",
    "cached_tokens",
    "cache_write_tokens",
    "cache_write_1h_tokens",
    "output_tokens",
    "reasoning_tokens",
)
_PARTS = (
    ("cached_tokens", "input_tokens"),
    ("cache_write_tokens", "input_tokens"),
    ("cache_write_1h_tokens", "cache_write_tokens"),
    ("reasoning_tokens", "output_tokens"),
)


def validate(event: UsageEvent, now: datetime) -> UsageEvent:
    """Return `event` when every field keeps its limit; `now` bounds clock skew to a day.

    Raises:
        InvalidValue: naming the first field that breaks its limit.
    """
    _check_texts(event)
    for field in _TOKEN_FIELDS:
        count = getattr(event, field)
        if count is not None and not 0 <= count <= MAX_TOKENS:
            raise InvalidValue(field, count, f"between 0 and {MAX_TOKENS}")
    for field in ("latency_ms", "ttft_ms"):
        value = getattr(event, field)
        if value is not None and not (math.isfinite(value) and 0 <= value <= DAY_MS):
            raise InvalidValue(field, value, "between 0 and a day in milliseconds")
    check_time(event.occurred_at, now)
    check_names(names_of(event))
    return check_amounts(event)


def _check_texts(event: UsageEvent) -> None:
    for field in _TEXT_FIELDS:
        if not getattr(event, field):
            raise InvalidValue(field, getattr(event, field), "a non-empty text")
    for field in (*_TEXT_FIELDS, *_OPTIONAL_TEXT):
        value = getattr(event, field)
        if value is not None:
            check_text(field, value)
    if event.prompt_text is not None:
        _check_storable("prompt_text", event.prompt_text)


names_of: Callable[[UsageEvent], tuple[str | None, ...]] = attrgetter(*NAMES)


def check_names(names: tuple[str | None, ...]) -> None:
    """Raise InvalidValue for the first of NAMES that is longer than a key of the roll-ups allows."""
    for field, value in zip(NAMES, names, strict=True):
        if value is not None and len(value.encode("utf-8", "surrogatepass")) > MAX_NAME_BYTES:
            raise InvalidValue(field, value, f"at most {MAX_NAME_BYTES} bytes of UTF-8")


def check_amounts(event: UsageEvent) -> UsageEvent:
    """Return the event when its counts fit each other and its cost can be one, or raise InvalidValue."""
    if event.cached_tokens or event.cache_write_tokens or event.reasoning_tokens or event.cache_write_1h_tokens:
        _check_parts(event)
    if event.reported_cost_usd is not None:
        _check_cost(event.reported_cost_usd)
    return event


def check_text(field: str, value: str) -> None:
    """Raise InvalidValue for a text that is too long, or that UTF-8 or Postgres cannot hold."""
    if len(value) > MAX_TEXT:
        raise InvalidValue(field, value, f"at most {MAX_TEXT} characters")
    _check_storable(field, value)


def _check_storable(field: str, value: str) -> None:
    if "\x00" in value or (not value.isprintable() and _unstorable(value)):
        raise InvalidValue(field, value, "text that UTF-8 and Postgres can hold")


def _unstorable(value: str) -> bool:
    return any(0xD800 <= ord(char) <= 0xDFFF for char in value)


def check_time(when: datetime, now: datetime) -> None:
    """Raise InvalidValue for a time without a zone, before EARLIEST, or more than MAX_SKEW after `now`."""
    if when.tzinfo is None:
        raise InvalidValue("occurred_at", when.isoformat(), "a time with a zone (or set `timezone` on the source)")
    if not EARLIEST <= when <= now + MAX_SKEW:
        raise InvalidValue("occurred_at", when.isoformat(), f"between {EARLIEST:%Y-%m-%d} and a day from now")


def _check_parts(event: UsageEvent) -> None:
    for part, whole in _PARTS:
        inner, outer = getattr(event, part), getattr(event, whole)
        if inner and (outer is None or inner > outer):
            raise InvalidValue(part, inner, f"at most {whole} = {outer}")
    if (event.cached_tokens or 0) + (event.cache_write_tokens or 0) > (event.input_tokens or 0):
        raise InvalidValue("cached_tokens + cache_write_tokens", event.cached_tokens, f"within {event.input_tokens}")


def _check_cost(cost: Decimal) -> None:
    if not (cost.is_finite() and 0 <= cost < 1_000_000):
        raise InvalidValue("reported_cost_usd", cost, "between 0 and 1,000,000")
    if -int(cost.as_tuple().exponent) > MAX_DECIMALS:
        raise InvalidValue("reported_cost_usd", cost, f"of at most {MAX_DECIMALS} decimals")


_VENDORS = {
    "vertex_ai": "google",
    "vertex_ai-anthropic_models": "anthropic",
    "gemini": "google",
    "google_genai": "google",
    "gcp.gemini": "google",
    "gcp.gen_ai": "google",
    "gcp.vertex_ai": "google",
    "azure_ai": "azure",
    "azure.ai.openai": "azure",
    "azure.ai.inference": "azure",
    "az.ai.openai": "azure",
    "az.ai.inference": "azure",
    "bedrock": "aws",
    "aws.bedrock": "aws",
    "bedrock_converse": "aws",
    "mistral": "mistral",
    "mistral_ai": "mistral",
    "xai": "x-ai",
    "x_ai": "x-ai",
    "text-completion-openai": "openai",
}

_PREFIX = re.compile(r"^.*/", re.DOTALL)


@lru_cache(maxsize=10_000)
def normalise_vendor(vendor: str) -> str:
    """Write a vendor as the price book does: `vertex_ai` becomes `google`."""
    name = vendor.strip().lower()
    return _VENDORS.get(name, name)


@lru_cache(maxsize=10_000)
def normalise_model(model: str) -> str:
    """Strip a gateway's routing prefix: `openai/gpt-4o-mini` becomes `gpt-4o-mini`."""
    return _PREFIX.sub("", model.strip()).strip()


def normalise_tier(tier: str | None) -> str | None:
    """Return a vendor's service tier; None for the standard one, however it is called."""
    return None if tier in (None, "", "standard", "default", "auto") else tier


_OPERATIONS = {
    "completion": "chat",
    "acompletion": "chat",
    "chat": "chat",
    "generate_content": "chat",
    "responses": "chat",
    "aresponses": "chat",
    "anthropic_messages": "chat",
    "text_completion": "completion",
    "atext_completion": "completion",
    "embedding": "embedding",
    "embeddings": "embedding",
    "aembedding": "embedding",
    "rerank": "rerank",
    "arerank": "rerank",
    "image": "image",
    "image_generation": "image",
    "aimage_generation": "image",
    "audio": "audio",
    "transcription": "audio",
    "atranscription": "audio",
    "speech": "audio",
    "aspeech": "audio",
}


@lru_cache(maxsize=10_000)
def normalise_operation(call_type: str | None) -> str:
    """Name the operation of a gateway's call type; `other` when we have no name for it."""
    return _OPERATIONS.get((call_type or "").strip().lower(), "other")


_ERRORS = (
    (ErrorType.TIMEOUT, ("timeout", "timed out", "408", "504")),
    (ErrorType.RATE_LIMIT, ("ratelimit", "rate_limit", "rate limit", "too many requests", "throttl", "429")),
    (
        ErrorType.CONTENT_FILTER,
        ("contentpolicy", "content_filter", "content_policy", "content filter", "content management"),
    ),
    (ErrorType.SERVER, ("internalserver", "serviceunavailable", "apiconnection", "badgateway", "500", "502", "503")),
    (ErrorType.CLIENT, ("badrequest", "authentication", "permission", "notfound", "unprocessable", "contextwindow")),
)


def classify_error(*hints: object) -> ErrorType:
    """Name a failure from what the source tells (class name, code); `other` when nothing is recognised."""
    text = " ".join(str(hint) for hint in hints if hint is not None).lower()
    for kind, marks in _ERRORS:
        if any(mark in text for mark in marks):
            return kind
    return ErrorType.CLIENT if re.search(r"\b4\d\d\b", text) else ErrorType.OTHER
