from __future__ import annotations

import json
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
from tasks.sources.helicone import KIND, OLD_PAGES, pages, parse
from tasks.sources.interface import Batch, Record, collect
from tests import page_walk
from tests.any_json import rows_like
from tests.helicone_api import KEY, NOW, request

SOURCE = Source(name="gateway", kind="helicone", api_key=SecretStr(KEY))
WINDOW = Window(NOW - timedelta(hours=1), NOW)
ID = "2b4c7f86-0d1e-4d53-a5f4-6f6a4a1c0001"
HIT = "9d7c1f86-0d1e-4d53-a5f4-6f6a4a1c0009"


def records(**fields: Any) -> tuple[UsageEvent, list[Score]]:
    event, *scores = parse(request(**fields))
    assert isinstance(event, UsageEvent)
    return event, [score for score in scores if isinstance(score, Score)]


def test_request_becomes_an_event() -> None:
    assert records() == (
        UsageEvent(
            event_id=ID, occurred_at=datetime(2026, 3, 5, 11, 30, tzinfo=UTC), vendor="openai",
            model="gpt-4o-2024-08-06", operation="chat", status=Status.SUCCESS, user_id="cust-7", team_id="growth",
            feature="search", service="desk", release="2026.3.1", prompt_version="support-answer", input_tokens=2006,
            cached_tokens=1920, cache_write_tokens=0, output_tokens=300, latency_ms=1250.0, ttft_ms=400.0,
            reported_cost_usd=Decimal("0.005615"),
        ),
        [],
    )  # fmt: skip


FIELDS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "caching switched on is no hit": ({"cache_enabled": True}, {"cache_hit": False}),
    "caching switched off says nothing of hits": ({"cache_enabled": False}, {"cache_hit": None}),
    "an answer taken from another request is a hit": (
        {
            "cache_enabled": True,
            "cache_reference_id": HIT,
            "prompt_tokens": 0,
            "completion_tokens": 0,
            "cost": 0,
            "prompt_cache_read_tokens": 0,
            "total_tokens": 0,
        },
        {"cache_hit": True, "input_tokens": 0, "output_tokens": 0, "reported_cost_usd": Decimal(0)},
    ),
    "a request that refers to itself is no hit": (
        {"cache_enabled": True, "cache_reference_id": ID},
        {"cache_hit": False},
    ),
    "a response model goes before the asked one": ({"response_model": "gpt-4o-mini"}, {"model": "gpt-4o-mini"}),
    "an override goes before the asked one": ({"model_override": "openai/gpt-5"}, {"model": "gpt-5"}),
    "a provider in capitals": ({"provider": "BEDROCK"}, {"vendor": "aws"}),
    "xAI's letter": ({"provider": "X"}, {"vendor": "x-ai"}),
    "Vertex": ({"provider": "VERTEX"}, {"vendor": "google"}),
    "an embedding, by its path": (
        {
            "request_path": "/v1/embeddings",
            "completion_tokens": 0,
            "prompt_cache_read_tokens": 0,
            "prompt_tokens": 9,
            "total_tokens": 9,
        },
        {"operation": "embedding", "input_tokens": 9, "output_tokens": 0},
    ),
    "Anthropic's messages": ({"target_url": "https://api.anthropic.com/v1/messages"}, {"operation": "chat"}),
    "an old completion": ({"target_url": "https://api.openai.com/v1/completions"}, {"operation": "completion"}),
    "a path of nobody": ({"target_url": None}, {"operation": "other"}),
    "a rate limit": (
        {"response_status": 429},
        {"status": Status.FAILURE, "error_type": ErrorType.RATE_LIMIT},
    ),
    "a client's error": ({"response_status": 401}, {"error_type": ErrorType.CLIENT}),
    "a server's error without a name": ({"response_status": 529}, {"error_type": ErrorType.SERVER}),
    "a gateway's timeout": ({"response_status": 504}, {"error_type": ErrorType.TIMEOUT}),
    "Helicone's own timeout": ({"response_status": -1}, {"error_type": ErrorType.TIMEOUT}),
    "cancelled by the caller": ({"response_status": -3}, {"error_type": ErrorType.OTHER}),
    "taken for a threat": ({"response_status": -4}, {"error_type": ErrorType.CONTENT_FILTER}),
    "no status": ({"response_status": None}, {"status": Status.FAILURE, "error_type": ErrorType.OTHER}),
    "a redirect is a success": ({"response_status": 302}, {"status": Status.SUCCESS}),
    "a failure's 0 tokens are known": (
        {"response_status": 500, "prompt_tokens": 0, "completion_tokens": 0, "prompt_cache_read_tokens": 0, "cost": 0},
        {"input_tokens": 0, "output_tokens": 0, "reported_cost_usd": Decimal(0)},
    ),
    "a success of 0 tokens was not counted": (
        {"prompt_tokens": 0, "completion_tokens": 0, "prompt_cache_read_tokens": 0, "total_tokens": 0},
        {"input_tokens": None, "output_tokens": None, "cached_tokens": None, "cache_write_tokens": None},
    ),
    "a success that cost 0 was not priced": ({"cost": 0}, {"reported_cost_usd": None}),
    "0 milliseconds were not measured": (
        {"delay_ms": 0, "time_to_first_token": 0},
        {"latency_ms": None, "ttft_ms": None},
    ),
    "a prompt without the cache, which cannot hold it": (
        {"prompt_tokens": 86, "total_tokens": 386},
        {"input_tokens": 2_006, "cached_tokens": 1_920},
    ),
    "a prompt without the cache, as the total says": (
        {"prompt_tokens": 5_000, "total_tokens": 5_000 + 1_920 + 300},
        {"input_tokens": 6_920, "cached_tokens": 1_920},
    ),
    "reads and writes beside a short prompt": (
        {"prompt_tokens": 120, "prompt_cache_read_tokens": 30_000, "prompt_cache_write_tokens": 2_000},
        {"input_tokens": 32_120, "cached_tokens": 30_000, "cache_write_tokens": 2_000},
    ),
    "no total": ({"total_tokens": None}, {"input_tokens": 2_006}),
    "large integers in quotes": (
        {"prompt_tokens": "2006", "completion_tokens": "300", "total_tokens": "2306", "delay_ms": "1250"},
        {"input_tokens": 2_006, "output_tokens": 300, "latency_ms": 1250.0},
    ),
    "unknown tokens": (
        {"prompt_tokens": None, "completion_tokens": None, "prompt_cache_read_tokens": None, "total_tokens": None},
        {"input_tokens": None, "output_tokens": None},
    ),
    "a user called undefined": ({"request_user_id": "undefined"}, {"user_id": None}),
    "a user of no letters": ({"request_user_id": ""}, {"user_id": None}),
    "properties in the other place": (
        {"request_properties": None, "properties": {"team_id": 5, "Version": "v2", "feature": ["x"]}},
        {"team_id": "5", "release": "v2", "feature": None, "service": None},
    ),
    "a prompt's version goes before its id": ({"prompt_version": "v-9"}, {"prompt_version": "v-9"}),
    "no prompt": ({"prompt_id": ""}, {"prompt_version": None}),
    "a time with a zone": (
        {"request_created_at": "2026-03-05T00:30:00.5+02:00"},
        {"occurred_at": datetime(2026, 3, 4, 22, 30, 0, 500_000, tzinfo=UTC)},
    ),
}


@pytest.mark.parametrize(("fields", "expected"), FIELDS.values(), ids=FIELDS)
def test_request_field(fields: dict[str, Any], expected: dict[str, Any]) -> None:
    event, _ = records(**fields)
    assert {name: getattr(event, name) for name in expected} == expected


def test_pending_request_is_no_event_yet() -> None:
    assert parse(request(response_status=-2)) == ()
    assert parse(request(response_status="-2")) == ()


SCORES: dict[str, tuple[dict[str, Any], list[tuple[str, float, str]]]] = {
    "none": ({"scores": None}, []),
    "a person's thumb": ({"scores": {"helicone-score-feedback": 1}}, [("thumb", 1.0, "user")]),
    "a person's thumb in its own column": ({"feedback_rating": False}, [("thumb", 0.0, "user")]),
    "one thumb in both places": (
        {"feedback_rating": True, "scores": {"helicone-score-feedback": 1}},
        [("thumb", 1.0, "user")],
    ),
    "a judge's yes": ({"scores": {"polite-laj-1-hcone-bool": 1}}, [("polite-laj-1", 1.0, "judge")]),
    "a number through the API": ({"scores": {"accuracy": 87}}, [("accuracy", 87.0, "api")]),
    "a number with its type": (
        {"scores": {"accuracy": {"value": 87, "valueType": "number"}, "empty": {"value": None}, "gone": None}},
        [("accuracy", 87.0, "api")],
    ),
}


@pytest.mark.parametrize(("fields", "expected"), SCORES.values(), ids=SCORES)
def test_request_has_scores(fields: dict[str, Any], expected: list[tuple[str, float, str]]) -> None:
    _, scores = records(**fields)
    assert [(score.metric, score.value, score.source) for score in scores] == expected
    assert {score.event_id for score in scores} <= {ID}


def test_score_takes_its_name_and_the_time_of_the_feedback() -> None:
    _, scores = records(feedback_rating=True, feedback_created_at="2026-03-05T11:45:00Z")
    assert scores == [
        Score(score_id=f"{ID}:thumb", occurred_at=datetime(2026, 3, 5, 11, 45, tzinfo=UTC), metric="thumb", value=1.0,
              source="user", event_id=ID, release="2026.3.1", model="gpt-4o-2024-08-06", feature="search"),
    ]  # fmt: skip


def test_score_of_a_request_without_an_answer_takes_its_start() -> None:
    _, scores = records(feedback_rating=True, response_created_at="")
    assert [score.occurred_at for score in scores] == [datetime(2026, 3, 5, 11, 30, tzinfo=UTC)]


REQUIRED = ["request_id", "request_created_at", "provider", "response_status", "prompt_tokens", "completion_tokens"]


@pytest.mark.parametrize("field", REQUIRED)
def test_request_without_a_field_names_it(field: str) -> None:
    row = request()
    del row[field]
    with pytest.raises(InvalidValue) as caught:
        parse(row)
    assert caught.value.field == field


RETYPED: dict[str, tuple[dict[str, Any], str]] = {
    "a number for an id": ({"request_id": 5}, "request_id"),
    "a time in words": ({"request_created_at": "yesterday"}, "request_created_at"),
    "a time of year 0": ({"request_created_at": "0000-01-01 00:00:00"}, "request_created_at"),
    "a time of feedback in words": (
        {"feedback_rating": True, "feedback_created_at": "later"},
        "feedback_created_at",
    ),
    "a status in words": ({"response_status": "ok"}, "response_status"),
    "half a token": ({"prompt_tokens": 0.5}, "prompt_tokens"),
    "tokens below 0": ({"prompt_tokens": -1}, "input_tokens"),
    "answers below 0": ({"completion_tokens": -1}, "output_tokens"),
    "a list of properties": ({"request_properties": ["team"]}, "request_properties"),
    "a delay below 0": ({"delay_ms": -5}, "latency_ms"),
    "a cost without end": ({"cost": float("inf")}, "reported_cost_usd"),
    "a score in words": ({"scores": {"accuracy": "good"}}, "scores.accuracy"),
    "a score beyond any float": ({"scores": {"accuracy": 10**400}}, "scores.accuracy"),
    "a score beyond a billion": ({"scores": {"accuracy": 1e12}}, "value"),
    "no model": ({"request_model": None}, "model"),
}


@pytest.mark.parametrize(("fields", "field"), RETYPED.values(), ids=RETYPED)
def test_request_with_a_retyped_field_is_a_reject_that_names_it(fields: dict[str, Any], field: str) -> None:
    batch = collect([request(), request(**fields)], parse, NOW)
    assert len(batch.events) == 1
    assert [(reject.position, reject.field) for reject in batch.rejects] == [(2, field)]


@given(rows_like(request(feedback_rating=True, scores={"accuracy": 1})))
def test_any_request_gives_records_or_a_reason(row: Any) -> None:
    batch = collect([row], parse, NOW)
    assert len(batch.events) + len(batch.rejects) <= 1
    kinds: tuple[type[Record], ...] = (UsageEvent, Score)
    assert all(isinstance(record, kinds) for record in (*batch.events, *batch.scores))
    assert all(reject.reason and reject.raw.decode() for reject in batch.rejects)


def walk(source: Source, *documents: Any) -> tuple[list[httpx.Request], list[Batch]]:
    return page_walk.walk(pages(source, WINDOW), *documents, then={"data": [], "error": None})


def test_pager_asks_inside_both_bounds_the_oldest_first() -> None:
    asked, _ = walk(SOURCE)
    assert (asked[0].method, str(asked[0].url)) == ("POST", "https://api.helicone.ai/v1/request/query-clickhouse")
    assert asked[0].headers["authorization"] == f"Bearer {KEY}"
    assert json.loads(asked[0].content) == {
        "filter": {
            "left": {"request_response_rmt": {"request_created_at": {"gte": "2026-03-05T11:00:00.000Z"}}},
            "operator": "and",
            "right": {"request_response_rmt": {"request_created_at": {"lt": "2026-03-05T12:00:00.000Z"}}},
        },
        "limit": 1000, "offset": 0, "sort": {"created_at": "asc"},
    }  # fmt: skip


def at(minute: int, name: str, **fields: Any) -> dict[str, Any]:
    return request(request_created_at=f"2026-03-05 11:{minute:02}:00.000", request_id=name, **fields)


def test_page_begins_with_the_requests_of_the_last_time_and_an_empty_one_ends() -> None:
    source = SOURCE.model_copy(update={"url": "https://eu.api.helicone.ai/", "page_size": 3})
    asked, found = walk(
        source, {"data": [at(1, "a"), at(2, "b"), at(2, "c")]}, {"data": [at(2, "c"), at(2, "d"), at(3, "e")]},
        {"data": [at(3, "e"), at(4, "f", response_status=-2)]}, {"data": [at(4, "f", response_status=-2)]},
    )  # fmt: skip
    bodies = [json.loads(request.content) for request in asked]
    # 3 new - 2 of the last time; 2 new - 1; 1 new - 1: none is left, so the 1 that is new; none new: all 1
    assert [(body["offset"], body["limit"]) for body in bodies] == [(0, 3), (1, 3), (2, 3), (3, 3), (4, 3)]
    assert [(len(batch.events), batch.skipped) for batch in found] == [(3, 0), (3, 0), (1, 1), (0, 1)]
    assert asked[0].url.host == "eu.api.helicone.ai"


def test_page_of_one_time_is_stepped_over() -> None:
    asked, _ = walk(SOURCE, {"data": [at(1, "a"), at(1, "b")]}, {"data": [at(1, "c"), at(1, "d")]})
    assert [json.loads(request.content)["offset"] for request in asked] == [0, 2, 4]


def test_rows_without_an_id_are_told_apart() -> None:
    documents = [{"data": [{"minute": 3 * page + row} for row in range(3)]} for page in range(6)]
    _, found = walk(SOURCE, *documents)
    assert [len(batch.rejects) for batch in found] == [3] * 6


def test_page_is_never_larger_than_the_vendor_allows() -> None:
    asked, _ = walk(SOURCE.model_copy(update={"page_size": 5000}))
    assert json.loads(asked[0].content)["limit"] == 1000


def test_pages_that_repeat_for_ever_are_an_error() -> None:
    again = {"data": [request(), "no row"]}
    asked: list[Any] = [again] * (OLD_PAGES + 5)
    with pytest.raises(Unavailable, match=r"query-clickhouse is unavailable: it gives the same requests again"):
        walk(SOURCE, *asked)


def test_page_that_repeats_once_is_passed_over() -> None:
    asked, found = walk(SOURCE, {"data": [at(1, "a")]}, {"data": [at(1, "a")]}, {"data": [at(2, "b")]})
    assert len(asked) == 4
    assert [len(batch.events) for batch in found] == [1, 1, 1]


def test_answer_without_data_names_it() -> None:
    with pytest.raises(Unavailable, match="without a list `data`"):
        walk(SOURCE, {"data": None, "error": "Query timed out"})


def test_kind_needs_a_key_and_no_address() -> None:
    assert KIND.needs == ("api_key",)
