"""Langfuse's observations (v2) and scores (v3), polled by the time they began.

Traps kept in mind: without `fields` there is no usage; `input` leaves out what other input keys count, but some SDKs
send the vendor's whole there (see `ops/token_buckets.py`); what has no price costs 0 there, not nothing; latencies are
seconds; a scored trace is no event. The cursor walks from the newest row and knows no date of change: what was read
before is read again, and corrected.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import msgspec

from ops.errors import InvalidValue, Unavailable
from ops.model_makers import vendor_of
from ops.scores import Score
from ops.token_buckets import Tokens, tokens_of_keys
from ops.usage import Status, UsageEvent, classify_error, normalise_model, normalise_vendor
from ops.window import Window
from tasks.settings import Source
from tasks.sources.answers import Page, opened, typed, utc
from tasks.sources.interface import ApiKind, Pager, Record, collect

CLOUD = "https://cloud.langfuse.com"
OBSERVATIONS, SCORES = "/api/public/v2/observations", "/api/public/v3/scores"
FIELDS = "core,basic,time,model,usage,prompt,metrics,trace_context,metadata"  # metadata: team, feature, service
_OPERATIONS = {"GENERATION": "chat", "EMBEDDING": "embedding"}
_VALUELESS = frozenset({"CATEGORICAL", "TEXT", "CORRECTION"})  # scores that are words
_SCORERS = {"EVAL": "judge", "ANNOTATION": "user", "API": "api"}
_PROVIDERS = ("ls_provider", "gen_ai.provider.name", "gen_ai.system")  # as LangChain and OpenTelemetry say


class _Observation(msgspec.Struct):
    id: str
    type: str
    startTime: datetime
    level: str | None
    providedModelName: str | None
    usageDetails: dict[str, Any] | None
    endTime: datetime | None = None
    completionStartTime: datetime | None = None
    statusMessage: str | None = None
    userId: str | None = None
    costDetails: dict[str, Any] | None = None
    totalCost: Decimal | None = None
    promptVersion: int | str | None = None
    latency: float | None = None
    timeToFirstToken: float | None = None
    tags: list[str] | None = None
    release: str | None = None
    metadata: Any = None


class _Subject(msgspec.Struct):
    kind: str
    id: str


class _Score(msgspec.Struct):
    id: str
    name: str
    value: Any
    dataType: str
    source: str
    timestamp: datetime
    subject: _Subject | None = None
    observationId: str | None = None  # as v2 names it
    metadata: Any = None


Params = dict[str, str | int]
Parse = Callable[[Any], Iterable[Record]]


def pages(source: Source, window: Window) -> Pager:
    """Ask for the generations, the embeddings and the scores that began in a window."""
    start, end = _iso(window.start), _iso(window.end)
    for kind in _OPERATIONS:
        asked: Params = {"type": kind, "fields": FIELDS, "fromStartTime": start, "toStartTime": end}
        yield from _walk(source, OBSERVATIONS, {**asked, "limit": _limit(source, 1000)}, parse_observation, window)
    asked = {"fields": "details,subject", "fromTimestamp": start, "toTimestamp": end, "limit": _limit(source, 100)}
    yield from _walk(source, SCORES, asked, parse_score, window)


def _walk(source: Source, path: str, asked: Params, parse: Parse, window: Window) -> Pager:
    """Follow the cursor to the last page.

    Raises:
        Unavailable: it leads on from an empty page, or the answers have another format.
    """
    from httpx import Request

    url = (source.url or CLOUD).rstrip("/") + path
    cursor: str | None = None
    while True:
        params = asked if cursor is None else {**asked, "cursor": cursor}
        page = opened((yield Request("GET", url, params=params, headers=_authorization(source))))
        yield collect(page.rows, parse, window.end)
        cursor = _next(page)
        if cursor is None:
            return
        if not page.rows:
            raise Unavailable(page.where, "an empty page with a cursor: its pages never end")


def _next(page: Page) -> str | None:
    meta = page.document.get("meta")
    cursor = meta.get("cursor") if isinstance(meta, dict) else meta
    if not isinstance(meta, dict) or not isinstance(cursor, str | None):
        raise Unavailable(page.where, "an answer without a text `meta.cursor`: its format has changed")
    return cursor or None


def _limit(source: Source, most: int) -> int:
    return min(source.page_size or most, most)


def _authorization(source: Source) -> dict[str, str]:
    pair = f"{source.public_key}:{source.api_key.get_secret_value()}"
    return {"authorization": f"Basic {base64.b64encode(pair.encode()).decode()}"}


def _iso(when: datetime) -> str:
    return when.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def parse_observation(row: Any) -> tuple[UsageEvent, ...]:
    """Turn an observation into an event; none when it calls no model, or has not ended yet.

    Raises:
        InvalidValue: a field is missing or of another type.
    """
    seen = typed(row, _Observation)
    failed = seen.level == "ERROR"
    if seen.type not in _OPERATIONS or not (failed or seen.endTime or seen.usageDetails):
        return ()
    model = seen.providedModelName or ""
    return (
        UsageEvent(
            event_id=seen.id,
            occurred_at=utc("startTime", seen.startTime),
            vendor=normalise_vendor(_text(seen.metadata, *_PROVIDERS) or vendor_of(model)),
            model=normalise_model(model),
            operation=_OPERATIONS[seen.type],
            status=Status.FAILURE if failed else Status.SUCCESS,
            error_type=classify_error(seen.statusMessage) if failed else None,
            user_id=seen.userId or None,
            team_id=_named(seen, "team", "team_id"),
            feature=_named(seen, "feature"),
            service=_named(seen, "service", "service.name"),
            release=seen.release or _named(seen, "release"),
            prompt_version=None if seen.promptVersion is None else str(seen.promptVersion),
            latency_ms=_latency(seen),
            ttft_ms=_first_token(seen),
            reported_cost_usd=seen.totalCost if seen.totalCost or seen.costDetails else None,
            **_tokens(seen.usageDetails or {}),
        ),
    )


def _tokens(usage: dict[str, Any]) -> Tokens:
    return tokens_of_keys({name: _count(f"usageDetails.{name}", value) for name, value in usage.items()
                           if value is not None})  # fmt: skip


def _count(field: str, value: Any) -> int:
    if isinstance(value, int | float) and not isinstance(value, bool) and value >= 0 and value == value // 1:
        return int(value)
    raise InvalidValue(field, value, "a whole number of tokens")


def _named(seen: _Observation, *names: str) -> str | None:
    """Return what a tag such as `feature:search` says, else the metadata."""
    prefix = f"{names[0]}:"
    tag = next((tag[len(prefix) :] for tag in seen.tags or () if tag.startswith(prefix)), None)
    return tag or _text(seen.metadata, *names)


def _text(metadata: Any, *names: str) -> str | None:
    """Return the first of the names that the metadata or its OpenTelemetry attributes have a value for."""
    if not isinstance(metadata, dict):
        return None
    places = [metadata, *(metadata.get(inner) for inner in ("attributes", "resourceAttributes"))]
    found = (place.get(name) for place in places if isinstance(place, dict) for name in names)
    return next((str(value) for value in found if isinstance(value, str | int) and value != ""), None)


def _latency(seen: _Observation) -> float | None:
    if seen.latency is not None:
        return round(seen.latency * 1000, 3)
    if seen.endTime is None:
        return None
    taken = utc("endTime", seen.endTime) - utc("startTime", seen.startTime)
    return round(taken.total_seconds() * 1000, 3)


def _first_token(seen: _Observation) -> float | None:
    """Return None for an answer that came at once: some SDKs set its end for its first token."""
    at_once = seen.endTime is not None and seen.completionStartTime == seen.endTime
    return None if at_once or seen.timeToFirstToken is None else round(seen.timeToFirstToken * 1000, 3)


def parse_score(row: Any) -> tuple[Score, ...]:
    """Turn a score into one of ours, a yes into 1; none when it is a word.

    Raises:
        InvalidValue: a field is missing or of another type.
    """
    seen = typed(row, _Score)
    if seen.dataType in _VALUELESS:
        return ()
    if seen.dataType not in {"NUMERIC", "BOOLEAN"}:
        raise InvalidValue("dataType", seen.dataType, "NUMERIC, BOOLEAN, CATEGORICAL, TEXT or CORRECTION")
    if not isinstance(seen.value, int | float) or (isinstance(seen.value, bool) and seen.dataType == "NUMERIC"):
        raise InvalidValue("value", seen.value, f"what {seen.dataType} means")
    of = seen.subject.id if seen.subject and seen.subject.kind == "observation" else seen.observationId
    return (
        Score(
            score_id=seen.id,
            occurred_at=utc("timestamp", seen.timestamp),
            metric=seen.name,
            value=_float(seen.value),
            source=_SCORERS.get(seen.source, seen.source.lower()),
            event_id=of,
            judge_version=_text(seen.metadata, "judge_version"),
            prompt_version=_text(seen.metadata, "prompt_version"),
        ),
    )


def _float(value: float) -> float:
    try:
        return float(value)
    except OverflowError:
        raise InvalidValue("value", value, "a finite number within a billion") from None


def _row(source: Source, row: Any) -> tuple[Record, ...]:  # noqa: ARG001  the kind's signature
    is_score = isinstance(row, dict) and "dataType" in row
    return parse_score(row) if is_score else parse_observation(row)


KIND = ApiKind(pages, needs=("public_key", "api_key"), row=_row)
