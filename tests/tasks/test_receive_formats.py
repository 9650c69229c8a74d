from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ops.errors import InvalidValue
from tasks.receive_formats import JSON, PROTOBUF, LiteLLM, Otlp
from tasks.request_body import Refusal
from tasks.sources.litellm import rows_of
from tests.otlp import CHAT, line, protobuf, span
from tests.receiver import payload

NOW = datetime(2026, 3, 3, tzinfo=UTC)
TWO = [payload("a"), payload("b")]
SHAPES = {
    "json_array": msgspec.json.encode(TWO),
    "json_array, printed for people": b"\n" + json.dumps(TWO, indent=2).encode() + b"\n",
    "ndjson": b"\n".join(msgspec.json.encode(one) for one in TWO),
    "ndjson with line ends of Windows and a last one": b"".join(msgspec.json.encode(one) + b"\r\n" for one in TWO),
}


@pytest.mark.parametrize("body", SHAPES.values(), ids=SHAPES)
def test_two_payloads_are_found_in(body: bytes) -> None:
    batch = LiteLLM().read(body, JSON, NOW)
    assert [event.event_id for event in batch.events] == ["a", "b"]
    assert batch.rejects == []


@pytest.mark.parametrize("body", [msgspec.json.encode(TWO[0]), json.dumps(TWO[0], indent=1).encode()])
def test_single_payload_is_found(body: bytes) -> None:
    assert [event.event_id for event in LiteLLM().read(body, JSON, NOW).events] == ["a"]


def test_every_real_payload_is_an_event_in_each_shape(shared_data: Path) -> None:
    lines = (shared_data / "litellm" / "standard_logging_payload.jsonl").read_bytes().splitlines()
    now = datetime(2026, 11, 24, tzinfo=UTC)
    array, ndjson = (LiteLLM().read(body, JSON, now) for body in (b"[" + b",".join(lines) + b"]", b"\n".join(lines)))
    single = [LiteLLM().read(one, JSON, now).events[0] for one in lines]
    assert array.events == ndjson.events == single
    assert len(single) == len(lines) == 8


def test_bad_payload_is_a_reject_with_its_place_and_the_others_stay() -> None:
    batch = LiteLLM().read(msgspec.json.encode([payload("a"), {"id": 1}, 5, payload("b")]), JSON, NOW)
    assert [event.event_id for event in batch.events] == ["a", "b"]
    assert [(reject.position, reject.raw) for reject in batch.rejects] == [(2, b'{"id":1}'), (3, b"5")]


def test_line_that_is_no_json_is_a_reject_when_the_first_one_is() -> None:
    batch = LiteLLM().read(msgspec.json.encode(TWO[0]) + b"\n{cut", JSON, NOW)
    assert ([event.event_id for event in batch.events], [reject.position for reject in batch.rejects]) == (["a"], [2])


@pytest.mark.parametrize("body", [b"", b" \n", b"hello", b"[1,", b"<html>", b"\xff\xfe", b"[" * 100_000])
def test_body_that_is_no_json_at_all_says_so(body: bytes) -> None:
    with pytest.raises(InvalidValue, match=r"^body: .* is not JSON"):
        LiteLLM().read(body, JSON, NOW)


@given(st.binary(max_size=200))
def test_any_bytes_are_rows_or_a_reason(body: bytes) -> None:
    try:
        batch = LiteLLM().read(body, JSON, NOW)
    except InvalidValue:
        return
    assert batch.read == len(list(rows_of(body)))


documents = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(sorted(TWO[0])), inner),
)


@pytest.mark.uncounted
@given(st.lists(documents, max_size=4))
def test_any_array_gives_each_element_an_event_or_a_reject(rows: list[object]) -> None:
    body = json.dumps(rows, ensure_ascii=True).encode()
    if b"\\ud" in body:
        return  # half a character is no JSON to us
    assert LiteLLM().read(body, JSON, NOW).read == len(rows)


def test_answer_to_litellm_counts() -> None:
    form = LiteLLM()
    batch = form.read(msgspec.json.encode([*TWO, 5]), JSON, NOW)
    answer = msgspec.json.decode(form.stored(batch, JSON))
    assert (answer["read"], answer["rejected"]) == (3, 1)
    assert "LiteLLM payload" in answer["why"]


BAD = span({**CHAT, "gen_ai.usage.input_tokens": "many"}, spanId="1111111111111111")


def test_otlp_answer_to_a_whole_success_is_empty_in_both_ways() -> None:
    form = Otlp()
    assert form.stored(form.read(line(span()), JSON, NOW), JSON) == b"{}"
    assert form.stored(form.read(protobuf(span()), PROTOBUF, NOW), PROTOBUF) == b""


def test_otlp_answer_to_a_partial_success_counts_and_explains_in_both_ways() -> None:
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

    form = Otlp()
    in_json = msgspec.json.decode(form.stored(form.read(line(span(), BAD, BAD), JSON, NOW), JSON))["partialSuccess"]
    body = form.stored(form.read(protobuf(span(), BAD, BAD), PROTOBUF, NOW), PROTOBUF)
    in_protobuf = ExportTraceServiceResponse.FromString(body).partial_success
    assert in_json["rejectedSpans"] == "2"  # 64 bits are a text in OTLP's JSON
    assert in_protobuf.rejected_spans == 2
    assert in_json["errorMessage"] == in_protobuf.error_message
    assert in_protobuf.error_message.startswith("gen_ai.usage.input_tokens: 'many' is not a whole number")


def test_otlp_answer_names_three_reasons_and_counts_the_rest() -> None:
    form = Otlp()
    answer = msgspec.json.decode(form.stored(form.read(line(*[BAD] * 5), JSON, NOW), JSON))["partialSuccess"]
    assert answer["errorMessage"].count("'many'") == 3
    assert answer["errorMessage"].endswith("; and 2 more")


def test_otlp_refusal_is_a_status_with_a_message() -> None:
    from opentelemetry.proto.trace.v1.trace_pb2 import Status  # its message is field 2, like google.rpc.Status's

    refusal = Refusal(400, "because")
    assert msgspec.json.decode(Otlp().refused(refusal, JSON)) == {"message": "because"}
    assert Status.FromString(Otlp().refused(refusal, PROTOBUF)).message == "because"


@pytest.mark.parametrize(
    ("given", "media"), [("application/json; charset=utf-8", JSON), ("Application/X-Protobuf", PROTOBUF)]
)
def test_otlp_is_spoken_in(given: str, media: str) -> None:
    assert Otlp().media(given) == media


@pytest.mark.parametrize("given", ["", "text/plain", "application/grpc"])
def test_otlp_is_not_spoken_in(given: str) -> None:
    with pytest.raises(Refusal) as caught:
        Otlp().media(given)
    assert caught.value.status == 415


@pytest.mark.parametrize("body", [b"{", b"[]", b"5"])
def test_otlp_body_that_is_no_request_says_so(body: bytes) -> None:
    with pytest.raises(InvalidValue, match="OTLP request in JSON"):
        Otlp().read(body, JSON, NOW)


@pytest.mark.parametrize(
    ("agent", "status"),
    [
        pytest.param("OTel-OTLP-Exporter-Python/1.45.2", 503, id="503 to Python's exporter, which drops at 429"),
        pytest.param("OTel-OTLP-Exporter-JavaScript/0.2", 429, id="429 to the others, as the specification has it"),
    ],
)
def test_busy_receiver_answers(agent: str, status: int) -> None:
    assert Otlp().busy(agent) == status


def test_busy_receiver_answers_503_to_litellm_which_drops_at_429() -> None:
    assert LiteLLM().busy("litellm") == 503
