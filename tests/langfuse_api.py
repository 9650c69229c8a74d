"""Langfuse's public API as its documentation has it: Basic auth, field groups, limits, a cursor from the newest row."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from tests.api_server import Asked

NOW = datetime(2026, 3, 5, 12, tzinfo=UTC)
PUBLIC, SECRET = "pk-lf-1234", "sk-lf-do-not-show"
GROUPS = {
    "core": "id traceId startTime endTime projectId parentObservationId type",
    "basic": "name level statusMessage version environment bookmarked public userId sessionId isRootObservation",
    "time": "completionStartTime createdAt updatedAt",
    "metadata": "metadata",
    "model": "providedModelName internalModelId modelParameters",
    "usage": "usageDetails costDetails totalCost usagePricingTierName",
    "prompt": "promptId promptName promptVersion",
    "metrics": "latency timeToFirstToken",
    "trace_context": "tags release traceName",
}


def stamp(when: datetime) -> str:
    """Write a time as JavaScript does."""
    return when.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def observation(before: timedelta = timedelta(minutes=30), **fields: Any) -> dict[str, Any]:
    """Make a generation that began so long before NOW, in every field group."""
    began = NOW - before
    usual = {
        "id": "6c1f7e0a4b2d9385", "traceId": "0af7651916cd43dd8448eb211c80319c", "projectId": "clx7",
        "startTime": stamp(began), "endTime": stamp(began + timedelta(seconds=1.25)), "parentObservationId": None,
        "type": "GENERATION", "name": "answer", "level": "DEFAULT", "statusMessage": None, "version": None,
        "environment": "production", "bookmarked": False, "public": False, "userId": "cust-7", "sessionId": None,
        "isRootObservation": False, "completionStartTime": stamp(began + timedelta(seconds=0.4)),
        "createdAt": stamp(began), "updatedAt": stamp(began + timedelta(seconds=2)), "metadata": {"service": "desk"},
        "providedModelName": "claude-sonnet-4-5-20250929", "internalModelId": "m-1",
        "modelParameters": {"max_tokens": "1024"},
        "usageDetails": {
            "input": 120, "input_cache_read": 30_000, "input_cache_creation": 2_000, "output": 340, "total": 32_460,
        },
        "costDetails": {"input": 0.01686, "output": 0.0051, "total": 0.02196}, "totalCost": 0.02196,
        "usagePricingTierName": "Standard", "promptId": "p-1", "promptName": "support-answer", "promptVersion": 3,
        "latency": 1.25, "timeToFirstToken": 0.4, "tags": ["feature:search", "team:growth"], "release": "2026.3.1",
        "traceName": "support-chat",
    }  # fmt: skip
    return {**usual, **fields}


def score(before: timedelta = timedelta(minutes=30), **fields: Any) -> dict[str, Any]:
    """Make a judge's score of the usual observation."""
    usual = {
        "id": "score-1", "projectId": "clx7", "name": "relevance", "value": 0.75, "dataType": "NUMERIC",
        "source": "EVAL", "timestamp": stamp(NOW - before), "environment": "production",
        "createdAt": stamp(NOW - before), "updatedAt": stamp(NOW - before),
        "subject": {"kind": "observation", "id": "6c1f7e0a4b2d9385", "traceId": "0af7651916cd43dd8448eb211c80319c"},
        "metadata": {"judge_version": "gpt-4o-mini:1f2e", "prompt_version": 3},
    }  # fmt: skip
    return {**usual, **fields}


@dataclass
class LangfuseApi:
    """A project: what it holds now, and how it answers."""

    observations: list[dict[str, Any]] = field(default_factory=list)
    scores: list[dict[str, Any]] = field(default_factory=list)

    def __call__(self, asked: Asked) -> tuple[int, Any]:
        """Answer one request."""
        told = base64.b64decode(asked.headers.get("authorization", "").removeprefix("Basic ")).decode()
        if told != f"{PUBLIC}:{SECRET}":
            return 401, {"message": "Invalid credentials. Confirm that you've configured the correct host."}
        if asked.path == "/api/public/v2/observations":
            return self._observations(asked)
        if asked.path == "/api/public/v3/scores":
            return self._scores(asked)
        return 404, {"message": "Not found"}

    def _observations(self, asked: Asked) -> tuple[int, Any]:
        shown = " ".join(GROUPS[name] for name in ("core", *asked.one("fields", "core,basic").split(","))).split()
        rows = [row for row in self.observations if row["type"] == asked.one("type", row["type"])]
        return _page(asked, rows, "startTime", 1000, shown, ("fromStartTime", "toStartTime"))

    def _scores(self, asked: Asked) -> tuple[int, Any]:
        groups = {"details": "metadata", "subject": "subject", "annotation": "authorUserId"}
        asked_for = asked.one("fields").split(",")
        if not set(asked_for) <= set(groups):  # `core` is no name here, unlike that of observations
            return 400, {"message": "Invalid request data"}
        hidden = {field for group, field in groups.items() if group not in asked_for}
        shown = [name for name in score() if name not in hidden]
        return _page(asked, self.scores, "timestamp", 100, shown, ("fromTimestamp", "toTimestamp"))


def _page(
    asked: Asked, rows: list[dict[str, Any]], time: str, most: int, shown: list[str], bounds: tuple[str, str]
) -> tuple[int, Any]:
    limit = int(asked.one("limit", "50"))
    if limit > most:
        return 400, {"message": "Invalid request data"}
    start, end = (asked.one(name) for name in bounds)
    held = [row for row in rows if start <= row[time] < end]
    held.sort(key=lambda row: (row[time], row["id"]), reverse=True)
    if cursor := asked.one("cursor"):
        last = tuple(json.loads(base64.b64decode(cursor)))
        held = [row for row in held if (row[time], row["id"]) < last]
    page = held[:limit]
    meta: dict[str, Any] = {"limit": limit}
    if len(held) > limit:
        meta["cursor"] = base64.b64encode(json.dumps([page[-1][time], page[-1]["id"]]).encode()).decode()
    return 200, {"data": [{name: row[name] for name in shown if name in row} for row in page], "meta": meta}
