"""What the day's page on quality reads: parts of the traffic, the worst answers, latency and errors by day."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from ops.monitoring.metrics import MIN_MEAN
from ops.monitoring.segments import Segment
from ops.proportions import Share
from ops.window import Window
from tasks.stores.sql import statement
from tasks.stores.tables import usage_hourly


@dataclass(frozen=True, slots=True)
class WorstScore:
    """A low score and the request that it is of; `text` is None unless it was asked for."""

    metric: str
    score_id: str
    value: float
    occurred_at: datetime
    event_id: str | None
    source: str
    model: str | None
    route: str | None
    judge_version: str | None
    latency_ms: float | None
    characters: int | None  # None: no text is kept
    text: str | None


@dataclass(frozen=True, slots=True)
class LatencyDay:
    """How long the requests of a UTC day took."""

    day: datetime
    p50_ms: float
    p95_ms: float


def segments(connection: sa.Connection, tenant: str, metrics: Sequence[str], window: Window) -> list[Segment]:
    """Return every part of the scored traffic that has scores enough."""
    rows = connection.execute(statement("score_segments"), {
        "tenant": tenant, "metrics": list(metrics), "start": window.start, "end": window.end, "fewest": MIN_MEAN,
    }).mappings().all()  # fmt: skip
    wholes = {(row["metric"], row["judge"]): row["mean"] for row in rows if row["dimension"] == "all"}
    parts = (row for row in rows if row["dimension"] != "all")
    return [Segment(**row, whole_mean=wholes[row["metric"], row["judge"]]) for row in parts]


def worst_scores(
    connection: sa.Connection, tenant: str, metrics: Sequence[str], window: Window, shown: int, *, texts: bool
) -> list[WorstScore]:
    """Return so many of each metric's lowest scores; the texts of their requests only when they are asked for."""
    rows = connection.execute(statement("worst_scores"), {
        "tenant": tenant, "metrics": list(metrics), "start": window.start, "end": window.end, "shown": shown,
        "texts": texts,
    })  # fmt: skip
    return [WorstScore(**row) for row in rows.mappings()]


def latency_days(connection: sa.Connection, tenant: str, window: Window) -> list[LatencyDay]:
    """Return the latency of every day with successful requests."""
    rows = connection.execute(
        statement("latency_days"), {"tenant": tenant, "start": window.start, "end": window.end}
    ).mappings()
    return [LatencyDay(**row) for row in rows]


def error_days(connection: sa.Connection, tenant: str, window: Window) -> list[tuple[datetime, Share]]:
    """Return failures of requests of every day with requests, those that our own cache answered left out."""
    hours = usage_hourly.c
    day = sa.func.date_trunc("day", hours.hour, "UTC")
    counts = (hours.failures, hours.events - hours.cache_hits)
    failures, sent = (sa.cast(sa.func.sum(count), sa.BigInteger) for count in counts)
    rows = connection.execute(
        sa.select(day, failures, sent)
        .where(hours.tenant_id == tenant, hours.hour >= window.start, hours.hour < window.end)
        .group_by(day)
        .having(sent > 0)
        .order_by(day)
    )
    return [(row[0], Share(row[1], row[2])) for row in rows]
