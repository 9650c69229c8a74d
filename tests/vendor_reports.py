"""What a vendor knows of an organisation, how OpenAI and Anthropic report it on loopback, and what is stored of it.

A test adds rows to a `Book`, changes them and takes them away; the answers group, cut, page and refuse as the vendors
document it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa

from tasks.load_window import poll
from tasks.settings import Source
from tasks.stores.tables import vendor_costs, vendor_usage
from tasks.write_usage import Loaded, Target
from tests.api_server import Asked

NOW = datetime(2026, 3, 5, 12, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
MIDNIGHT = NOW - 12 * HOUR
TENANT = "default"
ADMIN_KEY = "sk-admin-0123456789"
Answer = tuple[int, Any]
Row = dict[str, Any]  # "at", the endpoint's dimensions, and what is counted


@dataclass
class Book:
    """Rows by endpoint."""

    rows: dict[str, list[Row]] = field(default_factory=dict)

    def add(self, endpoint: str, at: datetime, **row: Any) -> Row:
        """Add a row; the test may change what is returned."""
        self.rows.setdefault(endpoint, []).append({"at": at, **row})
        return self.rows[endpoint][-1]

    def remove(self, endpoint: str, row: Row) -> None:
        """Take a row away."""
        self.rows[endpoint].remove(row)


def load(engine: sa.Engine, source: Source, now: datetime = NOW, tenant: str = TENANT) -> Loaded:
    """Poll a source; the clock stands still."""
    return poll(Target(engine, tenant), source, now, lambda: now)


def rows_of(engine: sa.Engine, table: sa.Table) -> list[Any]:
    """Return a table's rows in the order of its primary key."""
    with engine.connect() as connection:
        return list(connection.execute(sa.select(table).order_by(*table.primary_key)))


def reports(engine: sa.Engine) -> list[dict[str, Any]]:
    """Return all that is stored of vendors' reports, but not when it was fetched."""
    both = [row._asdict() for table in (vendor_usage, vendor_costs) for row in rows_of(engine, table)]
    return [{name: value for name, value in row.items() if name != "fetched_at"} for row in both]


OPENAI_GROUPS = {
    "completions": {"project_id", "user_id", "api_key_id", "model", "batch", "service_tier", "api_source"},
    "decisions": {"project_id", "user_id", "api_key_id", "model", "batch", "service_tier", "api_source"},
    "embeddings": {"project_id", "user_id", "api_key_id", "model"},
    "moderations": {"project_id", "user_id", "api_key_id", "model"},
    "costs": {"project_id", "line_item", "api_key_id"},
}
ANTHROPIC_GROUPS = {
    "messages": {"model", "workspace_id", "service_tier", "context_window", "inference_geo", "api_key_id"},
    "costs": {"workspace_id", "description"},
}
BY_DESCRIPTION = ("model", "cost_type", "token_type", "service_tier", "context_window", "inference_geo")


def openai(book: Book) -> Callable[[Asked], Answer]:
    """Answer as api.openai.com."""

    def answer(asked: Asked) -> Answer:
        if asked.headers.get("authorization") != f"Bearer {ADMIN_KEY}":
            return 401, {"error": {"message": f"Incorrect API key provided: {asked.headers.get('authorization')}"}}
        endpoint = asked.path.removeprefix("/v1/organization/").removeprefix("usage/")
        groups, most = asked.query["group_by[]"], 180 if endpoint == "costs" else 31
        if not set(groups) <= OPENAI_GROUPS.get(endpoint, set()) or int(asked.one("limit")) > most:
            return 400, {"error": {"message": "Invalid query"}}
        start, end = (datetime.fromtimestamp(int(asked.one(name)), UTC) for name in ("start_time", "end_time"))
        rows = [row for row in book.rows.get(endpoint, []) if start <= row["at"] < end]
        dimensions = OPENAI_GROUPS[endpoint]
        buckets = [
            {"object": "bucket", "start_time": int(day.timestamp()), "end_time": int((day + DAY).timestamp()),
             "results": [*_grouped(_of(rows, day), groups, dimensions)]}
            for day in _days(start, end)
        ]  # fmt: skip
        return 200, {"object": "page", **_page(buckets, asked)}

    return answer


def anthropic(book: Book) -> Callable[[Asked], Answer]:
    """Answer as api.anthropic.com."""

    def answer(asked: Asked) -> Answer:
        if asked.headers.get("x-api-key") != ADMIN_KEY or asked.headers.get("anthropic-version") != "2023-06-01":
            return 401, {"type": "error", "error": {"message": f"invalid x-api-key {asked.headers.get('x-api-key')}"}}
        endpoint = "costs" if asked.path.endswith("cost_report") else asked.path.rpartition("/")[2]
        groups = asked.query["group_by[]"]
        if not set(groups) <= ANTHROPIC_GROUPS[endpoint] or int(asked.one("limit")) > 31:
            return 400, {"type": "error", "error": {"message": "Invalid query"}}
        start, end = (datetime.fromisoformat(asked.one(name)) for name in ("starting_at", "ending_at"))
        days = [day for day in _days(start, end) if day + DAY <= end]  # only buckets that end by then
        by = [*groups, *(BY_DESCRIPTION if "description" in groups else ())]
        dimensions = {*ANTHROPIC_GROUPS[endpoint], *(BY_DESCRIPTION if endpoint == "costs" else ())}
        buckets = [
            {"starting_at": f"{day:%Y-%m-%dT%H:%M:%SZ}", "ending_at": f"{day + DAY:%Y-%m-%dT%H:%M:%SZ}",
             "results": [*_grouped(_of(book.rows.get(endpoint, []), day), by, dimensions)]}
            for day in days
        ]  # fmt: skip
        return 200, _page(buckets, asked)

    return answer


def _days(start: datetime, end: datetime) -> list[datetime]:
    midnight = start.replace(hour=0, minute=0, second=0, microsecond=0)
    return [midnight + DAY * number for number in range((end - midnight + DAY - timedelta(microseconds=1)) // DAY)]


def _of(rows: Iterable[Row], day: datetime) -> list[Row]:
    return [row for row in rows if day <= row["at"] < day + DAY]


def _grouped(rows: Iterable[Row], by: Sequence[str], dimensions: set[str]) -> Iterable[Row]:
    """Add rows up by what is asked for; every other dimension is null."""
    groups: dict[tuple[Any, ...], Row] = {}
    for row in rows:
        counts = {name: value for name, value in row.items() if name != "at" and name not in dimensions}
        key = tuple(row.get(name) for name in by)
        known = groups.setdefault(key, {**dict.fromkeys(sorted(dimensions)), **dict(zip(by, key, strict=True))})
        for name, value in counts.items():
            known[name] = _added(known[name], value) if name in known else value
    return groups.values()


def _added(one: Any, other: Any) -> Any:
    if isinstance(one, dict):
        return {name: _added(one[name], other[name]) for name in one}
    return one if isinstance(one, str) else one + other


def _page(buckets: list[Row], asked: Asked) -> Row:
    first = int(asked.one("page", "page_0").removeprefix("page_"))
    behind = first + int(asked.one("limit"))
    has_more = behind < len(buckets)
    return {"data": buckets[first:behind], "has_more": has_more, "next_page": f"page_{behind}" if has_more else None}
