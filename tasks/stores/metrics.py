"""The sums that metrics are worked out from: of a window, by a dimension or of everything (key None).

After it: `ops.monitoring.metrics`. What is late or corrected counts at once: latencies by model, release and vendor are
from the roll-up that ingestion keeps, as far as whole hours go, all else from the window's own events.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta
from typing import Any

import sqlalchemy as sa

from ops.cost.scopes import ScopeKind
from ops.monitoring.histogram import Histogram
from ops.monitoring.measured import EventSums, InUse, MonthEnd, Pages, ScoreSums, UserSums, cached
from ops.monitoring.metrics import SCORES
from ops.monitoring.readings import Dimension, Source
from ops.proportions import Share
from ops.usage import ErrorType
from ops.window import Window, floor_hour
from tasks.stores import vendor_statuses
from tasks.stores.sql import statement
from tasks.stores.tables import cost_projections, scores, usage_daily_users, usage_events

_HOUR = timedelta(hours=1)
ByKey = Mapping[str | None, Any]


def read(connection: sa.Connection, tenant: str, source: Source, window: Window, by: Dimension | None) -> ByKey:
    """Return the sums of a source by key; a window or a key without any has none."""
    return _READERS[source](connection, tenant, window, by)


def _values(tenant: str, window: Window, by: Dimension | None) -> dict[str, Any]:
    return {"tenant": tenant, "start": window.start, "end": window.end, "by": by}


def events(connection: sa.Connection, tenant: str, window: Window, by: Dimension | None) -> dict[str | None, EventSums]:
    """Sum up the requests of a window."""
    rows = connection.execute(statement("metric_events"), _values(tenant, window, by))
    return {row.key: _event_sums(row, window) for row in rows}


def _event_sums(row: Any, window: Window) -> EventSums:
    return EventSums(
        minutes=window.length / timedelta(minutes=1), requests=row.requests, sent=row.sent,
        failures={name.value: getattr(row, name) for name in ErrorType},
        busy_ms=row.busy_ms, timed=row.timed, cost_usd=row.cost_usd, priced=row.priced,
        answers_cached=cached(row.answer_hits, row.answers_told, row.answers),
        embeddings_cached=cached(row.embedding_hits, row.embeddings_told, row.embeddings),
        prompts_cached=Share(row.cached_tokens, row.input_tokens), prompts=row.prompts,
    )  # fmt: skip


def latency(
    connection: sa.Connection, tenant: str, window: Window, by: Dimension | None
) -> dict[str | None, Histogram]:
    """Count latencies: whole hours from the roll-up, what is left at the ends of the window from events."""
    hours, rest = _divided(window, is_rolled_up=by is not Dimension.FEATURE)
    found: dict[str | None, Histogram] = {}
    for part in (_of_hours(connection, tenant, hours, by), *(_of_events(connection, tenant, end, by) for end in rest)):
        for key, histogram in part.items():
            found[key] = found.get(key, Histogram()).plus(histogram)
    return found


def _divided(window: Window, *, is_rolled_up: bool) -> tuple[Window, list[Window]]:
    """Return the whole hours of a window that are read from the roll-up, and the rest of it."""
    first, last = floor_hour(window.start + _HOUR - timedelta.resolution), floor_hour(window.end)
    if not is_rolled_up or first >= last:
        return Window(window.start, window.start), [window]
    return Window(first, last), [end for end in (Window(window.start, first), Window(last, window.end)) if end.length]


def _of_hours(
    connection: sa.Connection, tenant: str, hours: Window, by: Dimension | None
) -> dict[str | None, Histogram]:
    if not hours.length:
        return {}
    rows = connection.execute(statement("metric_largest"), _values(tenant, hours, by))
    largest = {row.key: row.largest for row in rows}
    bins = bins_of_hours(connection, tenant, hours, by)
    return {key: Histogram(counts, largest.get(key)) for key, counts in bins.items()}


def bins_of_hours(
    connection: sa.Connection, tenant: str, hours: Window, by: Dimension | None
) -> dict[str | None, dict[int, int]]:
    """Count latencies of whole hours by bin, from the roll-up alone; it has no features."""
    return _bins(connection.execute(statement("metric_hours"), _values(tenant, hours, by)))


def first_token(
    connection: sa.Connection, tenant: str, window: Window, by: Dimension | None
) -> dict[str | None, Histogram]:
    """Count times to first token."""
    return _of_events(connection, tenant, window, by, "ttft_ms")


def _of_events(
    connection: sa.Connection, tenant: str, window: Window, by: Dimension | None, duration: str = "latency_ms"
) -> dict[str | None, Histogram]:
    values = {**_values(tenant, window, by), "duration": duration}
    rows = connection.execute(statement("metric_bins"), values).all()
    largest: dict[str | None, float] = {}
    for row in rows:
        largest[row.key] = max(row.largest, largest.get(row.key, 0.0))
    return {key: Histogram(counts, largest[key]) for key, counts in _bins(rows).items()}


def _bins(rows: Iterable[Any]) -> dict[str | None, dict[int, int]]:
    found: dict[str | None, dict[int, int]] = {}
    for row in rows:
        found.setdefault(row.key, {})[row.bin] = row.n
    return found


def scored(
    connection: sa.Connection, tenant: str, window: Window, by: Dimension | None
) -> dict[str | None, dict[str, ScoreSums]]:
    """Sum up the scores of a window that metrics are made of, by their names."""
    key = sa.null() if by is None else scores.c[by.value]
    rows = connection.execute(
        sa.select(
            key.label("key"), scores.c.metric, sa.func.count().label("n"), sa.func.sum(scores.c.value).label("total"),
            sa.func.count().filter(scores.c.value > 0).label("above_zero"),
        )
        .where(scores.c.tenant_id == tenant, scores.c.metric.in_(SCORES), *_within(scores.c.occurred_at, window))
        .group_by(scores.c.metric, *(() if by is None else (key,)))
    )  # fmt: skip
    found: dict[str | None, dict[str, ScoreSums]] = {}
    for row in rows:
        found.setdefault(row.key, {})[row.metric] = ScoreSums(row.n, row.total, row.above_zero)
    return found


def users(
    connection: sa.Connection, tenant: str, window: Window, by: Dimension | None  # noqa: ARG001  the table has none
) -> dict[str | None, UserSums]:  # fmt: skip
    """Sum up what the known users of whole UTC days cost."""
    kept = usage_daily_users.c
    usd, n = connection.execute(
        sa.select(sa.func.sum(kept.cost_usd), sa.func.count(sa.distinct(kept.user_id))).where(
            kept.tenant_id == tenant, *_within(kept.day, window), kept.events > kept.unpriced_events
        )
    ).one()
    return {None: UserSums(usd, n)} if n else {}


def projected(
    connection: sa.Connection, tenant: str, window: Window, by: Dimension | None
) -> dict[str | None, MonthEnd]:
    """Return what the month of the window's end was last projected to cost, in the day before that."""
    kept = cost_projections.c
    scope = ScopeKind.TOTAL if by is None else ScopeKind(by.value)
    last = sa.select(sa.func.max(kept.as_of)).where(
        kept.tenant_id == tenant, kept.as_of <= window.end, kept.as_of > window.end - timedelta(days=1)
    )
    rows = connection.execute(
        sa.select(kept.key, kept.month_end_usd, kept.history_days).where(
            kept.tenant_id == tenant, kept.scope == scope.value, kept.as_of == last.scalar_subquery()
        )
    )
    return {row.key or None: MonthEnd(row.month_end_usd, row.history_days) for row in rows}


def _in_use(column: sa.Column[str]) -> Callable[..., dict[str | None, InUse]]:
    def read(connection: sa.Connection, tenant: str, window: Window, by: Dimension | None) -> dict[str | None, InUse]:
        """Count requests by the version that served them."""
        key = sa.null() if by is None else usage_events.c[by.value]
        rows = connection.execute(
            sa.select(key.label("key"), column.label("version"), sa.func.count().label("n"))
            .where(usage_events.c.tenant_id == tenant, *_within(usage_events.c.occurred_at, window))
            .where(column.is_not(None))
            .group_by(column, *(() if by is None else (key,)))
        )
        found: dict[str | None, dict[str, int]] = {}
        for row in rows:
            found.setdefault(row.key, {})[row.version] = row.n
        return {key: InUse(requests) for key, requests in found.items()}

    return read


def pages(connection: sa.Connection, tenant: str, window: Window, by: Dimension | None) -> dict[str | None, Pages]:
    """Return what vendors' status pages say at the end of the window."""
    rows = vendor_statuses.known(connection, tenant)
    found = {vendor: vendor_statuses.reading(row, window.end) for vendor, row in rows.items()}
    readings = {vendor: reading for vendor, reading in found.items() if reading is not None}
    if by is not None:
        return {vendor: Pages({vendor: reading}) for vendor, reading in readings.items()}
    return {None: Pages(readings)} if readings else {}


def _within(time: sa.ColumnElement[Any], window: Window) -> tuple[sa.ColumnElement[bool], ...]:
    return time >= window.start, time < window.end


_READERS: Mapping[Source, Callable[[sa.Connection, str, Window, Dimension | None], ByKey]] = {
    Source.EVENTS: events,
    Source.LATENCY: latency,
    Source.FIRST_TOKEN: first_token,
    Source.SCORES: scored,
    Source.USER_DAY: users,
    Source.USER_MONTH: users,
    Source.PROJECTION: projected,
    Source.MODELS: _in_use(usage_events.c.model),
    Source.PROMPTS: _in_use(usage_events.c.prompt_version),
    Source.PAGES: pages,
}
