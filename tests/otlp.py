"""OTLP requests made by hand, in JSON and in protobuf, so that a test says only what it is about."""

from __future__ import annotations

from typing import Any

import msgspec
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

START_NS = 1_772_452_800_250_000_000  # 2026-03-02 12:00:00.25 UTC
TRACE, SPAN = "5b98a92b6b3c1bae5352465c3f9c5b40", "0de0e1240bb73e73"
EVENT_ID = f"{TRACE}-{SPAN}"
CHAT = {"gen_ai.operation.name": "chat", "gen_ai.provider.name": "openai", "gen_ai.request.model": "gpt-4o"}


def attribute(key: str, value: Any) -> dict[str, Any]:
    """Return an attribute as the Collector writes it: integers as texts."""
    if isinstance(value, bool):
        return {"key": key, "value": {"boolValue": value}}
    if isinstance(value, int):
        return {"key": key, "value": {"intValue": str(value)}}
    return {"key": key, "value": {"doubleValue" if isinstance(value, float) else "stringValue": value}}


def attributes(values: dict[str, Any]) -> list[dict[str, Any]]:
    """Return attributes."""
    return [attribute(key, value) for key, value in values.items()]


def span(given: dict[str, Any] | None = None, **fields: Any) -> dict[str, Any]:
    """Return a span that took 1.5 s."""
    usual = {"traceId": TRACE, "spanId": SPAN, "name": "chat gpt-4o", "startTimeUnixNano": str(START_NS),
             "endTimeUnixNano": str(START_NS + 1_500_000_000), "status": {}}  # fmt: skip
    return {**usual, "attributes": attributes(CHAT if given is None else given), **fields}


def request(*spans: Any, resource: dict[str, Any] | None = None) -> dict[str, Any]:
    """Return an export request of one resource."""
    group = {"resource": {"attributes": attributes(resource or {})}, "scopeSpans": [{"spans": list(spans)}]}
    return {"resourceSpans": [group]}


def line(*spans: Any, resource: dict[str, Any] | None = None) -> bytes:
    """Return it in JSON."""
    return msgspec.json.encode(request(*spans, resource=resource))


def protobuf(*spans: dict[str, Any], resource: dict[str, Any] | None = None) -> bytes:
    """Return it in protobuf."""
    message = ExportTraceServiceRequest()
    for group in request(*spans, resource=resource)["resourceSpans"]:
        made = message.resource_spans.add()
        _fill(made.resource.attributes, group["resource"]["attributes"])
        scope = made.scope_spans.add()
        for item in group["scopeSpans"][0]["spans"]:
            _span(scope.spans.add(), item)
    return bytes(message.SerializeToString())


def _span(made: Any, item: dict[str, Any]) -> None:
    made.trace_id, made.span_id = bytes.fromhex(item["traceId"]), bytes.fromhex(item["spanId"])
    made.name = item["name"]
    made.start_time_unix_nano, made.end_time_unix_nano = int(item["startTimeUnixNano"]), int(item["endTimeUnixNano"])
    made.status.code = item["status"].get("code", 0)
    _fill(made.attributes, item["attributes"])
    for event in item.get("events", ()):
        noted = made.events.add()
        noted.name, noted.time_unix_nano = event["name"], int(event["timeUnixNano"])
        _fill(noted.attributes, event["attributes"])


def _fill(made: Any, pairs: list[dict[str, Any]]) -> None:
    names = {"stringValue": "string_value", "intValue": "int_value", "doubleValue": "double_value",
             "boolValue": "bool_value"}  # fmt: skip
    for pair in pairs:
        noted = made.add()
        noted.key = pair["key"]
        ((kind, value),) = pair["value"].items()
        setattr(noted.value, names[kind], int(value) if kind == "intValue" else value)
