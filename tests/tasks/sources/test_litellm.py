from __future__ import annotations

import hashlib
from contextlib import suppress
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ops.cost.pricing import cost, rate_cards
from ops.errors import InvalidValue
from ops.usage import ErrorType, Status, UsageEvent, validate
from tasks.settings import Source
from tasks.sources.litellm import parse, parser

START = 1_772_452_800.25  # 2026-03-02 12:00:00.25 UTC
NOW = datetime(2026, 3, 3, tzinfo=UTC)
LEAST = {"id": "chatcmpl-1", "startTime": START, "model": "openai/gpt-4o", "status": "success"}


def line(**fields: Any) -> bytes:
    return msgspec.json.encode({**LEAST, **fields})


def event(**fields: Any) -> UsageEvent:
    return parse(line(**fields), 1, "f")


def test_least_payload_leaves_everything_else_unknown() -> None:
    assert parser(Source(name="gateway", path="log"), b"")(line(), 1, "f") == UsageEvent(
        event_id="chatcmpl-1",
        occurred_at=datetime(2026, 3, 2, 12, 0, 0, 250_000, tzinfo=UTC),
        vendor="openai",
        model="gpt-4o",
        operation="other",
        status=Status.SUCCESS,
    )


USAGE = {
    "cache_read_input_tokens": 30,
    "cache_creation_input_tokens": 50,
    "prompt_tokens_details": {
        "cached_tokens": 31,
        "cache_creation_tokens": 51,
        "cache_creation_token_details": {"ephemeral_1h_input_tokens": 20},
    },
    "completion_tokens_details": {"reasoning_tokens": 5},
    "service_tier": "flex",
}
DETAILS_ONLY = {"prompt_tokens_details": {"cached_tokens": 31, "cache_creation_tokens": 51}}
FREE = {"service": "search-api", "release": "v2", "prompt_version": 3}
FIELDS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "the provider before the model's prefix": (
        {"custom_llm_provider": "vertex_ai", "model": "gemini/gemini-2.5-pro"},
        {"vendor": "google", "model": "gemini-2.5-pro"},
    ),
    "the call's type": ({"call_type": "aembedding"}, {"operation": "embedding"}),
    "the tokens": (
        {"prompt_tokens": 100, "completion_tokens": 9, "metadata": {"usage_object": USAGE}},
        {
            "input_tokens": 100,
            "cached_tokens": 30,
            "cache_write_tokens": 50,
            "cache_write_1h_tokens": 20,
            "output_tokens": 9,
            "reasoning_tokens": 5,
            "tier": "flex",
        },
    ),
    "the cached tokens from the details where Anthropic's are absent": (
        {"metadata": {"usage_object": DETAILS_ONLY}},
        {"cached_tokens": 31, "cache_write_tokens": 51, "cache_write_1h_tokens": None},
    ),
    "none cached as none, not as unknown": (
        {"metadata": {"usage_object": {**DETAILS_ONLY, "cache_read_input_tokens": 0}}},
        {"cached_tokens": 0},
    ),
    "the standard tier as none": ({"metadata": {"usage_object": {"service_tier": "default"}}}, {"tier": None}),
    "the end user before the key's": (
        {"end_user": "cust-7", "metadata": {"user_api_key_user_id": "u-1"}},
        {"user_id": "cust-7"},
    ),
    "the key's user where the end user is blank": (
        {"end_user": "", "metadata": {"user_api_key_user_id": "u-1"}},
        {"user_id": "u-1"},
    ),
    "the team before the key's": ({"metadata": {"team_id": "t", "user_api_key_team_id": "k"}}, {"team_id": "t"}),
    "the key's team": ({"metadata": {"user_api_key_team_id": "k"}}, {"team_id": "k"}),
    "the feature's tag": ({"request_tags": ["User-Agent: curl", "feature:search"]}, {"feature": "search"}),
    "what the requester says of itself, numbers as text": (
        {"metadata": {"requester_metadata": FREE}},
        {"service": "search-api", "release": "v2", "prompt_version": "3"},
    ),
    "what the key's owner says before what the requester says": (
        {"metadata": {"requester_metadata": FREE, "spend_logs_metadata": {"release": "v3", "service": ""}}},
        {"release": "v3", "service": None},
    ),
    "latency and first token in milliseconds": (
        {"endTime": START + 2, "completionStartTime": START + 0.5},
        {"latency_ms": 2000.0, "ttft_ms": 500.0},
    ),
    "no first token of an answer that was not streamed": (
        {"endTime": START + 2, "completionStartTime": START + 2},
        {"latency_ms": 2000.0, "ttft_ms": None},
    ),
    "a cache hit with its tokens": (
        {"cache_hit": True, "prompt_tokens": 5},
        {"cache_hit": True, "input_tokens": 5},
    ),
    "the reported cost to the last digit": (
        {"response_cost": 1.35e-05},
        {"reported_cost_usd": Decimal("0.0000135")},
    ),
    "a failure by its class": (
        {"status": "failure", "error_information": {"error_class": "Timeout", "error_code": "408"}},
        {"status": Status.FAILURE, "error_type": ErrorType.TIMEOUT},
    ),
    "a failure that the metadata tells of": (
        {"status": "failure", "metadata": {"error_information": {"error_code": 429}}},
        {"status": Status.FAILURE, "error_type": ErrorType.RATE_LIMIT},
    ),
    "a failure without a word": ({"status": "failure"}, {"error_type": ErrorType.OTHER}),
    "no error of a success": ({"error_information": {"error_code": "500"}}, {"error_type": None}),
}


@pytest.mark.parametrize(("payload", "expected"), FIELDS.values(), ids=FIELDS)
def test_payload_gives(payload: dict[str, Any], expected: dict[str, Any]) -> None:
    found = msgspec.structs.asdict(event(**payload))
    assert {name: found[name] for name in expected} == expected


TEXT_HASH = hashlib.sha256(b"how?").hexdigest()
PROMPTS: dict[str, tuple[dict[str, Any], str | None, str | None]] = {
    "an embedding's input": ({"call_type": "embedding", "messages": "how?"}, TEXT_HASH, "how?"),
    "an embedding's message": (
        {"call_type": "aembedding", "messages": [{"role": "user", "content": "how?"}]},
        TEXT_HASH,
        "how?",
    ),
    "the only one of a list": ({"call_type": "embedding", "messages": ["how?"]}, TEXT_HASH, "how?"),
    "one with a NUL is known by its hash alone": (
        {"call_type": "embedding", "messages": "a\x00b"},
        hashlib.sha256(b"a\x00b").hexdigest(),
        None,
    ),
    "several inputs are none": ({"call_type": "embedding", "messages": ["a", "b"]}, None, None),
    "token numbers are none": ({"call_type": "embedding", "messages": [[1, 2]]}, None, None),
    "an empty one is none": ({"call_type": "embedding", "messages": ""}, None, None),
    "a chat's is never kept": ({"call_type": "completion", "messages": "how?"}, None, None),
}


@pytest.mark.parametrize(("payload", "digest", "text"), PROMPTS.values(), ids=PROMPTS)
def test_prompt_kept_for_warming(payload: dict[str, Any], digest: str | None, text: str | None) -> None:
    found = event(**payload)
    assert (found.prompt_hash, found.prompt_text) == (digest, text)


REFUSED = {
    "no JSON": (b"GET / HTTP/1.1", "line: 'GET / HTTP/1.1' is not a LiteLLM payload .*malformed"),
    "a JSON array": (b"[]", "Expected `object`, got `array`"),
    "no id": (b'{"startTime":1}', "missing required field `id`"),
    "tokens with a fraction": (line(prompt_tokens=1.5), r"Expected `int \| null`, got `float` - at `\$.prompt_tokens`"),
    "a naive time as text": (line(startTime="2026-03-02 12:00"), r"Expected `float`, got `str` - at `\$.startTime`"),
    "a time beyond floats": (b'{"id":"a","startTime":1e400}', "Number out of range"),
    "a time beyond the calendar": (line(startTime=1e18), "startTime: 1e.18 is not seconds since 1970"),
    "a time before the calendar": (line(startTime=-1e12), "startTime: -1.* is not seconds since 1970"),
    "half a character": (line().replace(b"chatcmpl-1", rb"\ud83d"), "line: .* is not a LiteLLM payload"),
    "invalid UTF-8": (line().replace(b"chatcmpl-1", b"\xff"), "line: .* is not a LiteLLM payload"),
    "20,000 levels": (line()[:-1] + b',"messages":' + b"[" * 20_000 + b"]" * 20_000 + b"}", "recursion"),
    "20,000 levels where nobody looks": (line()[:-1] + b',"x":' + b"[" * 20_000 + b"]" * 20_000 + b"}", "recursion"),
}


@pytest.mark.parametrize(("payload", "reason"), REFUSED.values(), ids=REFUSED)
def test_payload_is_refused_with_its_reason(payload: bytes, reason: str) -> None:
    with pytest.raises(InvalidValue, match=reason):
        parse(payload, 1, "f")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from([*USAGE, *FREE]), inner, max_size=3),
    max_leaves=6,
)
NAMES = ("endTime", "completionStartTime", "prompt_tokens", "response_cost", "metadata", "messages", "request_tags")


@given(st.dictionaries(st.sampled_from([*LEAST, *NAMES, "call_type", "cache_hit", "error_information"]), JSON))
def test_any_payload_gives_an_event_or_a_reason(fields: dict[str, Any]) -> None:
    try:
        content = line(**fields)
    except (UnicodeEncodeError, OverflowError):  # half a character, a number that JSON's writer cannot write
        return
    _event_or_reason(content)


@given(st.binary(), st.integers(0, len(line())))
def test_any_bytes_give_an_event_or_a_reason(noise: bytes, at: int) -> None:
    _event_or_reason(noise)
    _event_or_reason(line()[:at] + noise + line()[at:])


def _event_or_reason(content: bytes) -> None:
    with suppress(InvalidValue):
        assert isinstance(validate(parse(content, 1, "f"), NOW), UsageEvent)


def test_our_cost_of_real_payloads_is_the_gateways(shared_data: Path) -> None:
    lines = (shared_data / "litellm" / "standard_logging_payload.jsonl").read_bytes().splitlines()
    events = [validate(parse(content, 1, "f"), datetime(2027, 1, 1, tzinfo=UTC)) for content in lines]
    assert len({found.event_id for found in events}) == len(events) == 8
    assert [found.status for found in events].count(Status.FAILURE) == 1
    for found in events:
        cards = rate_cards(found.vendor, found.model, found.tier, found.occurred_at.date())
        assert cost(found, cards) == found.reported_cost_usd
