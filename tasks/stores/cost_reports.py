"""What reports on cost read: sums of roll-ups, so that many events take no longer than few."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import date
from decimal import Decimal
from typing import Any, NamedTuple

import sqlalchemy as sa

from ops.cost.report import Dimension, Each, PartKey, Spend
from ops.window import Window
from tasks.stores.tables import usage_daily_users, usage_hourly

_HOURLY, _USERS = usage_hourly.c, usage_daily_users.c
_FORMS = {"day": "YYYY-MM-DD", "month": "YYYY-MM"}
_COLUMNS = {
    Dimension.TEAM: _HOURLY.team_id, Dimension.FEATURE: _HOURLY.feature, Dimension.RELEASE: _HOURLY.release,
    Dimension.OPERATION: _HOURLY.operation, Dimension.COMPONENT: _HOURLY.operation, Dimension.VENDOR: _HOURLY.vendor,
    Dimension.MODEL: _HOURLY.vendor + "/" + _HOURLY.model,
}  # fmt: skip


class UserMeans(NamedTuple):
    """How many users there were, and on how many days and in how many months each, added up."""

    users: int
    user_days: int
    user_months: int | None  # None of a span that is not of whole months


def sums(
    connection: sa.Connection, tenant: str, window: Window, by: Dimension | None = None, each: Each | None = None
) -> dict[PartKey, Spend]:
    """Sum up whole UTC days by a dimension and a step of time; of users only those that are known."""
    of_users = by is Dimension.USER
    table, time = (usage_daily_users, _USERS.day) if of_users else (usage_hourly, _HOURLY.hour)
    key = _USERS.user_id if of_users else _key(by)
    at = sa.null() if each is None else _period(time, each.value)
    rows = connection.execute(
        sa.select(key.label("key"), at.label("at"), *_sums(table))
        .where(table.c.tenant_id == tenant, time >= window.start, time < window.end)
        .group_by(*(expression for expression in (key, at) if not isinstance(expression, sa.Null)))
    )
    return {(row.key, row.at): _spend(row) for row in rows if row.events is not None}


def model_sums(
    connection: sa.Connection, tenant: str, window: Window, by: Dimension
) -> dict[PartKey, dict[str, Spend]]:
    """Sum up whole UTC days by a dimension that the hours know, and each of its parts by model."""
    key, model = _key(by), _COLUMNS[Dimension.MODEL]
    rows = connection.execute(
        sa.select(key.label("key"), model.label("model"), *_sums(usage_hourly))
        .where(_HOURLY.tenant_id == tenant, _HOURLY.hour >= window.start, _HOURLY.hour < window.end)
        .group_by(key, model)
    )
    found: dict[PartKey, dict[str, Spend]] = {}
    for row in rows:
        found.setdefault((row.key, None), {})[row.model] = _spend(row)
    return found


def queries(connection: sa.Connection, tenant: str, window: Window, operations: Collection[str]) -> Mapping[date, int]:
    """Count the requests of some operations on every UTC day of a window."""
    day = sa.func.date_trunc("day", _HOURLY.hour, "UTC")
    rows = connection.execute(
        sa.select(day.label("day"), sa.func.sum(_HOURLY.events).label("n"))
        .where(_HOURLY.tenant_id == tenant, _HOURLY.hour >= window.start, _HOURLY.hour < window.end)
        .where(_HOURLY.operation.in_(operations))
        .group_by(day)
    )
    found = {row.day.date(): int(row.n) for row in rows}
    return {day.date(): found.get(day.date(), 0) for day in window.days()}


def user_means(connection: sa.Connection, tenant: str, window: Window) -> UserMeans:
    """Count the known users of a window."""
    months = (
        sa.select(_USERS.user_id, sa.func.count().label("days"))
        .where(_USERS.tenant_id == tenant, _USERS.day >= window.start, _USERS.day < window.end)
        .group_by(_USERS.user_id, _period(_USERS.day, "month"))
        .subquery()
    )
    row = connection.execute(
        sa.select(
            sa.func.count(sa.distinct(months.c.user_id)), sa.func.coalesce(sa.func.sum(months.c.days), 0),
            sa.func.count(),
        )
    ).one()  # fmt: skip
    return UserMeans(int(row[0]), int(row[1]), int(row[2]))


def _key(by: Dimension | None) -> sa.ColumnElement[Any]:
    if by is None:
        return sa.null()
    return _COLUMNS[by] if by in _COLUMNS else _period(_HOURLY.hour, by.value)


def _period(time: sa.ColumnElement[Any], step: str) -> sa.ColumnElement[str]:
    return sa.func.to_char(sa.func.timezone("UTC", time), sa.literal_column(f"'{_FORMS[step]}'"))


def _sums(table: sa.Table) -> list[sa.Label[Any]]:
    of = table.c
    tokens = of.input_tokens + of.output_tokens
    amounts = {
        "events": of.events, "unpriced_events": of.unpriced_events, "usd": of.cost_usd,
        "input_tokens": of.input_tokens, "output_tokens": of.output_tokens,
    }  # fmt: skip
    found = [sa.func.sum(amount).label(name) for name, amount in amounts.items()]
    priced = sa.func.coalesce(sa.func.sum(tokens).filter(of.unpriced_events < of.events), 0)
    return [*found, priced.label("priced_tokens"), *_compared(table)]


def _compared(table: sa.Table) -> list[sa.Label[Any]]:
    names = {"compared_usd": "compared_cost_usd", "reported_usd": "compared_reported_usd"}
    return [
        (sa.func.sum(table.c[column]) if column in table.c else sa.literal(Decimal(0))).label(name)
        for name, column in names.items()
    ]


def _spend(row: Any) -> Spend:
    return Spend(
        events=int(row.events), unpriced_events=int(row.unpriced_events), usd=row.usd,
        input_tokens=int(row.input_tokens), output_tokens=int(row.output_tokens), priced_tokens=int(row.priced_tokens),
        compared_usd=row.compared_usd, reported_usd=row.reported_usd,
    )  # fmt: skip
