"""LiteLLM's proxy as its spend log shows it: rows, filtered, sorted and paged as `GET /spend/logs/v2` does (1.106.2).

Rows of one instant come in another order each time, as Postgres gives them where nothing orders them further.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from tests.api_server import Asked

KEY = "sk-admin-3141592653"
COUNTS_TO = 10_000
NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
Row = dict[str, Any]
Answer = tuple[int, Any]


def spend_row(name: str, start: datetime, **fields: Any) -> Row:
    """Make a row of a chat with gpt-4o-mini that took half a second; times to the millisecond, as in the table."""
    end = start + timedelta(milliseconds=500)
    usual = {
        "request_id": name, "call_type": "acompletion", "cache_hit": "None", "startTime": written(start),
        "endTime": written(end), "completionStartTime": written(end), "model": "openai/gpt-4o-mini",
        "custom_llm_provider": "openai", "user": "default_user_id", "team_id": "", "end_user": "cust-7",
        "spend": 0.0000135, "prompt_tokens": 10, "completion_tokens": 20, "status": "success",
        "metadata": {"usage_object": {"prompt_tokens": 10}, "spend_logs_metadata": {"service": "search-api"}},
        "request_tags": ["feature:search"], "litellm_call_id": f"call-{name}",
    }  # fmt: skip
    return {**usual, **fields}


def written(when: datetime) -> str:
    """Write a time as the API does."""
    return when.isoformat(timespec="milliseconds")


def row_of(payload: dict[str, Any], clock: float = 1.5) -> Row:
    """Make the row that the proxy writes of the request of a logging payload (`get_logging_payload` of LiteLLM).

    `clock` is what stamps a cache hit's id: the proxy looks at it once for the payload and once more for the row.
    """
    metadata = payload["metadata"]
    kept = ("spend_logs_metadata", "usage_object", "user_api_key_user_id", "user_api_key_team_id")
    hit = payload["cache_hit"] is True
    failed = payload["status"] == "failure"
    times = {name: written(_cut(payload[name])) for name in ("startTime", "endTime", "completionStartTime")}
    return {
        **{name: payload[name] for name in ("call_type", "model", "custom_llm_provider", "prompt_tokens", "status",
                                            "completion_tokens", "request_tags", "litellm_call_id")},
        **times, "request_id": payload["id"].partition("_cache_hit")[0] + (f"_cache_hit{clock}" if hit else ""),
        "cache_hit": str(payload["cache_hit"]), "spend": payload["response_cost"],
        "end_user": payload["end_user"] or "", "user": metadata["user_api_key_user_id"] or "",
        "team_id": metadata["user_api_key_team_id"] or "",
        "metadata": {**{name: metadata[name] for name in kept}, "litellm_call_id": payload["litellm_call_id"],
                     "error_information": payload["error_information"] if failed else None},
    }  # fmt: skip


def _cut(epoch: float) -> datetime:
    when = datetime.fromtimestamp(epoch, UTC)
    return when.replace(microsecond=when.microsecond // 1000 * 1000)


@dataclass
class Proxy:
    """The proxy that a test holds; `before` is called with the number of each request, from 1, ahead of its answer."""

    rows: list[Row] = field(default_factory=list)
    before: Callable[[int], None] | None = None
    counts_to: int = COUNTS_TO
    largest_page: int = 1000
    hides: int = 0  # rows that it counts and does not list
    sorts: bool = True  # one from before `sort_by` gives the newest first
    requests: int = 0

    def answer(self, asked: Asked) -> Answer:
        """Answer a request as the proxy does: 401, 400 and 422 for what it does not take."""
        self.requests += 1
        if self.before:
            self.before(self.requests)
        if asked.headers.get("authorization") != f"Bearer {KEY}":
            return 401, {"error": {"message": "Authentication Error, Invalid proxy server token passed", "code": "401"}}
        if (asked.method, asked.path) != ("GET", "/spend/logs/v2"):
            return 404, {"detail": "Not Found"}
        page, size = int(asked.one("page", "1")), int(asked.one("page_size", "50"))
        if not (page >= 1 and 1 <= size <= 1000):
            return 422, {"detail": "Input should be less than or equal to 1000"}
        try:
            start, end = _bound(asked.one("start_date")), _bound(asked.one("end_date"))
        except ValueError:
            return 400, {"detail": "Invalid date format. Expected: 'YYYY-MM-DD' or 'YYYY-MM-DD HH:MM:SS'"}
        return 200, self._page(asked, start, end, page, min(size, self.largest_page))

    def _page(self, asked: Asked, start: datetime, end: datetime, page: int, size: int) -> dict[str, Any]:
        found = [row for row in self.rows if start <= datetime.fromisoformat(row["startTime"]) <= end]
        random.Random(self.requests).shuffle(found)  # noqa: S311
        up = self.sorts and (asked.one("sort_by"), asked.one("sort_order")) == ("startTime", "asc")
        found.sort(key=lambda row: str(row["startTime"]), reverse=not up)
        total = min(len(found) + self.hides, self.counts_to)
        skipped = (page - 1) * size
        return {
            "data": found[skipped : skipped + size], "total": total, "page": page, "page_size": size,
            "total_pages": -(-total // size), "total_is_capped": len(found) > total,
        }  # fmt: skip


def _bound(text: str) -> datetime:
    return datetime.strptime(text, "%Y-%m-%d %H:%M:%S").replace(tzinfo=UTC)
