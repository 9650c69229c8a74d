"""Scores by series and day: what baselines are made of, and what is compared with them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import sqlalchemy as sa

from ops.monitoring.baselines import DayScores, Series
from ops.window import Window
from tasks.stores.tables import scores

_value = scores.c.value
_KEY = [scores.c[name] for name in ("metric", "model", "prompt_version", "judge_version")]


def by_day(
    connection: sa.Connection, tenant: str, metrics: Iterable[str], window: Window
) -> dict[Series, list[DayScores]]:
    """Return the days of every series that was scored in the window, oldest first."""
    day = sa.cast(
        sa.func.timezone(sa.literal_column("'UTC'"), scores.c.occurred_at), sa.Date
    )  # as the statistics say it
    squares = sa.func.var_pop(_value) * sa.func.count()
    rows = connection.execute(
        sa.select(*_KEY, day, sa.func.count(), sa.func.avg(_value), squares)
        .where(*_of(tenant, metrics, window))
        .group_by(*_KEY, day)
        .order_by(*_KEY, day)
    )
    found: dict[Series, list[DayScores]] = {}
    for row in rows:
        found.setdefault(Series(*row[:4]), []).append(DayScores(*row[4:]))
    return found


def means(
    connection: sa.Connection, tenant: str, metrics: Iterable[str], window: Window
) -> dict[Series, tuple[float, int]]:
    """Return (mean, n) of every series that was scored in the window."""
    rows = connection.execute(
        sa.select(*_KEY, sa.func.avg(_value), sa.func.count()).where(*_of(tenant, metrics, window)).group_by(*_KEY)
    )
    return {Series(*row[:4]): (row[4], row[5]) for row in rows}


def _of(tenant: str, metrics: Iterable[str], window: Window) -> Sequence[sa.ColumnElement[Any]]:
    return (
        scores.c.tenant_id == tenant,
        scores.c.metric.in_(list(metrics)),
        scores.c.occurred_at >= window.start,
        scores.c.occurred_at < window.end,
    )
