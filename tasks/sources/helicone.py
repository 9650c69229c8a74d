"""Helicone's requests, polled by the time they began, with the feedback and scores that hang on them.

Traps kept in mind: `cache_enabled` is no hit, a `cache_reference_id` is; what Helicone does not know (tokens, cost,
latency) is 0 there; statuses below 0 are its own; times have no zone and are UTC; large integers are strings; a user
may be called "undefined". Pages are cut by offset, in the order of a time that several requests share: the window's
bounds never move, and each page begins with the requests that share the last one's time.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import msgspec

from ops.errors import InvalidValue, Unavailable
from ops.scores import Score
from ops.token_buckets import Buckets, Tokens, settle
from ops.usage import ErrorType, Status, UsageEvent, classify_error, normalise_model, normalise_vendor
from ops.window import Window
from tasks.settings import Source
from tasks.sources.answers import opened, typed, utc
from tasks.sources.interface import ApiKind, Pager, Record, collect

CLOUD = "https://api.helicone.ai"
PATH = "/v1/request/query-clickhouse"
MOST = 1000
OLD_PAGES = 3  # in a row, without one request that is new: the offset is not heeded
FEEDBACK = "helicone-score-feedback"
_NO_REFERENCE = "00000000-0000-0000-0000-000000000000"
_PENDING = -2
_OWN_STATUS = {-1: ErrorType.TIMEOUT, -4: ErrorType.CONTENT_FILTER}  # -3 is cancelled by the caller
_NOBODY = frozenset({"", "undefined", "null"})
_VENDORS = {"x": "x-ai", "vertex": "google", "google-ai-studio": "google"}
_OPERATIONS = (
    ("embed", "embedding"), ("rerank", "rerank"), ("/images", "image"), ("/audio", "audio"), ("/chat", "chat"),
    ("/messages", "chat"), ("/responses", "chat"), ("generatecontent", "chat"), ("/converse", "chat"),
    ("/completions", "completion"),
)  # fmt: skip


class _Request(msgspec.Struct):
    request_id: str
    request_created_at: str
    provider: str
    response_status: int | None
    prompt_tokens: int | None
    completion_tokens: int | None
    response_model: str | None = None
    model_override: str | None = None
    model: str | None = None
    request_model: str | None = None
    response_created_at: str | None = None
    request_path: str | None = None
    target_url: str | None = None
    request_user_id: str | None = None
    request_properties: dict[str, Any] | None = None
    properties: dict[str, Any] | None = None
    total_tokens: int | None = None
    prompt_cache_read_tokens: int | None = None
    prompt_cache_write_tokens: int | None = None
    delay_ms: float | None = None
    time_to_first_token: float | None = None
    cost: Decimal | None = None
    prompt_id: str | None = None
    prompt_version: str | None = None
    cache_enabled: bool | None = None
    cache_reference_id: str | None = None
    feedback_rating: bool | None = None
    feedback_created_at: str | None = None
    scores: dict[str, Any] | None = None


def pages(source: Source, window: Window) -> Pager:
    """Ask for the requests that began in a window, the oldest first, until a page is empty.

    Raises:
        Unavailable: the pages never end, or the answers have another format.
    """
    from httpx import Request

    url = (source.url or CLOUD).rstrip("/") + PATH
    headers = {"authorization": f"Bearer {source.api_key.get_secret_value()}"}
    limit = min(source.page_size or MOST, MOST)
    asked = {"filter": _between(window), "limit": limit, "sort": {"created_at": "asc"}}
    offset, old_pages = 0, 0
    seen: set[str] = set()
    while True:
        page = opened((yield Request("POST", url, json={**asked, "offset": offset}, headers=headers)))
        if not page.rows:
            return
        rows = {_identity(row): row for row in page.rows}
        fresh = rows.keys() - seen
        old_pages = 0 if fresh else old_pages + 1
        if old_pages == OLD_PAGES:
            raise Unavailable(page.where, "it gives the same requests again: its pages never end")
        seen |= fresh
        yield collect(page.rows, parse, window.end)
        step = len(fresh) - _tied(rows.values())
        offset += (
            step if step > 0 else len(fresh) or min(len(rows), limit)
        )  # a server may have a lower limit of its own


def _identity(row: Any) -> str:
    known = row.get("request_id") if isinstance(row, dict) else None
    return known if isinstance(known, str) else repr(row)


def _tied(rows: Iterable[Any]) -> int:
    """Count the rows with the page's last time: among these the next page may have another order."""
    times = [str(row.get("request_created_at")) for row in rows if isinstance(row, dict)]
    return times.count(max(times, default=""))


def _between(window: Window) -> dict[str, Any]:
    leaves = (("gte", window.start), ("lt", window.end))
    left, right = ({"request_response_rmt": {"request_created_at": {word: _iso(when)}}} for word, when in leaves)
    return {"left": left, "operator": "and", "right": right}


def _iso(when: datetime) -> str:
    return when.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _is_pending(row: Any) -> bool:
    return isinstance(row, dict) and row.get("response_status") in (_PENDING, str(_PENDING))


def parse(row: Any) -> tuple[Record, ...]:
    """Turn a request into an event and its scores; nothing while it has no answer yet.

    Raises:
        InvalidValue: a field is missing or of another type.
    """
    if _is_pending(row):
        return ()
    seen = typed(row, _Request, strict=False)
    began = _time("request_created_at", seen.request_created_at)
    event = _event(seen, began)
    return (event, *_scores(seen, began, event))


def _event(seen: _Request, began: datetime) -> UsageEvent:
    failure = _failure(seen.response_status)
    hit = _is_hit(seen)
    properties = {**(seen.properties or {}), **(seen.request_properties or {})}
    own = {name.strip().lower(): value for name, value in properties.items()}
    return UsageEvent(
        event_id=seen.request_id,
        occurred_at=began,
        vendor=_vendor(seen.provider),
        model=normalise_model(seen.response_model or seen.model_override or seen.model or seen.request_model or ""),
        operation=_operation(seen),
        status=Status.FAILURE if failure else Status.SUCCESS,
        error_type=failure,
        user_id=None if seen.request_user_id in _NOBODY else seen.request_user_id,
        team_id=_text(own, "team", "team_id", "team-id"),
        feature=_text(own, "feature"),
        service=_text(own, "service"),
        release=_text(own, "release", "version"),
        prompt_version=seen.prompt_version or seen.prompt_id or None,
        latency_ms=seen.delay_ms or None,
        ttft_ms=seen.time_to_first_token or None,
        cache_hit=hit,
        reported_cost_usd=_cost(seen, is_free=bool(hit or failure)),
        **_tokens(seen, is_free=bool(hit or failure)),
    )


def _vendor(provider: str) -> str:
    name = provider.strip().lower()
    return _VENDORS.get(name) or normalise_vendor(name)


def _operation(seen: _Request) -> str:
    path = (seen.request_path or seen.target_url or "").lower()
    return next((operation for mark, operation in _OPERATIONS if mark in path), "other")


def _failure(status: int | None) -> ErrorType | None:
    """Return what went wrong; None when nothing did."""
    if status is not None and 200 <= status < 400:
        return None
    if status is None or status < 400:
        return _OWN_STATUS.get(status or 0, ErrorType.OTHER)
    named = classify_error(status)
    return ErrorType.SERVER if named == ErrorType.OTHER else named


def _is_hit(seen: _Request) -> bool | None:
    """Say whether Helicone's own cache answered; None where it was not to."""
    if seen.cache_reference_id not in (None, "", _NO_REFERENCE, seen.request_id):
        return True
    return False if seen.cache_enabled else None


def _tokens(seen: _Request, *, is_free: bool) -> Tokens:
    """Return the token fields of an event; an answer without any token is one whose tokens nobody counted.

    `prompt_tokens` includes the cache or leaves it out, as the request came in: `total_tokens` tells, and where it is
    the plain sum, the prompt includes what it can hold (see `ops/token_buckets.py`).
    """
    prompt, completion = seen.prompt_tokens, seen.completion_tokens
    read, written = seen.prompt_cache_read_tokens, seen.prompt_cache_write_tokens
    if not (prompt or completion or read or written or is_free):
        prompt = completion = read = written = None
    elif prompt is not None and min(prompt, completion or 0, read or 0, written or 0) >= 0:
        total = prompt + (completion or 0) if seen.total_tokens is None else seen.total_tokens
        prompt, _ = settle(Buckets(prompt, (read or 0, written or 0)), Buckets(completion or 0), total)
    return Tokens(
        input_tokens=prompt,
        cached_tokens=read,
        cache_write_tokens=written,
        cache_write_1h_tokens=None,
        output_tokens=completion,
        reasoning_tokens=None,
    )


def _cost(seen: _Request, *, is_free: bool) -> Decimal | None:
    """Return the cost; 0 is what Helicone says when it cannot tell."""
    return seen.cost if seen.cost or is_free else None


def _text(own: Mapping[str, Any], *names: str) -> str | None:
    found = (own.get(name) for name in names)
    return next((str(value) for value in found if isinstance(value, str | int) and value != ""), None)


def _scores(seen: _Request, began: datetime, event: UsageEvent) -> Iterator[Score]:
    """Yield a request's scores; the feedback of a person is a thumb, wherever it stands."""
    marks = {} if seen.feedback_rating is None else {FEEDBACK: seen.feedback_rating}
    when = seen.feedback_created_at or seen.response_created_at
    scored_at = _time("feedback_created_at", when) if when else began
    for name, mark in {**marks, **(seen.scores or {})}.items():
        value = mark.get("value") if isinstance(mark, dict) else mark
        if value is None:
            continue
        metric = "thumb" if name == FEEDBACK else name.removesuffix("-hcone-bool")
        yield Score(
            score_id=f"{seen.request_id}:{metric}",
            occurred_at=scored_at,
            metric=metric,
            value=_number(f"scores.{name}", value),
            source="user" if metric == "thumb" else "judge" if "-laj-" in name else "api",
            event_id=seen.request_id,
            release=event.release,
            model=event.model,
            feature=event.feature,
        )


def _number(field: str, value: Any) -> float:
    if not isinstance(value, int | float):
        raise InvalidValue(field, value, "a number")
    try:
        return float(value)
    except OverflowError:
        raise InvalidValue(field, value, "a finite number within a billion") from None


def _time(field: str, text: str) -> datetime:
    try:
        when = datetime.fromisoformat(text)
    except ValueError:
        raise InvalidValue(field, text, "an ISO 8601 time") from None
    return utc(field, when if when.tzinfo else when.replace(tzinfo=UTC))


KIND = ApiKind(
    pages,
    needs=("api_key",),
    look_back=timedelta(hours=2),  # feedback comes after the answer
    row=lambda source, row: parse(row),  # noqa: ARG005  the kind's signature
)
