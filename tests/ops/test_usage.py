from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ops.errors import InvalidValue
from ops.usage import (
    EARLIEST,
    MAX_DECIMALS,
    MAX_NAME_BYTES,
    MAX_TEXT,
    MAX_TOKENS,
    ErrorType,
    Status,
    UsageEvent,
    classify_error,
    normalise_model,
    normalise_operation,
    normalise_tier,
    normalise_vendor,
    validate,
)

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
CALL = UsageEvent(
    event_id="e", occurred_at=NOW, vendor="openai", model="gpt-4o", operation="chat", status=Status.SUCCESS
)
DAY_MS = 24 * 60 * 60 * 1000
NAME = MAX_NAME_BYTES * "n"

ACCEPTED = {
    "the least that an event says": {},
    "a day of clock skew": {"occurred_at": NOW + timedelta(days=1)},
    "the earliest time": {"occurred_at": EARLIEST},
    "all tokens there are": {"input_tokens": MAX_TOKENS, "output_tokens": MAX_TOKENS},
    "no tokens": {"input_tokens": 0, "cached_tokens": 0, "cache_write_tokens": 0, "output_tokens": 0},
    "nothing cached of an unknown input": {"cached_tokens": 0, "cache_write_tokens": 0},
    "all input read from the cache": {"input_tokens": 9, "cached_tokens": 9},
    "input half read, half written": {"input_tokens": 9, "cached_tokens": 4, "cache_write_tokens": 5},
    "every write for an hour": {"input_tokens": 9, "cache_write_tokens": 5, "cache_write_1h_tokens": 5},
    "output all reasoning": {"output_tokens": 9, "reasoning_tokens": 9},
    "a day of latency": {"latency_ms": DAY_MS, "ttft_ms": 0.0},
    "a cost of nothing": {"reported_cost_usd": Decimal(0)},
    "the smallest float as a cost": {"reported_cost_usd": Decimal("4.9406564584124654e-324")},
    "the longest id": {"event_id": MAX_TEXT * "x"},
    "the longest names": dict.fromkeys(("vendor", "model", "operation", "service", "release", "feature"), NAME),
    "the longest name of four-byte characters": {"team_id": MAX_NAME_BYTES // 4 * "\N{GRINNING FACE}"},
    "any script, with tabs": {"user_id": "Ünï\t数据 \N{GRINNING FACE}"},
    "a prompt without a limit": {"prompt_text": 100_000 * "x"},
}
REFUSED = {
    "no id": ({"event_id": ""}, "event_id: '' is not a non-empty text"),
    "no vendor": ({"vendor": ""}, "vendor: '' is not a non-empty text"),
    "no model": ({"model": ""}, "model: '' is not a non-empty text"),
    "no operation": ({"operation": ""}, "operation: '' is not a non-empty text"),
    "an id that never ends": ({"event_id": (MAX_TEXT + 1) * "x"}, "event_id: .* at most 512 characters"),
    "an optional text that never ends": ({"user_id": (MAX_TEXT + 1) * "x"}, "user_id: .* at most 512 characters"),
    "a name longer than a key allows": ({"service": NAME + "n"}, "service: .* at most 256 bytes"),
    "a name with too many four-byte characters": ({"team_id": 65 * "\N{GRINNING FACE}"}, "team_id: .* at most 256"),
    "a NUL": ({"model": "a\x00"}, "model: .* UTF-8 and Postgres"),
    "half a character": ({"user_id": "\ud83d"}, "user_id: .* UTF-8 and Postgres"),
    "a NUL in the prompt": ({"prompt_text": "a\x00"}, "prompt_text: .* UTF-8 and Postgres"),
    "a NUL in the prompt's hash": ({"prompt_hash": "a\x00"}, "prompt_hash: .* UTF-8 and Postgres"),
    "a naive time": ({"occurred_at": NOW.replace(tzinfo=None)}, "occurred_at: '2026-03-02T12:00:00' .* with a zone"),
    "a time before the first model": ({"occurred_at": EARLIEST - timedelta(microseconds=1)}, "between 2015-01-01 and"),
    "the future": ({"occurred_at": NOW + timedelta(days=1, microseconds=1)}, "occurred_at: .* a day from now"),
    "negative tokens": ({"output_tokens": -1}, "output_tokens: -1 is not between 0 and"),
    "more tokens than there are": ({"input_tokens": MAX_TOKENS + 1}, "input_tokens: 4294967297 is not between 0 and"),
    "2^63 tokens": ({"input_tokens": 2**63}, "input_tokens: 9223372036854775808"),
    "more cached than input": ({"input_tokens": 9, "cached_tokens": 10}, "cached_tokens: 10 .* input_tokens = 9"),
    "cached of an unknown input": ({"cached_tokens": 1}, "cached_tokens: 1 .* input_tokens = None"),
    "more written than input": ({"input_tokens": 9, "cache_write_tokens": 10}, "cache_write_tokens: 10 .* = 9"),
    "more written for an hour than written": (
        {"input_tokens": 9, "cache_write_tokens": 4, "cache_write_1h_tokens": 5},
        "cache_write_1h_tokens: 5 is not at most cache_write_tokens = 4",
    ),
    "more reasoning than output": (
        {"output_tokens": 9, "reasoning_tokens": 10},
        "reasoning_tokens: 10 is not at most output_tokens = 9",
    ),
    "read and written that exceed the input together": (
        {"input_tokens": 9, "cached_tokens": 5, "cache_write_tokens": 5},
        r"cached_tokens \+ cache_write_tokens: 5 is not within 9",
    ),
    "a latency below nothing": ({"latency_ms": -0.1}, "latency_ms: -0.1 is not between 0 and a day"),
    "a latency above a day": ({"latency_ms": DAY_MS + 0.1}, "latency_ms: .* a day in milliseconds"),
    "a latency that is not a number": ({"latency_ms": float("nan")}, "latency_ms: nan"),
    "an endless first token": ({"ttft_ms": float("inf")}, "ttft_ms: inf"),
    "a negative cost": ({"reported_cost_usd": Decimal("-0.01")}, "reported_cost_usd: .* between 0 and 1,000,000"),
    "a million": ({"reported_cost_usd": Decimal(1_000_000)}, "reported_cost_usd: .* between 0 and 1,000,000"),
    "a cost that is not a number": ({"reported_cost_usd": Decimal("NaN")}, "reported_cost_usd: Decimal.'NaN'"),
    "a cost with more decimals than Postgres takes": (
        {"reported_cost_usd": Decimal((0, (1,), -MAX_DECIMALS - 1))},
        "reported_cost_usd: .* at most 400 decimals",
    ),
}


@pytest.mark.parametrize("changes", ACCEPTED.values(), ids=ACCEPTED)
def test_event_is_accepted(changes: dict[str, Any]) -> None:
    event = msgspec.structs.replace(CALL, **changes)
    assert validate(event, NOW) is event


@pytest.mark.parametrize(("changes", "reason"), REFUSED.values(), ids=REFUSED)
def test_event_is_refused_with_field_and_reason(changes: dict[str, Any], reason: str) -> None:
    with pytest.raises(InvalidValue, match=reason):
        validate(msgspec.structs.replace(CALL, **changes), NOW)


@pytest.mark.parametrize(
    ("given_name", "name"),
    [
        ("vertex_ai", "google"),
        ("Bedrock", "aws"),
        (" xai ", "x-ai"),
        ("text-completion-openai", "openai"),
        ("openai", "openai"),
        ("Groq", "groq"),
    ],
)
def test_vendor_is_written_as_in_the_price_book(given_name: str, name: str) -> None:
    assert normalise_vendor(given_name) == name


@pytest.mark.parametrize(
    ("given_name", "name"),
    [
        ("openai/gpt-4o-mini", "gpt-4o-mini"),
        ("bedrock/eu-west-1/anthropic.claude", "anthropic.claude"),
        (" gpt-4o ", "gpt-4o"),
        ("openai/", ""),
    ],
)
def test_model_loses_its_routing_prefix(given_name: str, name: str) -> None:
    assert normalise_model(given_name) == name


@pytest.mark.parametrize(
    ("call_type", "operation"),
    [
        ("acompletion", "chat"),
        ("ARESPONSES", "chat"),
        ("atext_completion", "completion"),
        ("aembedding", "embedding"),
        ("image", "image"),
        ("audio", "audio"),
        ("rerank", "rerank"),
        ("ocr", "other"),
        ("", "other"),
        (None, "other"),
    ],
)
def test_operation_is_named(call_type: str | None, operation: str) -> None:
    assert normalise_operation(call_type) == operation


@pytest.mark.uncounted
@given(st.text())
def test_normal_forms_stay_as_they_are(name: str) -> None:
    for normalise in (normalise_vendor, normalise_model):
        assert normalise(normalise(name)) == normalise(name)


ERRORS = {
    "by its class": (("Timeout", None), ErrorType.TIMEOUT),
    "a gateway's timeout by its code": ((None, 504), ErrorType.TIMEOUT),
    "a limit by its class": (("RateLimitError", "429"), ErrorType.RATE_LIMIT),
    "AWS's word for a limit": (("ThrottlingException",), ErrorType.RATE_LIMIT),
    "a filter, although its code is the client's": (("ContentPolicyViolationError", 400), ErrorType.CONTENT_FILTER),
    "a server by its code": ((None, "503"), ErrorType.SERVER),
    "a client by its class": (("BadRequestError", None), ErrorType.CLIENT),
    "a client by any code of 400 to 499": (("Weird", 418), ErrorType.CLIENT),
    "a longer number that begins with 4 is no code": (("Weird", 4180), ErrorType.OTHER),
    "nothing known": ((None, None), ErrorType.OTHER),
    "nothing at all": ((), ErrorType.OTHER),
}


@pytest.mark.parametrize(("hints", "kind"), ERRORS.values(), ids=ERRORS)
def test_failure_is_classified(hints: tuple[object, ...], kind: ErrorType) -> None:
    assert classify_error(*hints) is kind


@pytest.mark.parametrize(
    ("tier", "found"),
    [(None, None), ("", None), ("default", None), ("auto", None), ("standard", None), ("flex", "flex")],
)
def test_standard_tier_has_no_name(tier: str | None, found: str | None) -> None:
    assert normalise_tier(tier) == found
