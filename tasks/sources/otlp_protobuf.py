"""OTLP as exporters send it by default: a protobuf message becomes the JSON that `otel.py` reads.

Not by protobuf's own JSON, which writes ids in base64; and only the fields that are read.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

from ops.errors import InvalidValue
from tasks.request_body import Refusal

MOST_PARTS = 500_000  # of a message: each becomes an object, however short it is

_VALUES = {"string_value": "stringValue", "int_value": "intValue", "double_value": "doubleValue",
           "bool_value": "boolValue"}  # fmt: skip


def to_json(message: bytes) -> bytes:
    """Return an `ExportTraceServiceRequest` in JSON.

    Raises:
        InvalidValue: no such message.
        Refusal: it has more than MOST_PARTS groups, spans, events and attributes.
    """
    try:
        request = ExportTraceServiceRequest.FromString(message)
    except DecodeError as error:
        raise InvalidValue("body", f"{len(message):,} bytes", f"an ExportTraceServiceRequest ({error})") from None
    reading = _Reading()
    groups = [reading.resource_spans(group) for group in reading.taken(request.resource_spans)]
    return msgspec.json.encode({"resourceSpans": groups})


class _Reading:
    """Reads one message, as far as it is not too long."""

    def __init__(self) -> None:
        self._left = MOST_PARTS

    def taken(self, parts: Sequence[Any]) -> Sequence[Any]:
        """Return the parts, before anything is made of them."""
        self._left -= len(parts)
        if self._left < 0:
            raise Refusal(413, f"the post has more than {MOST_PARTS:,} spans, events and attributes")
        return parts

    def resource_spans(self, group: Any) -> dict[str, Any]:
        """Return the spans of a resource."""
        scopes = self.taken(group.scope_spans)
        return {
            "resource": {"attributes": self._attributes(group.resource.attributes)},
            "scopeSpans": [{"spans": [self._span(span) for span in self.taken(scope.spans)]} for scope in scopes],
        }

    def _span(self, span: Any) -> dict[str, Any]:
        return {
            "traceId": span.trace_id.hex(),
            "spanId": span.span_id.hex(),
            "name": span.name,
            "startTimeUnixNano": span.start_time_unix_nano,
            "endTimeUnixNano": span.end_time_unix_nano,
            "attributes": self._attributes(span.attributes),
            "events": [self._event(event) for event in self.taken(span.events)],
            "status": {"code": span.status.code},
        }

    def _event(self, event: Any) -> dict[str, Any]:
        attributes = self._attributes(event.attributes)
        return {"name": event.name, "timeUnixNano": event.time_unix_nano, "attributes": attributes}

    def _attributes(self, pairs: Sequence[Any]) -> list[dict[str, Any]]:
        found = []
        for pair in self.taken(pairs):
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
