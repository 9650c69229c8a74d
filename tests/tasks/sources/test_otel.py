from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ops.cost.pricing import cost, rate_cards
from ops.errors import InvalidValue
from ops.scores import Score
from ops.usage import ErrorType, Status, UsageEvent
from tasks.settings import Source
from tasks.sources import otel
from tasks.sources.interface import Batch, Lines, Row
from tests.otlp import CHAT, SPAN, START_NS, TRACE, attribute, attributes, line, request, span

NOW = datetime(2026, 3, 3, tzinfo=UTC)
EVENT_ID = f"{TRACE}-{SPAN}"


def read(*lines: bytes, now: datetime = NOW) -> Batch:
    return otel.KIND.decoder(Source(name="traces", kind="otel", path="f"), b"", now)(Lines(b"\n".join(lines)))


def only(*lines: bytes) -> UsageEvent:
    batch = read(*lines)
    assert batch.rejects == []
    assert len(batch.events) == 1
    return batch.events[0]


def event(given: dict[str, Any], resource: dict[str, Any] | None = None, **fields: Any) -> UsageEvent:
    return only(line(span({**CHAT, **given}, **fields), resource=resource))


def test_least_span_leaves_everything_else_unknown() -> None:
    assert only(line(span())) == UsageEvent(
        event_id=EVENT_ID,
        occurred_at=datetime(2026, 3, 2, 12, 0, 0, 250_000, tzinfo=UTC),
        vendor="openai",
        model="gpt-4o",
        operation="chat",
        status=Status.SUCCESS,
        latency_ms=1500.0,
    )


def test_span_that_the_sdk_wrote_is_an_event_of_the_model_in_its_name(shared_data: Path) -> None:
    batch = read((shared_data / "otlp_genai_span.jsonl").read_bytes(), now=datetime(2026, 11, 24, tzinfo=UTC))
    (found,) = batch.events
    assert (found.event_id, found.vendor, found.model, found.input_tokens, found.service, found.latency_ms) == (
        "5b98a92b6b3c1bae5352465c3f9c5b40-0de0e1240bb73e73", "openai", "gpt-4o", 2006, None, 0.04,
    )  # fmt: skip


FIRST = {"gen_ai.system": "openai", "gen_ai.request.model": "gpt-4o", "gen_ai.response.model": "gpt-4o-2024-08-06"}
GENERATIONS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "the first, of prompts and completions, without a name of the operation": (
        {**FIRST, "gen_ai.usage.prompt_tokens": 100, "gen_ai.usage.completion_tokens": 9},
        {"input_tokens": 100, "output_tokens": 9, "operation": "other"},
    ),
    "the first as OpenLLMetry has it": (
        {**FIRST, "llm.request.type": "chat", "gen_ai.usage.prompt_tokens": 100, "gen_ai.usage.completion_tokens": 9,
         "gen_ai.usage.cache_read_input_tokens": 30, "gen_ai.usage.cache_creation_input_tokens": 50},
        {"input_tokens": 100, "output_tokens": 9, "cached_tokens": 30, "cache_write_tokens": 50, "operation": "chat"},
    ),
    "the second, of providers and cache creation": (
        {**CHAT, "gen_ai.usage.input_tokens": 100, "gen_ai.usage.output_tokens": 9,
         "gen_ai.usage.cache_read.input_tokens": 30, "gen_ai.usage.cache_creation.input_tokens": 50},
        {"input_tokens": 100, "output_tokens": 9, "cached_tokens": 30, "cache_write_tokens": 50},
    ),
    "the third, of cache writes, reasoning and prompt versions": (
        {**CHAT, "gen_ai.usage.input_tokens": 100, "gen_ai.usage.output_tokens": 9, "gen_ai.prompt.version": "v3",
         "gen_ai.usage.cache_write.input_tokens": 50, "gen_ai.usage.reasoning.output_tokens": 4},
        {"input_tokens": 100, "cache_write_tokens": 50, "reasoning_tokens": 4, "prompt_version": "v3"},
    ),
    "the newest where a span has all of them": (
        {**CHAT, **FIRST, "gen_ai.system": "az.ai.openai", "gen_ai.usage.input_tokens": 100,
         "gen_ai.usage.prompt_tokens": 99, "gen_ai.usage.cache_write.input_tokens": 50,
         "gen_ai.usage.cache_creation.input_tokens": 49},
        {"vendor": "openai", "input_tokens": 100, "cache_write_tokens": 50},
    ),
}  # fmt: skip


@pytest.mark.parametrize(("given", "expected"), GENERATIONS.values(), ids=GENERATIONS)
def test_names_are_read_of_generation(given: dict[str, Any], expected: dict[str, Any]) -> None:
    found = only(line(span(given)))
    assert {field: getattr(found, field) for field in expected} == expected


FIELDS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "the model that answered, not the one asked for": (
        {"gen_ai.response.model": "gpt-4o-2024-08-06"}, {"model": "gpt-4o-2024-08-06"},
    ),
    "none cached as none, not as unknown": ({"gen_ai.usage.cache_read.input_tokens": 0}, {"cached_tokens": 0}),
    "the time to the first chunk, given in s": ({"gen_ai.response.time_to_first_chunk": 0.25}, {"ttft_ms": 250.0}),
    "a cost, if somebody says one": ({"gen_ai.usage.cost": 0.000125}, {"reported_cost_usd": Decimal("0.000125")}),
    "counts that an exporter wrote as floating point": ({"gen_ai.usage.input_tokens": 7.0}, {"input_tokens": 7}),
    "a batch as a tier": ({"openai.response.service_tier": "flex"}, {"tier": "flex"}),
    "the standard tier as none": ({"openai.response.service_tier": "default"}, {"tier": None}),
    "who asked": (
        {"user.id": "u7", "watchkeeper.team_id": "t1", "watchkeeper.feature": "search"},
        {"user_id": "u7", "team_id": "t1", "feature": "search"},
    ),
    "Google under any of its names": ({"gen_ai.provider.name": "gcp.vertex_ai"}, {"vendor": "google"}),
    "an embedding": ({"gen_ai.operation.name": "embeddings"}, {"operation": "embedding"}),
    "Google's word for a chat": ({"gen_ai.operation.name": "generate_content"}, {"operation": "chat"}),
}  # fmt: skip


@pytest.mark.parametrize(("given", "expected"), FIELDS.values(), ids=FIELDS)
def test_event_has(given: dict[str, Any], expected: dict[str, Any]) -> None:
    found = event(given)
    assert {field: getattr(found, field) for field in expected} == expected


def test_resource_names_service_and_release() -> None:
    found = event({}, resource={"service.name": "search-api", "service.version": "2.1"})
    assert (found.service, found.release) == ("search-api", "2.1")


def test_service_that_an_sdk_made_up_is_unknown() -> None:
    assert event({}, resource={"service.name": "unknown_service:python"}).service is None


SPELLINGS = {
    "as texts": (str(START_NS), str(START_NS + 10**9), {"intValue": "7"}, "STATUS_CODE_ERROR"),
    "as numbers": (START_NS, START_NS + 10**9, {"intValue": 7}, 2),
}


@pytest.mark.parametrize(("start", "end", "count", "code"), SPELLINGS.values(), ids=SPELLINGS)
def test_times_counts_and_enums_are_read(start: Any, end: Any, count: dict[str, Any], code: Any) -> None:
    tokens = {"key": "gen_ai.usage.input_tokens", "value": count}
    found = only(line(span(attributes=[*attributes(CHAT), tokens], startTimeUnixNano=start, endTimeUnixNano=end,
                           status={"code": code})))  # fmt: skip
    assert (found.occurred_at.microsecond, found.latency_ms, found.input_tokens, found.status) == (
        250_000, 1000.0, 7, Status.FAILURE,
    )  # fmt: skip


def test_ids_in_upper_case_are_the_same_ids() -> None:
    assert event({}, traceId=TRACE.upper(), spanId=SPAN.upper()).event_id == EVENT_ID


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        pytest.param({"traceId": "W5ipK2scG65TUkZcP5xbQA=="}, "traceId", id="in base64, as protobuf's JSON has it"),
        pytest.param({"traceId": "0" * 32}, "traceId", id="of zeros, which are invalid"),
        pytest.param({"spanId": None}, "spanId", id="missing"),
        pytest.param({"spanId": 7}, "spanId", id="of another type"),
    ],
)
def test_span_is_rejected_with_an_id(fields: dict[str, Any], field: str) -> None:
    batch = read(line(span(**fields)))
    assert (batch.events, [reject.field for reject in batch.rejects]) == ([], [field])


PARENTS = {
    "an agent": {"gen_ai.operation.name": "invoke_agent"},
    "an agent that is made": {"gen_ai.operation.name": "create_agent"},
    "a workflow": {"gen_ai.operation.name": "invoke_workflow"},
    "a tool": {"gen_ai.operation.name": "execute_tool"},
    "a plan": {"gen_ai.operation.name": "plan"},
    "a workflow of the first generation": {"gen_ai.operation.name": "", "traceloop.span.kind": "workflow"},
    "a chain of OpenInference": {"gen_ai.operation.name": "", "openinference.span.kind": "CHAIN"},
}


@pytest.mark.parametrize("given", PARENTS.values(), ids=PARENTS)
def test_usage_is_not_counted_a_second_time_by(given: dict[str, Any]) -> None:
    tokens = {"gen_ai.usage.input_tokens": 100, "gen_ai.usage.output_tokens": 9}
    parent = span({**CHAT, **tokens, **given}, spanId="1111111111111111")
    batch = read(line(parent, span({**CHAT, **tokens}, parentSpanId="1111111111111111")))
    assert [(found.event_id, found.input_tokens) for found in batch.events] == [(EVENT_ID, 100)]
    assert (batch.skipped, batch.rejects) == (1, [])


@pytest.mark.parametrize(
    ("given", "counted"),
    [
        pytest.param({"gen_ai.request.model": "text-embedding-3-small"}, 1, id="that names a model"),
        pytest.param({"gen_ai.usage.input_tokens": 4}, 1, id="that tells of tokens"),
        pytest.param({"gen_ai.data_source.id": "store"}, 0, id="of a store only: not counted"),
    ],
)
def test_retrieval_counts(given: dict[str, Any], counted: int) -> None:
    usual = {"gen_ai.operation.name": "retrieval", "gen_ai.provider.name": "openai"}
    batch = read(line(span({**usual, **given}, name="retrieval store")))
    assert (len(batch.events), batch.skipped) == (counted, 1 - counted)


@pytest.mark.parametrize(
    "given",
    [
        pytest.param({"http.request.method": "GET"}, id="a web request's"),
        pytest.param({"gen_ai.request.model": "gpt-4o", "litellm.provider.model": "openai/gpt-4o"},
                     id="a guardrail's, onto which LiteLLM copies the model"),
    ],
)  # fmt: skip
def test_span_is_skipped(given: dict[str, Any]) -> None:
    batch = read(line(span(given)))
    assert (batch.read, batch.skipped) == (0, 1)


FAILURES: dict[str, tuple[dict[str, Any], dict[str, Any], ErrorType | None]] = {
    "nothing is no failure": ({}, {}, None),
    "OK is no failure": ({}, {"status": {"code": 1}}, None),
    "the status alone": ({}, {"status": {"code": 2}}, ErrorType.OTHER),
    "the type of the error alone": ({"error.type": "timeout"}, {}, ErrorType.TIMEOUT),
    "a class": ({"error.type": "openai.RateLimitError"}, {"status": {"code": 2}}, ErrorType.RATE_LIMIT),
    "a status of HTTP": ({"error.type": "503"}, {"status": {"code": 2}}, ErrorType.SERVER),
    "a status of HTTP beside": ({"http.response.status_code": 429}, {"status": {"code": 2}}, ErrorType.RATE_LIMIT),
    "the exception that was recorded": (
        {},
        {"status": {"code": 2},
         "events": [{"name": "exception", "attributes": [attribute("exception.type", "APITimeoutError")]}]},
        ErrorType.TIMEOUT,
    ),
}  # fmt: skip


@pytest.mark.parametrize(("given", "fields", "expected"), FAILURES.values(), ids=FAILURES)
def test_failure_is_told_by(given: dict[str, Any], fields: dict[str, Any], expected: ErrorType | None) -> None:
    found = event(given, **fields)
    assert (found.status is Status.FAILURE, found.error_type) == (expected is not None, expected)


LITELLM = {
    "gen_ai.system": "anthropic", "llm.request.type": "acompletion", "gen_ai.request.model": "claude",
    "gen_ai.response.model": "claude", "litellm.provider.model": "anthropic/claude-sonnet-4-5-20250929",
    "gen_ai.usage.input_tokens": 32_120, "gen_ai.usage.output_tokens": 340, "metadata.user_api_key_team_id": "",
    "metadata.user_api_key_end_user_id": "cust-7", "gen_ai.cost.total_cost": 0.02196,
    "metadata.usage_object": str({
        "prompt_tokens": 32_120, "completion_tokens": 340, "cache_read_input_tokens": 30_000,
        "cache_creation_input_tokens": 2000, "completion_tokens_details": None, "service_tier": "standard",
        "prompt_tokens_details": {
            "cached_tokens": 30_000, "cache_creation_token_details": {"ephemeral_1h_input_tokens": 0},
        },
    }),
}  # fmt: skip


def test_span_of_litellm_has_the_model_that_was_sent_and_what_it_hides_in_python() -> None:
    found = only(line(span(LITELLM, name="litellm_request"), resource={"service.name": "litellm"}))
    assert (found.vendor, found.model, found.operation) == ("anthropic", "claude-sonnet-4-5-20250929", "chat")
    assert (found.cached_tokens, found.cache_write_tokens, found.cache_write_1h_tokens) == (30_000, 2000, 0)
    assert (found.user_id, found.team_id, found.tier, found.reasoning_tokens) == ("cust-7", None, None, None)


def test_span_of_litellm_costs_what_the_book_says_of_its_cached_tokens() -> None:
    found = only(line(span(LITELLM)))
    cards = rate_cards(found.vendor, found.model, found.tier, found.occurred_at.date())
    assert cost(found, cards) == found.reported_cost_usd == Decimal("0.02196")


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("Usage(prompt_tokens=3)", id="a call"),
        pytest.param("{'prompt_tokens': ", id="cut off"),
        pytest.param("{" * 100 + "}" * 100, id="too deep"),
        pytest.param("{'a': " + "-" * 5000 + "1}", id="deep by its signs"),
        pytest.param("{'a': '" + "x" * 20_000 + "'}", id="too long"),
        pytest.param("[1]", id="a list"),
    ],
)
def test_hidden_usage_that_cannot_be_read_leaves_cached_tokens_unknown(text: str) -> None:
    assert event({"metadata.usage_object": text}).cached_tokens is None


def test_bad_span_is_a_reject_of_its_own_and_the_good_ones_beside_it_stay() -> None:
    bad = span({**CHAT, "gen_ai.usage.input_tokens": "many"}, spanId="1111111111111111")
    batch = read(line(span(), bad, "no span", span(spanId="2222222222222222"), resource={"service.name": "s"}))
    assert [found.event_id[-16:] for found in batch.events] == [SPAN, "2222222222222222"]
    assert [(reject.field, reject.position) for reject in batch.rejects] == [
        ("gen_ai.usage.input_tokens", 1), ("attributes", 1),
    ]  # fmt: skip


def test_reject_of_a_span_is_a_line_that_can_be_tried_again_by_itself() -> None:
    bad = span({**CHAT, "gen_ai.usage.input_tokens": "many"})
    (reject,) = read(line(span(spanId="2222222222222222"), bad, resource={"service.name": "search-api"})).rejects
    mended = read(reject.raw.replace(b'"many"', b'"7"'))
    assert [(found.event_id, found.input_tokens, found.service) for found in mended.events] == [
        (EVENT_ID, 7, "search-api")
    ]
    assert read(reject.raw).rejects[0].raw == reject.raw


def test_spans_that_break_a_limit_of_events_are_rejects_of_their_own() -> None:
    late = span(startTimeUnixNano=str(START_NS + 10 * 86_400 * 10**9), spanId="1111111111111111", endTimeUnixNano=0)
    batch = read(line(late, span()))
    assert [found.event_id for found in batch.events] == [EVENT_ID]
    assert [reject.field for reject in batch.rejects] == ["occurred_at"]


def test_lines_need_no_order_and_may_hold_several_resources_and_scopes() -> None:
    two = request(span(spanId="1111111111111111"), resource={"service.name": "a"})
    two["resourceSpans"] += request(span(spanId="2222222222222222"), resource={"service.name": "b"})["resourceSpans"]
    two["resourceSpans"][0]["scopeSpans"].append({"scope": {"name": "x"}, "spans": [span(spanId="3333333333333333")]})
    earlier = span(startTimeUnixNano=str(START_NS - 10**12))
    found = read(msgspec.json.encode(two), line(earlier)).events
    assert [(one.event_id[-16:], one.service) for one in found] == [
        ("1111111111111111", "a"), ("3333333333333333", "a"), ("2222222222222222", "b"), (SPAN, None),
    ]  # fmt: skip


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param(b"{", id="cut off"),
        pytest.param(b"[]", id="a list"),
        pytest.param(b'{"resourceSpans": {}}', id="of another shape"),
        pytest.param(b'{"resourceSpans": [{"scopeSpans": [{"spans": 5}]}]}', id="of another shape inside"),
        pytest.param(b"[" * 100_000, id="too deep"),
    ],
)
def test_line_that_is_no_request_is_one_reject(raw: bytes) -> None:
    batch = read(raw, line(span()))
    assert [(reject.field, reject.position, reject.raw) for reject in batch.rejects] == [("line", 1, raw)]
    assert len(batch.events) == 1


@pytest.mark.parametrize(
    "raw",
    [
        b"{}",
        b'{"resourceMetrics": [{}]}',
        b'{"resourceSpans": null}',
        b'{"resourceSpans": [{"resource": null, "scopeSpans": [{"spans": null}]}]}',
    ],
)
def test_request_without_spans_holds_nothing(raw: bytes) -> None:
    assert read(raw) == Batch()


EVALUATION = {"gen_ai.evaluation.name": "relevance", "gen_ai.evaluation.score.value": 0.75,
              "gen_ai.evaluation.score.label": "relevant"}  # fmt: skip


def evaluation(given: dict[str, Any], name: str = "gen_ai.evaluation.result") -> dict[str, Any]:
    return {"name": name, "timeUnixNano": str(START_NS + 10**9), "attributes": attributes(given)}


SCORE = Score(
    score_id=f"{EVENT_ID}-{START_NS + 10**9}-relevance",
    occurred_at=datetime(2026, 3, 2, 12, 0, 1, 250_000, tzinfo=UTC),
    metric="relevance", value=0.75, source="judge", event_id=EVENT_ID, release="2.1",
)  # fmt: skip


def test_evaluation_of_a_span_is_a_score_of_its_event() -> None:
    batch = read(line(span(events=[evaluation(EVALUATION)]), resource={"service.version": "2.1"}))
    assert batch.scores == [SCORE]
    assert [found.event_id for found in batch.events] == [EVENT_ID]


def test_evaluation_says_by_whom_and_of_what_it_is() -> None:
    told = {"watchkeeper.judge_version": "judge-3", "gen_ai.prompt.version": "14", "watchkeeper.feature": "search"}
    (found,) = read(line(span(events=[evaluation({**EVALUATION, **told})]))).scores
    assert (found.judge_version, found.prompt_version, found.feature) == ("judge-3", "14", "search")


def test_evaluation_as_a_log_record_is_the_same_score() -> None:
    record = {"traceId": TRACE, "spanId": SPAN, "eventName": "gen_ai.evaluation.result",
              "timeUnixNano": str(START_NS + 10**9), "attributes": attributes(EVALUATION)}  # fmt: skip
    other = {**record, "eventName": "gen_ai.client.inference.operation.details"}
    logs = [
        {
            "resource": {"attributes": attributes({"service.version": "2.1"})},
            "scopeLogs": [{"logRecords": [record, other]}],
        }
    ]
    assert read(msgspec.json.encode({"resourceLogs": logs})).scores == [SCORE]


def test_evaluation_with_a_label_alone_is_rejected_and_its_span_stays() -> None:
    label = {"gen_ai.evaluation.name": "relevance", "gen_ai.evaluation.score.label": "relevant"}
    batch = read(line(span(events=[evaluation(label), evaluation(EVALUATION)])))
    assert [reject.field for reject in batch.rejects] == ["gen_ai.evaluation.score.value"]
    assert (len(batch.events), len(batch.scores)) == (1, 1)


def test_evaluation_that_failed_is_no_score() -> None:
    failed = {"gen_ai.evaluation.name": "relevance", "error.type": "timeout"}
    batch = read(line(span(events=[evaluation(failed)])))
    assert (batch.scores, batch.rejects, batch.skipped) == ([], [], 1)


texts = st.text(st.characters(exclude_categories=["Cs"]))
values = st.one_of(
    st.none(), st.booleans(), st.integers(-(2**70), 2**70), st.floats(allow_nan=False, allow_infinity=False), texts,
    st.sampled_from(["\x00", "2006", "-1", "NaN", "Infinity", "1e400", "9" * 30, "x" * 5000, 10**400, {}, [], [[]]]),
)  # fmt: skip
known = st.sampled_from(
    sorted({name for names in (*otel._COUNTS.values(), *otel._TEXTS.values()) for name in names}
           | {*CHAT, *otel._MODELS, *otel._COSTS, *otel._OPERATIONS, *EVALUATION, "error.type", "metadata.usage_object",
              "gen_ai.response.time_to_first_chunk"})
)  # fmt: skip
kinds = st.sampled_from(["stringValue", "intValue", "doubleValue", "boolValue", "arrayValue"])
pairs = st.builds(lambda key, kind, value: {"key": key, "value": {kind: value}}, known, kinds, values)
noted = st.fixed_dictionaries(
    {"name": st.just("gen_ai.evaluation.result"), "timeUnixNano": st.just(str(START_NS)) | values,
     "attributes": st.lists(pairs)}
)  # fmt: skip
fields = st.sampled_from(["traceId", "spanId", "name", "startTimeUnixNano", "endTimeUnixNano", "status", "attributes"])


@pytest.mark.uncounted
@given(st.lists(pairs), st.dictionaries(fields, values, max_size=1), st.lists(noted, max_size=2))
def test_any_span_is_an_event_a_reject_or_skipped_and_never_hurts_the_one_beside_it(
    found: list[Any], wrong: dict[str, Any], events: list[Any]
) -> None:
    item = {**span(attributes=[*attributes(CHAT), *found], events=events), **wrong}
    batch = read(plain(request(item, span(spanId="2222222222222222"))))
    assert batch.read + batch.skipped == 2 + len(events)
    assert f"{TRACE}-2222222222222222" in {one.event_id for one in batch.events}


def plain(value: Any) -> bytes:
    """Write any value, even what JSON has no words for."""
    return json.dumps(value).encode()


@given(st.binary(max_size=200))
def test_any_bytes_are_read_without_an_error(raw: bytes) -> None:
    batch = read(raw)
    assert len(batch.events) <= 1


members = st.sampled_from(
    ["resourceSpans", "resource", "scopeSpans", "spans", "resourceLogs", "scopeLogs", "logRecords"]
)
documents = st.recursive(
    values | st.floats() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(members, inner)
)


@pytest.mark.uncounted
@given(documents)
def test_any_json_is_read_without_an_error(document: Any) -> None:
    assert read(plain(document)).events == []


def test_ten_megabytes_of_a_prompt_are_no_hindrance() -> None:
    assert event({"gen_ai.input.messages": "x" * 10_000_000}).model == "gpt-4o"


def test_event_a_day_ahead_is_the_latest() -> None:
    ahead = int((NOW + timedelta(days=1)).timestamp()) * 10**9
    assert [
        len(read(line(span(startTimeUnixNano=ahead + extra, endTimeUnixNano=0))).events) for extra in (0, 1000)
    ] == [1, 0]


def test_request_whose_resource_would_fill_the_memory_beside_each_span_is_refused() -> None:
    resource = b'{"attributes":[{"key":"%s","value":{"stringValue":"x"}}]}' % (100_000 * b"k")
    spans = b",".join([b"{}"] * 2000)  # 200 MB in all
    raw = b'{"resourceSpans":[{"resource":%s,"scopeSpans":[{"spans":[%s]}]}]}' % (resource, spans)
    with pytest.raises(InvalidValue, match=r"resource: .* small enough"):
        list(otel.split(Row(1, raw, "")))
