"""OpenTelemetry's GenAI spans: an OTLP request in JSON a line, as the Collector's file exporter writes them.

Before it: such a file, or `tasks/receive_usage.py`; protobuf is turned into the same JSON by `otlp_protobuf.py`. After
it: a `UsageEvent` for each span that is a call of a model, a `Score` for each evaluation.

Traps kept in mind: three generations of attribute names; enums as numbers or names; agents, workflows and tools carry
the usage of the calls inside them and are not counted; LiteLLM copies the model's name onto every span of a trace, and
names the response model by its alias.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from decimal import Decimal
from typing import Any

import msgspec

from ops.errors import InvalidValue
from ops.scores import Score
from ops.usage import (
    Status,
    UsageEvent,
    classify_error,
    normalise_model,
    normalise_operation,
    normalise_tier,
    normalise_vendor,
)
from tasks.sources.by_line import by_line
from tasks.sources.interface import FileKind, Record, Row
from tasks.sources.otlp_values import (
    Attributes,
    attributes_of,
    count_of,
    dict_of,
    hex_of,
    list_of,
    nanos_of,
    number_of,
    text_of,
    time_of,
)
from tasks.sources.python_repr import read_dict

_EVALUATION = "gen_ai.evaluation."


class _ScopeSpans(msgspec.Struct):
    spans: list[msgspec.Raw] | None = None


class _ResourceSpans(msgspec.Struct):
    resource: msgspec.Raw = msgspec.Raw(b"{}")
    scopeSpans: list[_ScopeSpans] | None = None


class _ScopeLogs(msgspec.Struct):
    logRecords: list[msgspec.Raw] | None = None


class _ResourceLogs(msgspec.Struct):
    resource: msgspec.Raw = msgspec.Raw(b"{}")
    scopeLogs: list[_ScopeLogs] | None = None


class _Request(msgspec.Struct):
    resourceSpans: list[_ResourceSpans] | None = None
    resourceLogs: list[_ResourceLogs] | None = None


_DECODER = msgspec.json.Decoder(_Request)
_SPAN_LINE = b'{"resourceSpans":[{"resource":%b,"scopeSpans":[{"spans":[%b]}]}]}'
_LOG_LINE = b'{"resourceLogs":[{"resource":%b,"scopeLogs":[{"logRecords":[%b]}]}]}'


_ROOM_FACTOR, _ROOM = 32, 16 * 1024 * 1024  # of what a request may become when each span has its resource beside it


def split(row: Row) -> Iterator[Row]:
    """Cut a request into requests of one span or one evaluation each; anything else that it holds is left out.

    Raises:
        InvalidValue: no request in JSON, or one whose resource, repeated for each span, would fill the memory.
    """
    left = _ROOM_FACTOR * len(row.raw) + _ROOM
    try:
        request = _DECODER.decode(row.raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        shown = row.raw[:60].decode(errors="replace")
        raise InvalidValue("line", shown, f"an OTLP request in JSON ({error})") from None
    for raw in _lines(request):
        left -= len(raw)
        if left < 0:
            raise InvalidValue("resource", f"{len(row.raw):,} bytes of spans", "small enough to stand beside each span")
        yield Row(row.position, raw, "")  # its identity is its contents: a client that sends it again sends the same


def _lines(request: _Request) -> Iterator[bytes]:
    for spans in request.resourceSpans or ():
        for span in (span for scope in spans.scopeSpans or () for span in scope.spans or ()):
            yield _SPAN_LINE % (bytes(spans.resource), bytes(span))
            for evaluation in _evaluations(bytes(span)):
                yield _LOG_LINE % (bytes(spans.resource), evaluation)
    for logs in request.resourceLogs or ():
        for record in (record for scope in logs.scopeLogs or () for record in scope.logRecords or ()):
            if _EVALUATION.encode() in bytes(record):
                yield _LOG_LINE % (bytes(logs.resource), bytes(record))


def _evaluations(span: bytes) -> Iterator[bytes]:
    """Yield the evaluations among a span's events as what newer SDKs make of them: log records."""
    if _EVALUATION.encode() not in span:
        return
    try:
        item = msgspec.json.decode(span)
        events = list_of(item, "events") if isinstance(item, dict) else []
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, InvalidValue):
        return  # the span itself becomes the reject
    for event in events:
        name = event.get("name") if isinstance(event, dict) else None
        if isinstance(name, str) and name.startswith(_EVALUATION):
            place = {"traceId": item.get("traceId"), "spanId": item.get("spanId"), "eventName": name}
            yield msgspec.json.encode({**event, **place})


def parse(line: bytes) -> Iterable[Record]:
    """Turn a request of one span or one log record, as `split` makes them, into its event or score; none if neither.

    Raises:
        InvalidValue: a field of another type; the text says which.
    """
    try:
        request = msgspec.json.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidValue("span", line[:60].decode(errors="replace"), f"JSON ({error})") from None
    for signal, scopes, items, read in (
        ("resourceSpans", "scopeSpans", "spans", _usage),
        ("resourceLogs", "scopeLogs", "logRecords", _score),
    ):
        for group in list_of(request, signal):
            resource = attributes_of(dict_of(group, "resource"))
            for item in (item for scope in list_of(group, scopes) for item in list_of(scope, items)):
                yield from read(item, resource)


# Newest first. `usage_object` is LiteLLM's, see `_with_hidden`.
_COUNTS = {
    "input_tokens": ("gen_ai.usage.input_tokens", "gen_ai.usage.prompt_tokens", "usage_object.prompt_tokens"),
    "cached_tokens": (
        "gen_ai.usage.cache_read.input_tokens", "gen_ai.usage.cache_read_input_tokens",
        "usage_object.cache_read_input_tokens", "usage_object.prompt_tokens_details.cached_tokens",
    ),
    "cache_write_tokens": (
        "gen_ai.usage.cache_write.input_tokens", "gen_ai.usage.cache_creation.input_tokens",
        "gen_ai.usage.cache_creation_input_tokens", "usage_object.cache_creation_input_tokens",
        "usage_object.prompt_tokens_details.cache_creation_tokens",
    ),
    "cache_write_1h_tokens": (
        "usage_object.prompt_tokens_details.cache_creation_token_details.ephemeral_1h_input_tokens",
    ),
    "output_tokens": (
        "gen_ai.usage.output_tokens", "gen_ai.usage.completion_tokens", "usage_object.completion_tokens",
    ),
    "reasoning_tokens": (
        "gen_ai.usage.reasoning.output_tokens", "gen_ai.usage.reasoning_tokens",
        "usage_object.completion_tokens_details.reasoning_tokens",
    ),
}  # fmt: skip
_TEXTS = {
    "user_id": (
        "watchkeeper.user_id", "user.id", "enduser.id", "llm.user", "litellm.metadata.user_api_key_end_user_id",
        "metadata.user_api_key_end_user_id", "litellm.metadata.user_api_key_user_id", "metadata.user_api_key_user_id",
    ),
    "team_id": ("watchkeeper.team_id", "litellm.team.id", "metadata.team_id", "metadata.user_api_key_team_id"),
    "feature": ("watchkeeper.feature",),
    "release": ("watchkeeper.release", "service.version"),
    "prompt_version": ("gen_ai.prompt.version",),
}  # fmt: skip
_MODELS = ("litellm.provider.model", "gen_ai.response.model", "gen_ai.request.model")
_VENDORS = ("gen_ai.provider.name", "gen_ai.system")
_COSTS = ("litellm.cost.total", "gen_ai.cost.total_cost", "gen_ai.usage.cost")  # USD; OpenTelemetry has no name for it
_TIERS = ("openai.response.service_tier", "gen_ai.openai.response.service_tier", "usage_object.service_tier")
_OPERATIONS = ("gen_ai.operation.name", "llm.request.type")
_CALLS = frozenset({"retrieval", "pass_through_endpoint", "llm_passthrough_route", "allm_passthrough_route"})
_PARENTS = frozenset({"agent", "chain", "task", "tool", "workflow"})


def _usage(span: Any, resource: Attributes) -> Iterator[UsageEvent]:
    attributes = _with_hidden({**resource, **attributes_of(span)})
    operation = text_of(attributes, *_OPERATIONS)
    model = text_of(attributes, *_MODELS) or _model_in_name(span, operation)
    counts: dict[str, Any] = {field: count_of(attributes, *names) for field, names in _COUNTS.items()}
    texts: dict[str, Any] = {field: text_of(attributes, *names) for field, names in _TEXTS.items()}
    if not _is_call(attributes, operation, model, counts):
        return
    started = nanos_of(span, "startTimeUnixNano")
    failure = _failure(span, attributes)
    service = text_of(attributes, "watchkeeper.service", "service.name") or ""
    ttft = number_of(attributes, "gen_ai.response.time_to_first_chunk")  # seconds
    yield UsageEvent(
        event_id=_span_id(span),
        occurred_at=time_of("startTimeUnixNano", started),
        vendor=normalise_vendor(text_of(attributes, *_VENDORS) or (model or "").rpartition("/")[0].partition("/")[0]),
        model=normalise_model(model or ""),
        operation=normalise_operation(operation),
        status=Status.FAILURE if failure else Status.SUCCESS,
        error_type=classify_error(*failure) if failure else None,
        service=None if service.startswith("unknown_service") else service or None,  # what an SDK makes up
        tier=normalise_tier(text_of(attributes, *_TIERS)),
        latency_ms=_between(started, nanos_of(span, "endTimeUnixNano")),
        ttft_ms=None if ttft is None else round(ttft * 1000, 3),
        reported_cost_usd=_cost(attributes),
        **texts,
        **counts,
    )


def _is_call(attributes: Attributes, operation: str | None, model: str | None, counts: dict[str, int | None]) -> bool:
    """Whether a span is one call of a model, and not what calls were made for."""
    has_usage = any(count is not None for count in counts.values())
    if operation is None:  # the first generation had no names of operations
        kind = text_of(attributes, "traceloop.span.kind", "openinference.span.kind") or ""
        return has_usage and model is not None and kind.lower() not in _PARENTS
    if operation == "retrieval":  # of a store, mostly; some are a model's
        return has_usage or text_of(attributes, *_MODELS) is not None
    return operation in _CALLS or normalise_operation(operation) != "other"


def _model_in_name(span: Any, operation: str | None) -> str | None:
    """Return the model that the conventions put into a span's name: `chat gpt-4o`."""
    name = span.get("name") if isinstance(span, dict) else None
    if operation is None or not isinstance(name, str) or not name.startswith(f"{operation} "):
        return None
    return name[len(operation) + 1 :].strip() or None


def _failure(span: Any, attributes: Attributes) -> tuple[object, ...]:
    """Return what tells of a failure; nothing when there was none."""
    kind = text_of(attributes, "error.type")
    is_error = dict_of(span, "status").get("code") in (2, "2", "STATUS_CODE_ERROR")
    if not (is_error or kind):
        return ()
    raised = (attributes_of(event).get("exception.type") for event in list_of(span, "events"))
    return (kind, *(attributes.get(name) for name in ("error.code", "http.response.status_code")), *raised, "failed")


def _with_hidden(attributes: Attributes) -> Attributes:
    """Add what LiteLLM's spans tell of cached tokens: a dictionary as Python prints it."""
    text = attributes.get("metadata.usage_object")
    if not isinstance(text, str) or not text:
        return attributes
    return {**_flat("usage_object", read_dict(text)), **attributes}


def _flat(prefix: str, tree: dict[Any, Any]) -> Attributes:
    found: Attributes = {}
    for name, value in tree.items():
        if isinstance(value, dict):
            found |= _flat(f"{prefix}.{name}", value)
        else:
            found[f"{prefix}.{name}"] = value
    return found


def _score(record: Any, resource: Attributes) -> Iterator[Score]:
    name = record.get("eventName") if isinstance(record, dict) else None
    attributes = attributes_of(record)
    if not str(name or attributes.get("event.name")).startswith(_EVALUATION):
        return
    value = number_of(attributes, "gen_ai.evaluation.score.value")
    if value is None and text_of(attributes, "error.type"):
        return  # the evaluation failed, not what it judged
    label = text_of(attributes, "gen_ai.evaluation.score.label")
    if value is None:
        raise InvalidValue("gen_ai.evaluation.score.value", label, "a number: a label alone has no scale")
    at = nanos_of(record, "timeUnixNano") or nanos_of(record, "observedTimeUnixNano")
    metric = text_of(attributes, "gen_ai.evaluation.name") or ""
    model = text_of(attributes, *_MODELS)
    yield Score(
        score_id=f"{_span_id(record)}-{at}-{metric}",
        occurred_at=time_of("timeUnixNano", at),
        metric=metric,
        value=value,
        source="judge",
        event_id=_span_id(record),
        release=text_of({**resource, **attributes}, *_TEXTS["release"]),
        model=normalise_model(model) if model else None,
        feature=text_of(attributes, *_TEXTS["feature"]),
        judge_version=text_of(attributes, "watchkeeper.judge_version"),
        prompt_version=text_of(attributes, *_TEXTS["prompt_version"]),
    )


def _span_id(item: Any) -> str:
    return f"{hex_of(item, 'traceId', 32)}-{hex_of(item, 'spanId', 16)}"


def _between(started: int, ended: int) -> float | None:
    return round((ended - started) / 1_000_000, 3) if ended else None


def _cost(attributes: Attributes) -> Decimal | None:
    cost = number_of(attributes, *_COSTS)
    return None if cost is None else Decimal(str(cost))


KIND = FileKind(by_line(parse, split), marks=(frozenset({"resourceSpans"}), frozenset({"resourceLogs"})))
