from __future__ import annotations

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
from tasks.sources import kind_of, litellm
from tasks.sources.interface import FileKind, Lines
from tasks.sources.litellm_rows import moment, parse
from tests.litellm_proxy import NOON, row_of, spend_row

NOW = datetime(2026, 3, 3, tzinfo=UTC)
LEAST = {"request_id": "chatcmpl-1", "startTime": "2026-03-02T12:00:00.250", "model": "openai/gpt-4o"}
USAGE = {
    "cache_read_input_tokens": 30,
    "cache_creation_input_tokens": 50,
    "prompt_tokens_details": {"cache_creation_token_details": {"ephemeral_1h_input_tokens": 20}},
    "completion_tokens_details": {"reasoning_tokens": 5},
    "service_tier": "flex",
}


def line(**fields: Any) -> bytes:
    return msgspec.json.encode({**LEAST, **fields})


def event(**fields: Any) -> UsageEvent:
    return parse(line(**fields))[0]


def test_least_row_leaves_everything_else_unknown() -> None:
    assert event() == UsageEvent(
        event_id="chatcmpl-1",
        occurred_at=datetime(2026, 3, 2, 12, 0, 0, 250_000, tzinfo=UTC),
        vendor="openai",
        model="gpt-4o",
        operation="other",
        status=Status.SUCCESS,
    )


ERROR = {"error_information": {"error_class": "RateLimitError", "error_code": "429"}}
AT = datetime(2026, 3, 2, 12, 0, 0, 45_000, tzinfo=UTC)
FIELDS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "a time with its zone behind a blank, to the millisecond": (
        {"startTime": "2026-03-02 12:00:00.045430+00:00"},
        {"occurred_at": AT},
    ),
    "a naive time as UTC": ({"startTime": "2026-03-02T12:00:00.045"}, {"occurred_at": AT}),
    "a naive time behind a blank as UTC": ({"startTime": "2026-03-02 12:00:00.045"}, {"occurred_at": AT}),
    "a time with a Z": ({"startTime": "2026-03-02T12:00:00.045Z"}, {"occurred_at": AT}),
    "a time in another zone": ({"startTime": "2026-03-02T14:00:00.045+02:00"}, {"occurred_at": AT}),
    "latency and first token in milliseconds": (
        {"endTime": "2026-03-02T12:00:02.250", "completionStartTime": "2026-03-02T12:00:00.750"},
        {"latency_ms": 2000.0, "ttft_ms": 500.0},
    ),
    "no first token of an answer that was not streamed": (
        {"endTime": "2026-03-02T12:00:02.250", "completionStartTime": "2026-03-02T12:00:02.250"},
        {"latency_ms": 2000.0, "ttft_ms": None},
    ),
    "no hit for None": ({"cache_hit": "None"}, {"cache_hit": None}),
    "no hit for an empty text": ({"cache_hit": ""}, {"cache_hit": None}),
    "no hit for null": ({"cache_hit": None}, {"cache_hit": None}),
    "a hit": ({"cache_hit": "True"}, {"cache_hit": True}),
    "a hit as JSON has it": ({"cache_hit": True}, {"cache_hit": True}),
    "a miss": ({"cache_hit": "False"}, {"cache_hit": False}),
    "a hit named after its call": (
        {"request_id": "c_cache_hit1795417242.296583", "cache_hit": "True", "litellm_call_id": "call-1", "spend": 0.0},
        {"event_id": "c_cache_hit:call-1", "reported_cost_usd": 0},
    ),
    "a hit named after the call that its metadata names": (
        {"request_id": "c_cache_hit1795417242.296583", "metadata": {"litellm_call_id": "call-2"}},
        {"event_id": "c_cache_hit:call-2", "cache_hit": True},
    ),
    "metadata as an object": (
        {"metadata": {"usage_object": USAGE}, "prompt_tokens": 100},
        {"input_tokens": 100, "cached_tokens": 30, "cache_write_tokens": 50, "cache_write_1h_tokens": 20,
         "reasoning_tokens": 5, "tier": "flex"},
    ),
    "metadata as a text": (
        {"metadata": msgspec.json.encode({"usage_object": USAGE}).decode()},
        {"cached_tokens": 30, "cache_write_tokens": 50},
    ),
    "the usage under its older name": (
        {"metadata": {"additional_usage_values": {"cache_read_input_tokens": 7}}},
        {"cached_tokens": 7},
    ),
    "no metadata": ({"metadata": None}, {"cached_tokens": None}),
    "metadata of nothing": ({"metadata": "{}"}, {"cached_tokens": None}),
    "metadata of an empty text": ({"metadata": ""}, {"cached_tokens": None}),
    "metadata of a null in a text": ({"metadata": "null"}, {"cached_tokens": None}),
    "tags as a list": ({"request_tags": ["feature:search"]}, {"feature": "search"}),
    "tags as a text": ({"request_tags": '["User-Agent: curl", "feature:search"]'}, {"feature": "search"}),
    "no tags": ({"request_tags": "[]"}, {"feature": None}),
    "what the caller says of itself": (
        {"metadata": {"spend_logs_metadata": {"service": "search-api", "release": "v2", "prompt_version": 3}}},
        {"service": "search-api", "release": "v2", "prompt_version": "3"},
    ),
    "the end user before the key's": ({"end_user": "cust-7", "user": "u-1"}, {"user_id": "cust-7"}),
    "the key's user where the end user is blank": ({"end_user": "", "user": "u-1"}, {"user_id": "u-1"}),
    "no user of two blanks": ({"end_user": "", "user": ""}, {"user_id": None}),
    "the team": ({"team_id": "team-1"}, {"team_id": "team-1"}),
    "no team of a blank": ({"team_id": ""}, {"team_id": None}),
    "what was spent, to the last digit": ({"spend": 1.35e-05}, {"reported_cost_usd": Decimal("0.0000135")}),
    "a failure with its kind": (
        {"status": "failure", "metadata": ERROR},
        {"status": Status.FAILURE, "error_type": ErrorType.RATE_LIMIT},
    ),
    "a failure that only the metadata tells of": (
        {"status": None, "metadata": {**ERROR, "status": "failure"}},
        {"status": Status.FAILURE, "error_type": ErrorType.RATE_LIMIT},
    ),
    "a success of an old row without a status": ({"status": None}, {"status": Status.SUCCESS, "error_type": None}),
    "an embedding's text where the proxy stores it": (
        {"call_type": "aembedding", "messages": '[{"role": "user", "content": "how?"}]'},
        {"operation": "embedding", "prompt_text": "how?"},
    ),
    "no text where it does not": ({"call_type": "aembedding", "messages": "{}"}, {"prompt_text": None}),
}  # fmt: skip


@pytest.mark.parametrize(("row", "expected"), FIELDS.values(), ids=FIELDS)
def test_row_gives(row: dict[str, Any], expected: dict[str, Any]) -> None:
    found = msgspec.structs.asdict(event(**row))
    assert {name: found[name] for name in expected} == expected


REFUSED = {
    "no JSON": (b"GET / HTTP/1.1", "line: 'GET / HTTP/1.1' is not a row of LiteLLM_SpendLogs .*malformed"),
    "no id": (b'{"startTime":"2026-03-02","model":"m"}', "missing required field `request_id`"),
    "a time that is none": (line(startTime="yesterday"), "startTime: 'yesterday' is not an ISO 8601 time"),
    "an end that is none": (line(endTime="infinity"), "endTime: 'infinity' is not an ISO 8601 time"),
    "a time before all time": (line(startTime="0001-01-01T00:00:00+14:00"), "startTime: '0001-01-01T00:00:00.14:00'"),
    "a logging payload": (
        msgspec.json.encode({"id": "a", "startTime": 1.5, "model": "m", "status": "success"}),
        "Expected `str`, got `float` - at `\\$.startTime`",
    ),
    "tags that are no list": (line(request_tags='{"a": 1}'), "Expected `array \\| null`, got `object`"),
    "metadata that is no JSON": (line(metadata="not JSON"), "malformed"),
    "usage of another type": (line(metadata={"usage_object": {"cache_read_input_tokens": "30"}}), "Expected `int"),
    "half a character": (line().replace(b"chatcmpl-1", rb"\ud83d"), "is not a row of LiteLLM_SpendLogs"),
    "half a character within a text of JSON": (line(metadata=r'{"a": "\ud83d"}'), "is not a row of LiteLLM_SpendLogs"),
    "invalid UTF-8": (line().replace(b"chatcmpl-1", b"\xff"), "is not a row of LiteLLM_SpendLogs"),
    "20,000 levels": (line()[:-1] + b',"metadata":' + b"[" * 20_000 + b"]" * 20_000 + b"}", "recursion"),
    "20,000 levels within a text": (line(messages="[" * 20_000 + "]" * 20_000), "recursion"),
    "tokens beyond int64": (line()[:-1] + b',"prompt_tokens":9223372036854775808000}', "input_tokens: 9223"),
    "a cost beyond floats": (line(metadata={})[:-1] + b',"spend":1e99999999}', "reported_cost_usd|is not a row"),
}


@pytest.mark.parametrize(("row", "reason"), REFUSED.values(), ids=REFUSED)
def test_row_is_refused_with_its_reason(row: bytes, reason: str) -> None:
    with pytest.raises(InvalidValue, match=reason):
        validate(parse(row)[0], NOW)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from([*USAGE, *ERROR]), inner, max_size=3),
    max_leaves=6,
)
COLUMNS = [*spend_row("x", NOON), "messages"]
TIMES = st.datetimes().map(datetime.isoformat) | st.datetimes(timezones=st.timezones()).map(str)


@pytest.mark.uncounted
@given(st.dictionaries(st.sampled_from(COLUMNS), JSON | TIMES | JSON.map(lambda value: repr(value))))
def test_any_row_gives_an_event_or_a_reason(fields: dict[str, Any]) -> None:
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


@given(st.datetimes(timezones=st.just(UTC), min_value=datetime(2015, 1, 1), max_value=datetime(2100, 1, 1)))  # noqa: DTZ001
def test_payload_and_row_begin_at_the_same_millisecond(when: datetime) -> None:
    payload = msgspec.json.encode({"id": "a", "startTime": when.timestamp(), "model": "m", "status": "success"})
    cut = when.replace(microsecond=when.microsecond // 1000 * 1000)
    found = litellm.parse(payload)[0].occurred_at
    assert found == event(startTime=when.isoformat()).occurred_at == event(startTime=cut.isoformat()).occurred_at == cut


def test_moment_without_a_zone_is_utc() -> None:
    assert moment("startTime", "2026-03-02 12:00:00") == NOON


ONLY_PAYLOADS_TELL = {"prompt_version", "prompt_hash", "prompt_text"}  # `requester_metadata` and embeddings' texts


def test_rows_give_the_events_of_real_payloads(shared_data: Path) -> None:
    lines = (shared_data / "litellm" / "standard_logging_payload.jsonl").read_bytes().splitlines()
    for payload in lines:
        row = row_of(msgspec.json.decode(payload))
        texts = {name: msgspec.json.encode(row[name]).decode() for name in ("metadata", "request_tags")}
        expected = _shared(litellm.parse(payload)[0])
        assert _shared(parse(msgspec.json.encode(row))[0]) == expected
        assert _shared(parse(msgspec.json.encode({**row, **texts}))[0]) == expected
    assert len(lines) == 8


def _shared(found: UsageEvent) -> dict[str, Any]:
    fields = msgspec.structs.asdict(found)
    return {name: value for name, value in fields.items() if name not in ONLY_PAYLOADS_TELL}


def test_our_cost_of_real_rows_is_the_gateways(shared_data: Path) -> None:
    lines = (shared_data / "litellm" / "spend_logs_rows.jsonl").read_bytes().splitlines()
    events = [validate(parse(content)[0], datetime(2027, 1, 1, tzinfo=UTC)) for content in lines]
    assert [found.cache_hit for found in events] == [None, True, None]
    for found in events:
        cards = rate_cards(found.vendor, found.model, found.tier, found.occurred_at.date())
        assert (0 if found.cache_hit else cost(found, cards)) == found.reported_cost_usd
    assert [found.reported_cost_usd for found in events] == [Decimal("0.023085"), 0, Decimal("0.005615")]


def test_export_of_the_table_is_a_file_of_lines() -> None:
    kind = kind_of(Source(name="export", kind="litellm_rows", path="rows.jsonl"))
    assert isinstance(kind, FileKind)
    found = kind.decoder(Source(name="export", path="log"), b"", NOW)(Lines(line() + b"\n{}\n" + line(request_id="b")))
    assert [row.event_id for row in found.events] == ["chatcmpl-1", "b"]
    assert [(reject.position, reject.raw) for reject in found.rejects] == [(2, b"{}")]
