"""OTLP as exporters send it by default: a protobuf message becomes the JSON that `otel.py` reads.

Not by protobuf's own JSON, which writes ids in base64; and only the fields that are read.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec
from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

from ops.errors import InvalidValue

_VALUES = {"string_value": "stringValue", "int_value": "intValue", "double_value": "doubleValue",
           "bool_value": "boolValue"}  # fmt: skip


def to_json(message: bytes) -> bytes:
    """Return an `ExportTraceServiceRequest` in JSON.

    Raises:
        InvalidValue: no such message.
    """
    try:
        request = ExportTraceServiceRequest.FromString(message)
    except DecodeError as error:
        raise InvalidValue("body", f"{len(message):,} bytes", f"an ExportTraceServiceRequest ({error})") from None
    return msgspec.json.encode({"resourceSpans": [_resource_spans(group) for group in request.resource_spans]})


def _resource_spans(group: Any) -> dict[str, Any]:
    return {
        "resource": {"attributes": _attributes(group.resource.attributes)},
        "scopeSpans": [{"spans": [_span(span) for span in scope.spans]} for scope in group.scope_spans],
    }


def _span(span: Any) -> dict[str, Any]:
    return {
        "traceId": span.trace_id.hex(),
        "spanId": span.span_id.hex(),
        "name": span.name,
        "startTimeUnixNano": span.start_time_unix_nano,
        "endTimeUnixNano": span.end_time_unix_nano,
        "attributes": _attributes(span.attributes),
        "events": [
            {"name": event.name, "timeUnixNano": event.time_unix_nano, "attributes": _attributes(event.attributes)}
            for event in span.events
        ],
        "status": {"code": span.status.code},
    }


def _attributes(pairs: Iterable[Any]) -> list[dict[str, Any]]:
    found = []
    for pair in pairs:
        kind = pair.value.WhichOneof("value")
        if kind in _VALUES:
            value = getattr(pair.value, kind)
            is_number = kind != "double_value" or value - value == 0  # JSON has no infinity: `float` reads its name
            found.append({"key": pair.key, "value": {_VALUES[kind]: value if is_number else str(value)}})
    return found


def partial_success(rejected: int, why: str) -> bytes:
    """Return an `ExportTraceServiceResponse`, an empty one when no span was rejected."""
    response = ExportTraceServiceResponse()
    if rejected:
        response.partial_success.rejected_spans = rejected
        response.partial_success.error_message = why.encode("utf-8", "replace").decode()
    return bytes(response.SerializeToString())


def status(message: str) -> bytes:
    """Return a `google.rpc.Status` that has a message: field 2, a text, and nothing else."""
    text = message.encode("utf-8", "replace")
    length = len(text)
    size = bytearray()
    while length > 127:
        size.append(length & 127 | 128)
        length >>= 7
    return b"\x12" + bytes([*size, length]) + text
