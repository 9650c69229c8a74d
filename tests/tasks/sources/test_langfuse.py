from __future__ import annotations

import base64
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import httpx
import pytest
from hypothesis import given
from pydantic import SecretStr

from ops.errors import InvalidValue, Unavailable
from ops.scores import Score
from ops.usage import ErrorType, Status, UsageEvent
from ops.window import Window
from tasks.settings import Source
from tasks.sources.interface import Batch, Record, collect
from tasks.sources.langfuse import KIND, pages, parse_observation, parse_score
from tests import page_walk
from tests.any_json import rows_like
from tests.langfuse_api import NOW, PUBLIC, SECRET, observation, score

SOURCE = Source(name="traces", kind="langfuse", public_key=PUBLIC, api_key=SecretStr(SECRET))
WINDOW = Window(NOW - timedelta(hours=1), NOW)


def event(**fields: Any) -> UsageEvent:
    (parsed,) = parse_observation(observation(**fields))
    return parsed


def test_observation_becomes_an_event() -> None:
    assert event() == UsageEvent(
        event_id="6c1f7e0a4b2d9385", occurred_at=datetime(2026, 3, 5, 11, 30, tzinfo=UTC), vendor="anthropic",
        model="claude-sonnet-4-5-20250929", operation="chat", status=Status.SUCCESS, user_id="cust-7",
        team_id="growth", feature="search", service="desk", release="2026.3.1", prompt_version="3",
        input_tokens=120 + 30_000 + 2_000, cached_tokens=30_000, cache_write_tokens=2_000, output_tokens=340,
        latency_ms=1250.0, ttft_ms=400.0, reported_cost_usd=Decimal("0.02196"),
    )  # fmt: skip


FIELDS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "an embedding": ({"type": "EMBEDDING"}, {"operation": "embedding"}),
    "a failure, by its level": (
        {"level": "ERROR", "statusMessage": "RateLimitError: Rate limit reached for gpt-4o"},
        {"status": Status.FAILURE, "error_type": ErrorType.RATE_LIMIT},
    ),
    "a failure that timed out": (
        {"level": "ERROR", "statusMessage": "Request timed out."},
        {"status": Status.FAILURE, "error_type": ErrorType.TIMEOUT},
    ),
    "a failure without a word": (
        {"level": "ERROR", "statusMessage": None},
        {"status": Status.FAILURE, "error_type": ErrorType.OTHER},
    ),
    "a warning is no failure": ({"level": "WARNING", "statusMessage": "slow: 429"}, {"error_type": None}),
    "a failure that never ended": (
        {"level": "ERROR", "endTime": None, "latency": None, "usageDetails": {}},
        {"status": Status.FAILURE, "latency_ms": None, "input_tokens": None},
    ),
    "seconds become milliseconds": ({"latency": 0.0123, "timeToFirstToken": 0.001}, {"latency_ms": 12.3, "ttft_ms": 1}),
    "no latency: from its two times": ({"latency": None}, {"latency_ms": 1250.0}),
    "an answer that came at once has no first token": (
        {"completionStartTime": observation()["endTime"], "timeToFirstToken": 1.25},
        {"ttft_ms": None},
    ),
    "no usage is not zero usage": (
        {"usageDetails": {}},
        {"input_tokens": None, "cached_tokens": None, "output_tokens": None},
    ),
    "input that holds the cache already, as the total says": (
        {"usageDetails": {"input": 117_231, "cache_read_input_tokens": 115_584, "output": 225, "total": 117_456}},
        {"input_tokens": 117_231, "cached_tokens": 115_584, "output_tokens": 225, "cache_write_tokens": None},
    ),
    "an hour's cache write is a part of the write": (
        {"usageDetails": {"input": 1, "input_cache_creation_5m": 500, "input_cache_creation_1h": 1_500}},
        {"input_tokens": 2_001, "cache_write_tokens": 2_000, "cache_write_1h_tokens": 1_500},
    ),
    "reasoning is a part of the output": (
        {"usageDetails": {"input": 10, "output": 140, "output_reasoning_tokens": 200.0, "total": None}},
        {"output_tokens": 340, "reasoning_tokens": 200},
    ),
    "no price is no cost, not 0": ({"totalCost": 0, "costDetails": {}}, {"reported_cost_usd": None}),
    "a cost of 0 by its details": ({"totalCost": 0, "costDetails": {"input": 0}}, {"reported_cost_usd": Decimal(0)}),
    "a tiny cost keeps its digits": ({"totalCost": 1.8e-07}, {"reported_cost_usd": Decimal("1.8E-7")}),
    "a vendor in the model's name": (
        {"providedModelName": "groq/llama-3.3-70b"},
        {"vendor": "groq", "model": "llama-3.3-70b"},
    ),
    "a vendor as LangChain tells": ({"metadata": {"ls_provider": "vertex_ai"}}, {"vendor": "google"}),
    "a vendor as OpenTelemetry tells": (
        {"metadata": {"attributes": {"gen_ai.system": "az.ai.openai"}}},
        {"vendor": "azure"},
    ),
    "a model of nobody that we know": ({"providedModelName": "our-own"}, {"vendor": "unknown", "model": "our-own"}),
    "team and feature in the metadata": (
        {"tags": None, "metadata": {"team_id": "t-1", "feature": "chat"}},
        {"team_id": "t-1", "feature": "chat", "service": None},
    ),
    "a tag goes before the metadata": ({"metadata": {"feature": "chat"}}, {"feature": "search"}),
    "a service as OpenTelemetry tells": (
        {"metadata": {"resourceAttributes": {"service.name": "desk-api"}}},
        {"service": "desk-api"},
    ),
    "metadata that is a list": ({"metadata": ["service"]}, {"service": None}),
    "no prompt, no release, nobody": (
        {"promptVersion": None, "release": None, "userId": ""},
        {"prompt_version": None, "release": None, "user_id": None},
    ),
    "a start in another zone": (
        {"startTime": "2026-03-05T00:30:00+02:00"},
        {"occurred_at": datetime(2026, 3, 4, 22, 30, tzinfo=UTC)},
    ),
}


@pytest.mark.parametrize(("fields", "expected"), FIELDS.values(), ids=FIELDS)
def test_observation_field(fields: dict[str, Any], expected: dict[str, Any]) -> None:
    parsed = event(**fields)
    assert {name: getattr(parsed, name) for name in expected} == expected


@pytest.mark.parametrize(
    "fields",
    [{"type": "SPAN"}, {"type": "TOOL"}, {"endTime": None, "usageDetails": {}}],
    ids=["a span", "a tool", "a generation that is still running"],
)
def test_observation_is_skipped(fields: dict[str, Any]) -> None:
    assert parse_observation(observation(**fields)) == ()


REQUIRED = ["id", "type", "startTime", "level", "providedModelName", "usageDetails"]


@pytest.mark.parametrize("field", REQUIRED)
def test_observation_without_a_field_names_it(field: str) -> None:
    row = observation()
    del row[field]
    with pytest.raises(InvalidValue) as caught:
        parse_observation(row)
    assert caught.value.field == field


RETYPED: dict[str, tuple[dict[str, Any], str]] = {
    "a number for an id": ({"id": 5}, "id"),
    "a time in words": ({"startTime": "yesterday"}, "startTime"),
    "a time without a zone": ({"startTime": "2026-03-05T11:30:00"}, "startTime"),
    "a text of tokens": ({"usageDetails": {"input": "120"}}, "usageDetails.input"),
    "a fraction of a token": ({"usageDetails": {"output": 1.5}}, "usageDetails.output"),
    "tokens below 0": ({"usageDetails": {"input_cache_read": -1}}, "usageDetails.input_cache_read"),
    "endless tokens": ({"usageDetails": {"total": float("inf")}}, "usageDetails.total"),
    "a list of usage": ({"usageDetails": [1]}, "usageDetails"),
    "a text for a latency": ({"latency": "1.25"}, "latency"),
    "words for a cost": ({"totalCost": "much"}, "totalCost"),
    "an object for tags": ({"tags": {"feature": "x"}}, "tags"),
    "no model": ({"providedModelName": None}, "model"),
}


@pytest.mark.parametrize(("fields", "field"), RETYPED.values(), ids=RETYPED)
def test_observation_with_a_retyped_field_is_a_reject_that_names_it(fields: dict[str, Any], field: str) -> None:
    batch = collect([observation(), observation(id="b", **fields) if "id" not in fields else observation(**fields)],
                    parse_observation, NOW)  # fmt: skip
    assert len(batch.events) == 1
    assert [(reject.position, reject.field) for reject in batch.rejects] == [(2, field)]


def test_score_becomes_ours() -> None:
    assert parse_score(score()) == (
        Score(score_id="score-1", occurred_at=datetime(2026, 3, 5, 11, 30, tzinfo=UTC), metric="relevance",
              value=0.75, source="judge", event_id="6c1f7e0a4b2d9385", judge_version="gpt-4o-mini:1f2e",
              prompt_version="3"),
    )  # fmt: skip


SCORES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "a yes": ({"dataType": "BOOLEAN", "value": True}, {"value": 1.0}),
    "a no": ({"dataType": "BOOLEAN", "value": False}, {"value": 0.0}),
    "a yes as v2 writes it": ({"dataType": "BOOLEAN", "value": 1}, {"value": 1.0}),
    "a person's mark": ({"source": "ANNOTATION"}, {"source": "user"}),
    "a mark through the API": ({"source": "API"}, {"source": "api"}),
    "a source that is new": ({"source": "ROBOT"}, {"source": "robot"}),
    "a trace's score is of no event": ({"subject": {"kind": "trace", "id": "t"}}, {"event_id": None}),
    "a judge that does not say who it is": ({"metadata": None}, {"judge_version": None, "prompt_version": None}),
    "without a subject": ({"subject": None}, {"event_id": None}),
    "an observation as v2 names it": ({"subject": None, "observationId": "o-1"}, {"event_id": "o-1"}),
}


@pytest.mark.parametrize(("fields", "expected"), SCORES.values(), ids=SCORES)
def test_score_field(fields: dict[str, Any], expected: dict[str, Any]) -> None:
    (parsed,) = parse_score(score(**fields))
    assert {name: getattr(parsed, name) for name in expected} == expected


@pytest.mark.parametrize("kind", ["CATEGORICAL", "TEXT", "CORRECTION"])
def test_score_in_words_is_skipped(kind: str) -> None:
    assert parse_score(score(dataType=kind, value="partially correct")) == ()


WRONG_SCORES: dict[str, tuple[dict[str, Any], str]] = {
    "a number in words": ({"value": "0.75"}, "value"),
    "a number that is a yes": ({"value": True}, "value"),
    "no value": ({"value": None}, "value"),
    "a number beyond any float": ({"value": 10**400}, "value"),
    "a number beyond a billion": ({"value": 1e12}, "value"),
    "a type that is new": ({"dataType": "VECTOR"}, "dataType"),
    "no name": ({"name": ""}, "metric"),
    "a time without a zone": ({"timestamp": "2026-03-05T11:30:00"}, "timestamp"),
}


@pytest.mark.parametrize(("fields", "field"), WRONG_SCORES.values(), ids=WRONG_SCORES)
def test_score_that_is_wrong_is_a_reject_that_names_the_field(fields: dict[str, Any], field: str) -> None:
    batch = collect([score(**fields)], parse_score, NOW)
    assert [reject.field for reject in batch.rejects] == [field]


@given(rows_like(observation()))
def test_any_observation_gives_records_or_a_reason(row: Any) -> None:
    _accounted(collect([row], parse_observation, NOW), UsageEvent)


@given(rows_like(score()))
def test_any_score_gives_records_or_a_reason(row: Any) -> None:
    _accounted(collect([row], parse_score, NOW), Score)


def test_row_nested_beyond_words_is_rejected() -> None:
    nested: list[Any] = []
    for _ in range(100_000):
        nested = [nested]
    (reject,) = collect([observation(id=5, metadata=nested)], parse_observation, NOW).rejects
    assert (reject.field, reject.raw) == ("id", b"(nested too deeply to be kept)")


def _accounted(batch: Batch, kind: type[Record]) -> None:
    assert batch.read <= 1
    assert all(isinstance(record, kind) for record in (*batch.events, *batch.scores))
    assert all(reject.reason and reject.raw.decode() for reject in batch.rejects)


def test_pager_asks_for_every_field_group_it_reads() -> None:
    asked = next(pages(SOURCE, WINDOW))
    assert isinstance(asked, httpx.Request)
    assert asked.url.copy_with(query=None) == httpx.URL("https://cloud.langfuse.com/api/public/v2/observations")
    assert asked.headers["authorization"] == f"Basic {base64.b64encode(f'{PUBLIC}:{SECRET}'.encode()).decode()}"
    assert dict(asked.url.params) == {
        "type": "GENERATION", "limit": "1000", "fromStartTime": "2026-03-05T11:00:00.000Z",
        "toStartTime": "2026-03-05T12:00:00.000Z",
        "fields": "core,basic,time,model,usage,prompt,metrics,trace_context,metadata",
    }  # fmt: skip


def walk(source: Source, *documents: Any) -> tuple[list[httpx.Request], list[Batch]]:
    return page_walk.walk(pages(source, WINDOW), *documents, then={"data": [], "meta": {}})


def test_pager_walks_generations_then_embeddings_then_scores() -> None:
    source = SOURCE.model_copy(update={"url": "https://langfuse.example.org/", "page_size": 2})
    first = {"data": [observation(), observation(id="b")], "meta": {"cursor": "n1"}}
    asked, found = walk(source, first, {"data": [observation(id="c"), observation(type="SPAN")], "meta": {}})
    assert [(request.url.path.rpartition("/")[2], dict(request.url.params).get("type"),
             dict(request.url.params).get("cursor")) for request in asked] == [
        ("observations", "GENERATION", None), ("observations", "GENERATION", "n1"),
        ("observations", "EMBEDDING", None), ("scores", None, None),
    ]  # fmt: skip
    assert {request.url.params["limit"] for request in asked} == {"2"}
    assert asked[0].url.host == "langfuse.example.org"
    assert [(len(batch.events), batch.skipped) for batch in found] == [(2, 0), (1, 1), (0, 0), (0, 0)]


def test_scores_are_asked_for_with_their_subjects_a_hundred_at_once() -> None:
    asked, _ = walk(SOURCE.model_copy(update={"page_size": 500}))
    assert dict(asked[-1].url.params) == {
        "fields": "details,subject", "limit": "100", "fromTimestamp": "2026-03-05T11:00:00.000Z",
        "toTimestamp": "2026-03-05T12:00:00.000Z",
    }  # fmt: skip
    assert asked[0].url.params["limit"] == "500"


def test_empty_page_that_leads_on_is_an_error() -> None:
    with pytest.raises(Unavailable, match=r"v2/observations is unavailable: an empty page with a cursor"):
        walk(SOURCE, {"data": [], "meta": {"cursor": "more"}})


@pytest.mark.parametrize(
    "document",
    [{"data": [observation()]}, {"data": [], "meta": []}, {"data": [], "meta": {"cursor": 5}}],
    ids=["no meta", "a list", "a number"],
)
def test_envelope_with_another_cursor_is_an_error(document: Any) -> None:
    with pytest.raises(Unavailable, match=r"without a text `meta\.cursor`"):
        walk(SOURCE, document)


def test_kind_needs_both_keys() -> None:
    assert KIND.needs == ("public_key", "api_key")
