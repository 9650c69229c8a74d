import json
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from genai_prices import Usage, calc_price

from ops.usage import normalise_model, normalise_operation, normalise_vendor
from tasks.simulator.cast import CHAT_MODELS, EMBEDDING_MODEL, FEATURES
from tasks.simulator.litellm_log import cost, payload, write_log
from tasks.simulator.request import RATE_LIMIT, Request

FIELDS = {
    *("id", "litellm_call_id", "call_type", "status", "custom_llm_provider", "model"),
    *("startTime", "endTime", "completionStartTime", "prompt_tokens", "completion_tokens", "total_tokens"),
    *("response_cost", "cache_hit", "stream", "end_user", "request_tags", "metadata"),
}


@pytest.fixture(scope="module")
def lines(tmp_path_factory, a_day):
    path = tmp_path_factory.mktemp("log") / "day.jsonl"
    assert write_log(a_day, path) == len(a_day)
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_log_has_every_field_on_every_line(lines, a_day):
    assert len(lines) == len(a_day)
    for line in lines:
        extra = {"messages"} if line["call_type"] == "aembedding" else set()
        extra |= {"error_information"} if line["status"] == "failure" else set()
        assert set(line) == FIELDS | extra


def test_log_lines_are_about_as_long_as_promised(tmp_path, a_day):
    write_log(a_day, tmp_path / "day.jsonl")
    assert 700 < (tmp_path / "day.jsonl").stat().st_size / len(a_day) < 1000


def test_log_is_the_same_bytes_every_time(tmp_path, a_day):
    for name in ("one.jsonl.gz", "two.jsonl.gz"):
        write_log(a_day, tmp_path / name)
    assert (tmp_path / "one.jsonl.gz").read_bytes() == (tmp_path / "two.jsonl.gz").read_bytes()


def test_log_orders_the_times_of_a_request(lines):
    assert all(line["startTime"] < line["completionStartTime"] <= line["endTime"] for line in lines)
    streamed = [line for line in lines if line["stream"] and not line["cache_hit"] and line["status"] == "success"]
    assert streamed
    assert all(line["completionStartTime"] < line["endTime"] for line in streamed)


def test_log_springs_the_cache_hit_trap(lines):
    hits = [line for line in lines if line["cache_hit"]]
    assert {line["call_type"] for line in hits} == {"acompletion", "aembedding"}
    for line in hits:
        assert line["id"].partition("_cache_hit")[2] == str(line["endTime"])
        assert line["response_cost"] == 0
        assert line["total_tokens"] > 0


def test_log_identifies_failures_and_embeddings_by_their_call(lines):
    for line in lines:
        if line["status"] == "failure" or (line["call_type"] == "aembedding" and not line["cache_hit"]):
            assert line["id"] == line["litellm_call_id"]
        else:
            assert line["id"] != line["litellm_call_id"]


def test_log_tells_why_a_request_failed(lines):
    failures = [line for line in lines if line["status"] == "failure"]
    assert {line["error_information"]["error_class"] for line in failures} >= {"Timeout", "RateLimitError"}
    assert all(line["metadata"]["usage_object"] == {} and line["total_tokens"] == 0 for line in failures)


def test_log_speaks_names_that_usage_events_know(lines):
    vendors = {normalise_vendor(line["custom_llm_provider"]) for line in lines}
    models = {normalise_model(line["model"]) for line in lines}
    assert vendors == {"openai", "anthropic", "google"}
    assert models == {model.name for model in (*CHAT_MODELS, EMBEDDING_MODEL)}
    assert {normalise_operation(line["call_type"]) for line in lines} == {"chat", "embedding"}


def call(model, **tokens):
    people = {"user_id": "user-1", "team_id": "growth", "release": "v2", "prompt_version": "p3"}
    embedding = model is EMBEDDING_MODEL
    prompt = "where is my invoice?" if embedding else None
    return Request(
        call_id="c1", started=1.0, latency_s=0.5, feature=FEATURES[0], model=model, embedding=embedding, prompt=prompt,
        **people, **tokens,
    )  # fmt: skip


def test_payload_carries_who_asked_and_what_was_cached():
    sonnet = next(model for model in CHAT_MODELS if model.name == "claude-sonnet-4-5")
    line = payload(call(sonnet, input_tokens=32120, cached_tokens=30000, cache_write_tokens=2000, output_tokens=340))
    assert line["end_user"] == "user-1"
    assert line["request_tags"] == ["feature:search"]
    assert line["metadata"] == {
        "user_api_key_team_id": "growth",
        "team_id": "growth",
        "requester_metadata": {"prompt_version": "p3", "release": "v2", "service": "search-api"},
        "usage_object": {
            "completion_tokens": 340,
            "prompt_tokens": 32120,
            "total_tokens": 32460,
            "completion_tokens_details": {"reasoning_tokens": 0},
            "prompt_tokens_details": {"cached_tokens": 30000},
            "cache_creation_input_tokens": 2000,
            "cache_read_input_tokens": 30000,
        },
    }


def test_payload_of_an_embedding_carries_its_text():
    line = payload(call(EMBEDDING_MODEL, input_tokens=9))
    assert line["messages"] == [{"role": "user", "content": "where is my invoice?"}]


@pytest.mark.parametrize("model", [*CHAT_MODELS, EMBEDDING_MODEL], ids=lambda model: model.name)
def test_cost_agrees_with_the_price_book(model):
    chat = model is not EMBEDDING_MODEL
    parts = {"input_tokens": 20_000, "cached_tokens": 12_800, "output_tokens": 900} if chat else {"input_tokens": 9}
    if model.writes_cache:
        parts["cache_write_tokens"] = 2_000
    usage = Usage(
        input_tokens=parts["input_tokens"],
        cache_read_tokens=parts.get("cached_tokens"),
        cache_write_tokens=parts.get("cache_write_tokens"),
        output_tokens=parts.get("output_tokens"),
    )
    when = datetime(2025, 12, 1, tzinfo=UTC)
    priced = calc_price(usage, model.name, provider_id=model.vendor, genai_request_timestamp=when).total_price
    assert Decimal(cost(call(model, **parts))) == pytest.approx(priced, rel=Decimal("1e-9"))


def test_payload_of_an_embedding_has_no_details_of_its_tokens():
    usage = payload(call(EMBEDDING_MODEL, input_tokens=9))["metadata"]["usage_object"]
    assert usage == {
        "completion_tokens": 0, "prompt_tokens": 9, "total_tokens": 9,
        "completion_tokens_details": None, "prompt_tokens_details": None,
    }  # fmt: skip


@pytest.mark.parametrize("model", CHAT_MODELS, ids=lambda model: model.name)
def test_payload_counts_cache_writes_where_the_vendor_bills_them(model):
    usage = payload(call(model, input_tokens=2000, cached_tokens=128))["metadata"]["usage_object"]
    assert ("cache_creation_input_tokens" in usage) == ("cache_read_input_tokens" in usage) == model.writes_cache
    assert usage["prompt_tokens_details"] == {"cached_tokens": 128}


@pytest.mark.parametrize(("streamed", "logged"), [(True, True), (False, None)])
def test_payload_names_a_stream_and_is_silent_otherwise(streamed, logged):
    assert payload(call(CHAT_MODELS[0], streamed=streamed))["stream"] is logged


@pytest.mark.parametrize(
    ("vendor", "provider"), [("google", "gemini"), ("openai", "openai"), ("anthropic", "anthropic")]
)
def test_payload_routes_a_vendor_as_the_gateway_does(vendor, provider):
    model = next(model for model in CHAT_MODELS if model.vendor == vendor)
    line = payload(call(model))
    assert (line["custom_llm_provider"], line["model"]) == (provider, f"{provider}/{model.name}")


@pytest.mark.parametrize(
    ("ttft", "completed"), [(None, 1.5), (0.125, 1.125)], ids=["at its end when not streamed", "at its first token"]
)
def test_payload_begins_its_completion(ttft, completed):
    assert payload(call(CHAT_MODELS[0], ttft_s=ttft))["completionStartTime"] == completed  # the call: 1.0 to 1.5


def test_payload_of_a_failure_quotes_the_gateways_error():
    line = payload(call(CHAT_MODELS[0], failure=RATE_LIMIT))
    assert line["status"] == "failure"
    assert line["error_information"] == {
        "error_code": "429", "error_class": "RateLimitError", "llm_provider": "openai",
        "error_message": "litellm.RateLimitError: Rate limit reached",
    }  # fmt: skip


def test_cost_of_a_cache_hit_is_nothing_though_its_tokens_are_logged():
    assert cost(call(CHAT_MODELS[0], cache_hit=True, input_tokens=1000, output_tokens=1000)) == 0
