from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

from ops.errors import InvalidValue
from tasks.settings import Source
from tasks.sources import otel
from tasks.sources.interface import Batch, Lines
from tasks.sources.otlp_protobuf import partial_success, status, to_json
from tests.otlp import CHAT, START_NS, attributes, line, protobuf, span

NOW = datetime(2026, 3, 3, tzinfo=UTC)


def read(text: bytes) -> Batch:
    return otel.KIND.decoder(Source(name="traces", kind="otel", path="f"), b"", NOW)(Lines(text))


WHOLE = {
    **CHAT, "gen_ai.usage.input_tokens": 100, "gen_ai.usage.output_tokens": 9, "gen_ai.usage.cost": 0.5,
    "gen_ai.response.time_to_first_chunk": 0.25, "error.type": "timeout", "gen_ai.request.stream": True,
}  # fmt: skip
EVALUATION = {
    "name": "gen_ai.evaluation.result", "timeUnixNano": str(START_NS),
    "attributes": attributes({"gen_ai.evaluation.name": "relevance", "gen_ai.evaluation.score.value": 0.5}),
}  # fmt: skip


def test_message_is_read_as_the_same_request_in_json() -> None:
    spans = span(WHOLE, status={"code": 2}, events=[EVALUATION]), span(spanId="1111111111111111")
    resource = {"service.name": "search-api", "service.version": "2.1"}
    found = read(to_json(protobuf(*spans, resource=resource)))
    assert found == read(line(*spans, resource=resource))
    assert (len(found.events), len(found.scores), found.events[0].service) == (2, 1, "search-api")


def test_span_with_ids_of_another_length_is_rejected_like_in_json() -> None:
    (reject,) = read(to_json(protobuf(span(traceId="ab")))).rejects
    assert reject.field == "traceId"


@pytest.mark.parametrize(
    "number", [pytest.param(float("nan"), id="no number"), pytest.param(float("inf"), id="infinity")]
)
def test_cost_that_is_no_amount_is_a_reject(number: float) -> None:
    (reject,) = read(to_json(protobuf(span({**CHAT, "gen_ai.usage.cost": number})))).rejects
    assert reject.field == "reported_cost_usd"


def test_attributes_of_many_values_are_left_out() -> None:
    message = ExportTraceServiceRequest.FromString(protobuf(span()))
    found = message.resource_spans[0].scope_spans[0].spans[0].attributes.add()
    found.key = "gen_ai.response.finish_reasons"
    found.value.array_value.values.add().string_value = "stop"
    assert to_json(message.SerializeToString()) == to_json(protobuf(span()))


@given(st.binary(max_size=300))
def test_any_bytes_are_a_request_or_a_reason(body: bytes) -> None:
    with suppress(InvalidValue):
        assert isinstance(read(to_json(body)), Batch)


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
numbers = st.integers(-(2**63), 2**63 - 1) | st.floats() | st.booleans()


@given(
    st.dictionaries(st.sampled_from(sorted(WHOLE)) | texts, texts | numbers, max_size=6),
    st.integers(0, 2**64 - 1),
    st.binary(max_size=20),
)
def test_any_message_gives_each_span_a_record_a_reject_or_nothing(
    given: dict[str, Any], nanos: int, span_id: bytes
) -> None:
    item = span({**CHAT, **given}, startTimeUnixNano=nanos, endTimeUnixNano=nanos, spanId=span_id.hex())
    batch = read(to_json(protobuf(item, span(spanId="2222222222222222"))))
    assert batch.read + batch.skipped == 2
    assert batch.events[-1:] != []


def test_answer_says_how_many_spans_were_rejected_and_why() -> None:
    answer = ExportTraceServiceResponse.FromString(partial_success(2, "because"))
    assert (answer.partial_success.rejected_spans, answer.partial_success.error_message) == (2, "because")


def test_answer_to_a_whole_success_has_no_partial_one() -> None:
    assert not ExportTraceServiceResponse.FromString(partial_success(0, "")).HasField("partial_success")


@pytest.mark.parametrize("length", [0, 1, 127, 128, 20_000])
def test_status_holds_its_message(length: int) -> None:
    """google.rpc.Status has a text in field 2; so has any message with a text there."""
    from opentelemetry.proto.trace.v1.trace_pb2 import Status

    assert Status.FromString(status("é" * length)).message == "é" * length


def test_json_of_a_message_is_whole_json() -> None:
    assert msgspec.json.decode(to_json(protobuf(span())))["resourceSpans"][0]["scopeSpans"][0]["spans"][0]["name"] == (
        "chat gpt-4o"
    )
