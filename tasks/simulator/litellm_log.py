"""Writes requests as LiteLLM's generic logger does: one StandardLoggingPayload a line, trimmed to what is read.

Shape and traps are those of real payloads (`litellm.types.utils.StandardLoggingPayload`). Before it: `generator.py`.
After it: the LiteLLM source reads the file.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from tasks.simulator.json_lines import write_lines
from tasks.simulator.request import Failure, Request

# LiteLLM routes Google's own API under another name.
_PROVIDERS = {"google": "gemini"}


def write_log(requests: Iterable[Request], path: Path) -> int:
    """Write one payload a line (`.gz` compresses) and return how many."""
    return write_lines(map(payload, requests), path)


def payload(request: Request) -> dict[str, object]:
    """Render a request as LiteLLM logs it."""
    model = request.model
    provider = _PROVIDERS.get(model.vendor, model.vendor)
    ended, ttft = request.ended, request.ttft_s
    line: dict[str, object] = {
        "id": request.event_id,
        "litellm_call_id": request.call_id,
        "call_type": "aembedding" if request.embedding else "acompletion",
        "status": "failure" if request.failure else "success",
        "custom_llm_provider": provider,
        "model": f"{provider}/{model.name}",
        "startTime": request.started,
        "endTime": ended,
        "completionStartTime": ended if ttft is None else round(request.started + ttft, 6),
        "prompt_tokens": request.input_tokens,
        "completion_tokens": request.output_tokens,
        "total_tokens": request.input_tokens + request.output_tokens,
        "response_cost": cost(request),
        "cache_hit": request.cache_hit,
        "stream": request.streamed or None,
        "end_user": request.user_id,
        "request_tags": [f"feature:{request.feature.name}"],
        "metadata": _metadata(request),
    }
    if request.prompt is not None:
        line["messages"] = [{"role": "user", "content": request.prompt}]
    if request.failure is not None:
        line["error_information"] = _error_information(request.failure, provider)
    return line


def cost(request: Request) -> float:
    """Price a request as the gateway does, USD: 0 for its own cache hits, whose tokens stay in the log."""
    if request.cache_hit:
        return 0.0
    model = request.model
    fresh = request.input_tokens - request.cached_tokens - request.cache_write_tokens
    return (
        fresh * model.input_price
        + request.cached_tokens * model.cached_price
        + request.cache_write_tokens * model.cache_write_price
        + request.output_tokens * model.output_price
    ) / 1_000_000


def _metadata(request: Request) -> dict[str, object]:
    return {
        "user_api_key_team_id": request.team_id,
        "team_id": request.team_id,
        "requester_metadata": {
            "prompt_version": request.prompt_version,
            "release": request.release,
            "service": request.feature.service,
        },
        "usage_object": {} if request.failure else _usage_object(request),
    }


def _usage_object(request: Request) -> dict[str, object]:
    usage: dict[str, object] = {
        "completion_tokens": request.output_tokens,
        "prompt_tokens": request.input_tokens,
        "total_tokens": request.input_tokens + request.output_tokens,
        "completion_tokens_details": None,
        "prompt_tokens_details": None,
    }
    if not request.embedding:
        usage["completion_tokens_details"] = {"reasoning_tokens": request.reasoning_tokens}
        usage["prompt_tokens_details"] = {"cached_tokens": request.cached_tokens}
    if request.model.writes_cache:
        usage["cache_creation_input_tokens"] = request.cache_write_tokens
        usage["cache_read_input_tokens"] = request.cached_tokens
    return usage


def _error_information(failure: Failure, provider: str) -> dict[str, object]:
    return {
        "error_code": failure.code,
        "error_class": failure.error_class,
        "llm_provider": provider,
        "error_message": f"litellm.{failure.error_class}: {failure.message}",
    }
