"""Helicone's `query-clickhouse` as its documentation has it: Bearer auth, a tree of filters, limit and offset."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from tests.api_server import Asked

NOW = datetime(2026, 3, 5, 12, tzinfo=UTC)
KEY = "sk-helicone-do-not-show"
NO_REFERENCE = "00000000-0000-0000-0000-000000000000"


def clickhouse(when: datetime) -> str:
    """Write a time as ClickHouse does: no zone, a blank in the middle."""
    return when.strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]


def request(before: timedelta = timedelta(minutes=30), **fields: Any) -> dict[str, Any]:
    """Make a request that began so long before NOW."""
    began = NOW - before
    usual = {
        "response_id": "7a0d5f0e-9a51-4c51-8f7e-0f6f2f1b1a01", "response_created_at": clickhouse(began),
        "response_status": 200, "request_id": "2b4c7f86-0d1e-4d53-a5f4-6f6a4a1c0001",
        "request_created_at": clickhouse(began), "request_user_id": "cust-7",
        "request_properties": {"Feature": "search", "team": "growth", "Service": "desk", "release": "2026.3.1"},
        "provider": "OPENAI", "delay_ms": 1250, "request_model": "gpt-4o-2024-08-06", "time_to_first_token": 400,
        "total_tokens": 2306, "completion_tokens": 300, "prompt_tokens": 2006, "prompt_cache_read_tokens": 1920,
        "prompt_cache_write_tokens": 0, "country_code": "DE", "scores": {}, "asset_ids": [],
        "properties": {}, "target_url": "https://api.openai.com/v1/chat/completions",
        "cache_reference_id": NO_REFERENCE, "request_referrer": "", "cache_enabled": False, "cost": 0.005615,
        "prompt_id": "support-answer", "prompt_version": "", "updated_at": clickhouse(began),
        "storage_location": "s3", "response_body": {}, "request_body": {}, "signed_body_url": "https://s3.test/x?sig=1",
    }  # fmt: skip
    return {**usual, **fields}


@dataclass
class HeliconeApi:
    """An organisation: what it holds now, and how it answers."""

    requests: list[dict[str, Any]] = field(default_factory=list)

    def __call__(self, asked: Asked) -> tuple[int, Any]:
        """Answer one request."""
        if asked.headers.get("authorization") != f"Bearer {KEY}":
            return 401, {"error": "Unauthorized"}
        if (asked.method, asked.path) != ("POST", "/v1/request/query-clickhouse"):
            return 404, {"error": "Not found"}
        body = asked.json()
        if body["limit"] > 1000 or body["sort"] != {"created_at": "asc"} or body["filter"]["operator"] != "and":
            return 500, {"data": None, "error": "invalid limit"}
        bounds = [body["filter"][side]["request_response_rmt"]["request_created_at"] for side in ("left", "right")]
        start, end = (_clickhouse(bound[word]) for bound, word in zip(bounds, ("gte", "lt"), strict=True))
        held = [row for row in self.requests if start <= row["request_created_at"] < end]
        held.sort(key=lambda row: row["request_created_at"])
        return 200, {"data": held[body["offset"] :][: body["limit"]], "error": None}


def _clickhouse(text: str) -> str:
    return clickhouse(datetime.fromisoformat(text))
