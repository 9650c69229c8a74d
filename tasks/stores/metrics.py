"""The sums that metrics are worked out from: of a window, by a dimension or of everything (key None).

After it: `ops.monitoring.metrics`. What is late or corrected counts at once: requests, costs, caches and models, and
latencies by model, release and vendor, are from the roll-ups that ingestion keeps, as far as whole hours go; all else,
which no roll-up has, is from the window's own events.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from ops.cost.scopes import ScopeKind
from ops.monitoring.measured import (
    InUse,
    Known,
    MonthEnd,
    Pages,
    RequestSums,
    Scorer,
    ScoreSums,
    SentSums,
    UserSums,
    known_part,
)
from ops.monitoring.metrics import SCORES
from ops.monitoring.readings import Dimension, Source
from ops.proportions import Share
from ops.usage import ErrorType
from ops.window import Window, whole_hours
from tasks.stores import latencies, usage, vendor_statuses
from tasks.stores.latencies import values_of
from tasks.stores.sql import statement
from tasks.stores.tables import cost_projections, scores, usage_daily_users, usage_events, usage_hourly

_HOUR = timedelta(hours=1)
ByKey = Mapping[str | None, Any]


def read(connection: sa.Connection, tenant: str, source: Source, window: Window, by: Dimension | None) -> ByKey:
    """Return the sums of a source by key; a window or a key without any has none."""
    return _READERS[source](connection, tenant, window, by)


def requests(
    connection: sa.Connection, tenant: str, window: Window, by: Dimension | None
) -> dict[str | None, RequestSums]:
    """Sum up the requests of a window and what they cost."""
    known = _known(connection, tenant, window, is_rolled_up=True)
    return {
        row.key: RequestSums(
            known=known, requests=row.requests, cost_usd=row.cost_usd, priced=row.priced, answers=row.answers,
            answers_told=row.answers_told, answer_hits=row.answer_hits, embeddings=row.embeddings,
            embeddings_told=row.embeddings_told, embedding_hits=row.embedding_hits,
        )
        for row in _request_rows(connection, tenant, known.part, by)
    }  # fmt: skip


def _request_rows(
    connection: sa.Connection, tenant: str, window: Window, by: Dimension | None, *, is_by_version: bool = False
) -> Iterable[Any]:
    """Sum up requests: of whole hours from the roll-up, which has every dimension, of the rest from events."""
    hours, _ = whole_hours(window)
    values = {**values_of(tenant, window, by), "first": hours.start, "last": hours.end, "is_by_version": is_by_version}
    return connection.execute(statement("metric_requests"), values)


def sent(connection: sa.Connection, tenant: str, window: Window, by: Dimension | None) -> dict[str | None, SentSums]:
    """Sum up the sent requests of a window: how they failed, and what else no roll-up has."""
    known = _known(connection, tenant, window, is_rolled_up=False)
    rows = connection.execute(statement("metric_sent"), values_of(tenant, known.part, by))
    return {
        row.key: SentSums(
            known=known, sent=row.sent, failures={name.value: getattr(row, name) for name in ErrorType},
            busy_ms=row.busy_ms, timed=row.timed,
            prompts_cached=Share(row.cached_tokens, row.input_tokens), prompts=row.prompts,
        )
        for row in rows
    }  # fmt: skip


def scored(
    connection: sa.Connection, tenant: str, window: Window, by: Dimension | None
) -> dict[str | None, dict[str, dict[Scorer, ScoreSums]]]:
    """Sum up the scores of a window that metrics are made of, by their names and by who gave them."""
    key = sa.null() if by is None else scores.c[by.value]
    apart = (scores.c.metric, scores.c.source, scores.c.judge_version)
    rows = connection.execute(
        sa.select(
            key.label("key"), *apart, sa.func.count().label("n"), sa.func.sum(scores.c.value).label("total"),
            sa.func.count().filter(scores.c.value > 0).label("above_zero"),
        )
        .where(scores.c.tenant_id == tenant, scores.c.metric.in_(SCORES), *_within(scores.c.occurred_at, window))
        .group_by(*apart, *(() if by is None else (key,)))
    )  # fmt: skip
    found: dict[str | None, dict[str, dict[Scorer, ScoreSums]]] = {}
    for row in rows:
        by_scorer = found.setdefault(row.key, {}).setdefault(row.metric, {})
        by_scorer[Scorer(row.source, row.judge_version)] = ScoreSums(row.n, row.total, row.above_zero)
    return found


def users(
    connection: sa.Connection, tenant: str, window: Window, by: Dimension | None  # noqa: ARG001  the table has none
) -> dict[str | None, UserSums]:  # fmt: skip
    """Sum up what the known users of whole UTC days cost, and count the days from the first usage on."""
    kept = usage_daily_users.c
    usd, n = connection.execute(
        sa.select(sa.func.sum(kept.cost_usd), sa.func.count(sa.distinct(kept.user_id))).where(
            kept.tenant_id == tenant, *_within(kept.day, window), kept.events > kept.unpriced_events
        )
    ).one()
    began = _first_hour(connection, tenant)
    days = sum(began is not None and began <= day for day in window.days())
    return {None: UserSums(usd, n, days)} if n else {}


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


def models(connection: sa.Connection, tenant: str, window: Window, by: Dimension | None) -> dict[str | None, InUse]:
    """Count requests by model."""
    rows = _request_rows(connection, tenant, window, by, is_by_version=True)
    return _in_use((row.key, row.version, row.requests) for row in rows)


def prompts(connection: sa.Connection, tenant: str, window: Window, by: Dimension | None) -> dict[str | None, InUse]:
    """Count requests by prompt version, which no roll-up has."""
    key = sa.null() if by is None else usage_events.c[by.value]
    version = usage_events.c.prompt_version
    rows = connection.execute(
        sa.select(key.label("key"), version, sa.func.count())
        .where(usage_events.c.tenant_id == tenant, *_within(usage_events.c.occurred_at, window))
        .where(version.is_not(None))
        .group_by(version, *(() if by is None else (key,)))
    )
    return _in_use(row._tuple() for row in rows)


def _in_use(rows: Iterable[tuple[str | None, str, int]]) -> dict[str | None, InUse]:
    found: dict[str | None, dict[str, int]] = {}
    for key, version, n in rows:
        found.setdefault(key, {})[version] = n
    return {key: InUse(requests) for key, requests in found.items()}


def pages(connection: sa.Connection, tenant: str, window: Window, by: Dimension | None) -> dict[str | None, Pages]:
    """Return what vendors' status pages say at the end of the window."""
    rows = vendor_statuses.known(connection, tenant)
    found = {vendor: vendor_statuses.reading(row, window.end) for vendor, row in rows.items()}
    readings = {vendor: reading for vendor, reading in found.items() if reading is not None}
    if by is not None:
        return {vendor: Pages({vendor: reading}) for vendor, reading in readings.items()}
    return {None: Pages(readings)} if readings else {}


def _known(connection: sa.Connection, tenant: str, window: Window, *, is_rolled_up: bool) -> Known:
    began = _first_hour(connection, tenant)
    if began is not None and began + _HOUR > window.start:
        began = _first_event(connection, tenant, Window(began, began + _HOUR)) or began
    return known_part(window, began, usage.floor(connection, tenant), is_rolled_up=is_rolled_up)


def _first_hour(connection: sa.Connection, tenant: str) -> datetime | None:
    first = sa.select(sa.func.min(usage_hourly.c.hour)).where(usage_hourly.c.tenant_id == tenant)
    return connection.execute(first).scalar()


def _first_event(connection: sa.Connection, tenant: str, window: Window) -> datetime | None:
    time = usage_events.c.occurred_at
    first = sa.select(sa.func.min(time)).where(usage_events.c.tenant_id == tenant, *_within(time, window))
    return connection.execute(first).scalar()


def _within(time: sa.ColumnElement[Any], window: Window) -> tuple[sa.ColumnElement[bool], ...]:
    return time >= window.start, time < window.end


_READERS: Mapping[Source, Callable[[sa.Connection, str, Window, Dimension | None], ByKey]] = {
    Source.REQUESTS: requests,
    Source.SENT: sent,
    Source.LATENCY: latencies.latency,
    Source.FIRST_TOKEN: latencies.first_token,
    Source.SCORES: scored,
    Source.USER_DAY: users,
    Source.USER_MONTH: users,
    Source.PROJECTION: projected,
    Source.MODELS: models,
    Source.PROMPTS: prompts,
    Source.PAGES: pages,
}
