"""Pinned baselines as rows: the newest of a series is in force, the older ones tell what was, since when and why."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from math import isclose
from typing import Any

import sqlalchemy as sa

from ops.monitoring.baselines import Pinned, Series
from ops.window import Window
from tasks.stores.tables import quality_baselines

_LOCK = 0x57A7CB
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

    def is_same(self, other: Baseline) -> bool:
        """Tell whether the other says the same of the same scores; sums of them may differ in their last digits."""
        mine, theirs = self.pinned, other.pinned
        return (
            (self.series, self.window, self.accepted_by, self.reason, mine.n)
            == (other.series, other.window, other.accepted_by, other.reason, theirs.n)
            and isclose(mine.mean, theirs.mean)
            and isclose(mine.sigma, theirs.sigma)
        )


def take_turns(connection: sa.Connection) -> None:
    """Let nobody else pin until the end of the transaction: what is pinned rests on what is in force."""
    connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_LOCK)))


def in_force(
    connection: sa.Connection, tenant: str, metrics: Iterable[str], now: datetime | None = None
) -> dict[Series, Baseline]:
    """Return the newest baseline of every series of the metrics, as of `now` or of all times."""
    table = quality_baselines.c
    rows = connection.execute(
        sa.select(quality_baselines)
        .distinct(*_KEY)
        .where(table.tenant_id == tenant, table.metric.in_(list(metrics)))
        .where(sa.true() if now is None else table.accepted_at <= now)
        .order_by(*_KEY, table.accepted_at.desc())
    )
    return {found.series: found for found in map(_baseline, rows)}


def history(connection: sa.Connection, tenant: str, metric: str | None = None) -> list[Baseline]:
    """Return all baselines, of one metric or of every one, by series and the newest first."""
    table = quality_baselines.c
    query = sa.select(quality_baselines).where(table.tenant_id == tenant).order_by(*_KEY, table.accepted_at.desc())
    rows = connection.execute(query if metric is None else query.where(table.metric == metric))
    return [_baseline(row) for row in rows]


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
