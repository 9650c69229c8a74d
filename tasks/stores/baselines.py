"""Pinned baselines as rows: the newest of a series is in force, the older ones tell what was, since when and why."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from ops.monitoring.baselines import Pinned, Series
from ops.window import Window
from tasks.stores.tables import quality_baselines

ITSELF = "(automatic)"  # who pins the first baselines; no user has such a name
_KEY = [quality_baselines.c[name] for name in ("metric", "model", "prompt_version", "judge_version")]


@dataclass(frozen=True, slots=True)
class Baseline:
    """A series' reference: the scores it describes, and who accepted it when and why."""

    series: Series
    pinned: Pinned
    window: Window  # whole UTC days
    accepted_at: datetime
    accepted_by: str
    reason: str


def in_force(connection: sa.Connection, tenant: str, metrics: Iterable[str], now: datetime) -> dict[Series, Baseline]:
    """Return the newest baseline of every series of the metrics, as of `now`."""
    table = quality_baselines.c
    rows = connection.execute(
        sa.select(quality_baselines)
        .distinct(*_KEY)
        .where(table.tenant_id == tenant, table.metric.in_(list(metrics)), table.accepted_at <= now)
        .order_by(*_KEY, table.accepted_at.desc())
    )
    return {found.series: found for found in map(_baseline, rows)}


def add(connection: sa.Connection, tenant: str, baseline: Baseline) -> None:
    """Put a baseline in force; those before it stay as they are."""
    series, pinned = baseline.series, baseline.pinned
    connection.execute(
        sa.insert(quality_baselines).values(
            tenant_id=tenant, metric=series.metric, model=series.model, prompt_version=series.prompt,
            judge_version=series.judge, mean=pinned.mean, sigma=pinned.sigma, n=pinned.n, days=pinned.days,
            day_sigma=pinned.day_sigma, weekdays=list(pinned.weekdays), starts_at=baseline.window.start,
            ends_at=baseline.window.end, accepted_at=baseline.accepted_at, accepted_by=baseline.accepted_by,
            reason=baseline.reason,
        )
    )  # fmt: skip


def _baseline(row: sa.Row[Any]) -> Baseline:
    return Baseline(
        series=Series(row.metric, row.model, row.prompt_version, row.judge_version),
        pinned=Pinned(row.mean, row.sigma, row.n, row.days, row.day_sigma, tuple(row.weekdays)),
        window=Window(row.starts_at, row.ends_at),
        accepted_at=row.accepted_at,
        accepted_by=row.accepted_by,
        reason=row.reason,
    )
