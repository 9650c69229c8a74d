from __future__ import annotations

import hashlib
from contextlib import suppress
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from ops.cost.pricing import cost, rate_cards
from ops.errors import InvalidValue
from ops.usage import ErrorType, Status, UsageEvent, validate
from tasks.price_usage import Pricer
from tasks.settings import Source
from tasks.sources.interface import Batch, Lines
from tasks.sources.litellm import KIND, parse, rows_of

START = 1_772_452_800.25  # 2026-03-02 12:00:00.25 UTC
NOW = datetime(2026, 3, 3, tzinfo=UTC)
LEAST = {"id": "chatcmpl-1", "startTime": START, "model": "openai/gpt-4o", "status": "success"}


def line(**fields: Any) -> bytes:
    return msgspec.json.encode({**LEAST, **fields})


def event(**fields: Any) -> UsageEvent:
    return parse(line(**fields))[0]


def test_least_payload_leaves_everything_else_unknown() -> None:
    assert event() == UsageEvent(
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
    "the model's prefix for the provider": ({"model": "bedrock/nova"}, {"vendor": "aws", "model": "nova"}),
    "no provider where nothing names one": ({"model": "gpt-4o"}, {"vendor": "unknown", "model": "gpt-4o"}),
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
    "milliseconds, as the proxy's table keeps them": (
        {"startTime": START + 0.0009, "endTime": START + 1.0019, "completionStartTime": START + 1.0011},
        {"occurred_at": datetime(2026, 3, 2, 12, 0, 0, 250_000, tzinfo=UTC), "latency_ms": 1001.0, "ttft_ms": None},
    ),
    "a stream's latency to its end, though its response_time ends with the first token": (
        {"stream": True, "response_time": 0.5, "endTime": START + 2, "completionStartTime": START + 0.5},
        {"latency_ms": 2000.0, "ttft_ms": 500.0},
    ),
    "the cached tokens as parts of the prompt's, whatever the cost's breakdown adds up": (
        {"prompt_tokens": 100, "cost_breakdown": {"input_cost": 0.5}, "metadata": {"usage_object": USAGE}},
        {"input_tokens": 100, "cached_tokens": 30, "cache_write_tokens": 50, "reported_cost_usd": None},
    ),
    "the usage under its older name where it has no other": (
        {"metadata": {"usage_object": None, "additional_usage_values": DETAILS_ONLY}},
        {"cached_tokens": 31, "cache_write_tokens": 51},
    ),
    "the id of a failure, which is its call's": (
        {"id": "call-1", "litellm_call_id": "call-1", "status": "failure"},
        {"event_id": "call-1"},
    ),
    "the id of an embedding, which is its call's": (
        {"id": "call-2", "litellm_call_id": "call-2", "call_type": "aembedding"},
        {"event_id": "call-2"},
    ),
    "a cache hit with its tokens": (
        {"cache_hit": True, "prompt_tokens": 5},
        {"cache_hit": True, "input_tokens": 5},
    ),
    "a cache hit by its id, even where nothing else says so": (
        {"id": "chatcmpl-1_cache_hit1795417128.4430814", "cache_hit": None},
        {"event_id": "chatcmpl-1_cache_hit1795417128.4430814", "cache_hit": True},
    ),
    "a cache hit named after its call, not after the clock of who wrote it": (
        {"id": "chatcmpl-1_cache_hit1795417128.4430814", "litellm_call_id": "call-3", "cache_hit": True},
        {"event_id": "chatcmpl-1_cache_hit:call-3", "cache_hit": True},
    ),
    "a cache hit that two clocks stamped, by its call alone": (
        {"id": "c_cache_hit1.5_cache_hit2.5", "litellm_call_id": "call-4", "cache_hit": True},
        {"event_id": "c_cache_hit:call-4"},
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
    "a row of the spend log": (
        b'{"request_id": "a", "startTime": "2026-03-05"}',
        r"line: .*\(but a row of .* --kind litellm_rows",
    ),
    "no JSON": (b"GET / HTTP/1.1", "line: 'GET / HTTP/1.1' is not a LiteLLM payload .*malformed"),
    "JSON: an array that is whole": (b"[]", "Expected `object`, got `array`"),
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
        parse(payload)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from([*USAGE, *FREE]), inner, max_size=3),
    max_leaves=6,
)
NAMES = ("endTime", "completionStartTime", "prompt_tokens", "response_cost", "metadata", "messages", "request_tags")


@pytest.mark.uncounted
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
        assert isinstance(validate(parse(content)[0], NOW), UsageEvent)


def test_our_cost_of_real_payloads_is_the_gateways(shared_data: Path) -> None:
    lines = (shared_data / "litellm" / "standard_logging_payload.jsonl").read_bytes().splitlines()
    events = [validate(parse(content)[0], datetime(2027, 1, 1, tzinfo=UTC)) for content in lines]
    assert len({found.event_id for found in events}) == len(events) == 8
    assert [found.status for found in events].count(Status.FAILURE) == 1
    assert [found.cache_hit for found in events].count(True) == 1
    for found in events:
        if found.cache_hit:
            continue
        cards = rate_cards(found.vendor, found.model, found.tier, found.occurred_at.date())
        assert cost(found, cards) == found.reported_cost_usd


def test_cache_hit_keeps_its_tokens_and_costs_nothing(engine: sa.Engine) -> None:
    hit = event(id="chatcmpl-1_cache_hit1.5", cache_hit=True, prompt_tokens=32120, response_cost=0.0,
                model="anthropic/claude-sonnet-4-5-20250929")  # fmt: skip
    assert (hit.input_tokens, hit.reported_cost_usd) == (32120, 0)
    assert [price.cost_usd for price in Pricer(engine).price([hit])] == [0]
    assert [price.cost_usd for price in Pricer(engine).price([msgspec.structs.replace(hit, cache_hit=None)])] != [0]


ONE, TWO = line(id="a"), line(id="b", messages="two\nlines")
PRETTY = msgspec.json.format(ONE, indent=2)
BODIES: dict[str, tuple[bytes, list[bytes]]] = {
    "an array": (b"[" + ONE + b"," + TWO + b"]", [ONE, TWO]),
    "a pretty array": (b"[\n  " + ONE + b",\n  " + TWO + b"\n]\n", [ONE, TWO]),
    "an object a line": (ONE + b"\n" + TWO, [ONE, TWO]),
    "an object a line, with the last line's end and a blank line": (ONE + b"\n\n" + TWO + b"\r\n", [ONE, TWO]),
    "one object": (ONE, [ONE]),
    "one object with blanks around it": (b" \n" + ONE + b"\n", [ONE]),
    "one pretty object": (PRETTY + b"\n", [PRETTY]),
    "an empty array": (b"[]", []),
    "nothing": (b" \n", []),
    "a broken line beside a whole one": (ONE + b"\n{oops", [ONE, b"{oops"]),
    "half an object": (ONE[:20], [ONE[:20]]),
    "an array whose writer let NaN pass": (
        b'[{"id":"a","x":NaN},{"id":"b"}]',
        [b'{"id": "a", "x": NaN}', b'{"id": "b"}'],
    ),
}


@pytest.mark.parametrize(("body", "expected"), BODIES.values(), ids=BODIES)
def test_body_is_split_into_payloads(body: bytes, expected: list[bytes]) -> None:
    assert list(rows_of(body)) == expected


@pytest.mark.parametrize("body", [b"[" + ONE, b"[" + b"[" * 20_000, b'["\xff"', b"[1] [2]"])
def test_array_that_is_not_whole_is_refused(body: bytes) -> None:
    with pytest.raises(InvalidValue, match=r"body: .* is not JSON: an array that is whole"):
        rows_of(body)


@given(st.binary() | st.binary().map(lambda noise: b"[" + noise))
def test_any_body_gives_payloads_or_a_reason(body: bytes) -> None:
    with suppress(InvalidValue):
        assert all(isinstance(row, bytes) for row in rows_of(body))


@pytest.mark.uncounted
@given(st.lists(st.dictionaries(st.text(), st.integers() | st.text()).map(msgspec.json.encode), max_size=5))
def test_every_shape_of_a_body_gives_the_same_payloads(rows: list[bytes]) -> None:
    assert list(rows_of(b"[" + b",".join(rows) + b"]")) == rows
    assert list(rows_of(b"\n".join(rows))) == rows


def decode(content: bytes) -> Batch:
    first = next(line for line in content.split(b"\n") if line.strip())
    return KIND.decoder(Source(name="gateway", path="log"), first, NOW)(Lines(content.removesuffix(b"\n")))


FILES = {
    "lines, as GCS gets them": ONE + b"\n" + TWO + b"\n",
    "an array on one line": b"[" + ONE + b"," + TWO + b"]\n",
    "an array on each line": b"[" + ONE + b"]\n[" + TWO + b"]\n",
    "an array over several lines": b"[" + ONE + b",\n" + TWO + b"]\n",
    "a pretty array": msgspec.json.format(b"[" + ONE + b"," + TWO + b"]", indent=4),
    "lines with a blank one first": b"\n" + ONE + b"\n" + TWO,
}


@pytest.mark.parametrize("content", FILES.values(), ids=FILES)
def test_file_may_hold_its_payloads_as(content: bytes) -> None:
    found = decode(content)
    assert [event.event_id for event in found.events] == ["a", "b"]
    assert found.rejects == []


@pytest.mark.parametrize("content", [ONE, ONE + b"\n", PRETTY, PRETTY + b"\n"], ids=["bare", "line", "pretty", "ended"])
def test_file_of_one_object_as_s3_gets_it(content: bytes) -> None:
    assert [event.event_id for event in decode(content).events] == ["a"]


SPOILT: dict[str, tuple[bytes, list[str], list[tuple[int, str]]]] = {
    "a line": (ONE + b"\n{oops\n" + TWO, ["a", "b"], [(2, "malformed")]),
    "an element of an array": (b"[" + ONE + b',{"id":1},' + TWO + b"]", ["a", "b"], [(1, "Expected `str`, got `int`")]),
    "an array without its end": (ONE + b"\n[" + TWO + b",\n", ["a"], [(2, "JSON: an array that is whole")]),
    "half a pretty document": (PRETTY[: len(PRETTY) // 2], [], [(1, "one whole JSON document")]),
    "half a pretty array": (b"[\n" + ONE + b",\n", [], [(1, "JSON: an array that is whole")]),
}


@pytest.mark.parametrize(("content", "ids", "reasons"), SPOILT.values(), ids=SPOILT)
def test_file_loses_nothing_but(content: bytes, ids: list[str], reasons: list[tuple[int, str]]) -> None:
    found = decode(content)
    assert [event.event_id for event in found.events] == ids
    assert [reject.position for reject in found.rejects] == [position for position, _ in reasons]
    assert all(reason in reject.reason for reject, (_, reason) in zip(found.rejects, reasons, strict=True))


def test_reject_of_an_array_holds_its_own_element_and_identity() -> None:
    found = decode(b'[{"id":1},{"id":2}]').rejects
    assert [reject.raw for reject in found] == [b'{"id":1}', b'{"id":2}']
    assert len({reject.identity for reject in found}) == 2


def test_pretty_file_over_several_blocks_is_refused_as_one_row() -> None:
    decoder = KIND.decoder(Source(name="gateway", path="log"), b"{", NOW)
    half = len(PRETTY) // 2
    blocks = [decoder(Lines(PRETTY[:half])), decoder(Lines(PRETTY[half:], first=10))]
    assert [(len(block.events), len(block.rejects)) for block in blocks] == [(0, 1), (0, 1)]
