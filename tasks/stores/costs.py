"""Cost by day of everything and of its parts, and the projections made of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from ops.cost.budgets import Period
from ops.cost.pricing import TokenSums
from ops.cost.projection import Method, Projection, Spread
from ops.cost.scopes import Scope, ScopeKind
from ops.cost.status import Forecast, Spent
from ops.window import Window, floor_day, floor_hour
from tasks.stores.sql import statement
from tasks.stores.tables import cost_projections, usage_events, usage_hourly

HISTORY = timedelta(days=92)  # what a projection looks at, and the whole of a month
_HOURS_HISTORY = timedelta(days=28)
_ENDS = ("low80", "high80", "low95", "high95")
Ratios = Mapping[tuple[datetime, str, str], Decimal]  # by UTC midnight, vendor and model


class DayCost(NamedTuple):
    """What a UTC day cost at today's prices (None: nothing of it has a price), and what its part of the month did."""

    cost_usd: Decimal | None
    paid_usd: Decimal
    unpriced_events: int = 0  # of its part of the month
    hour_usd: Decimal = Decimal(0)  # of it, what the present hour cost


def scope_days(
    connection: sa.Connection, tenant: str, now: datetime, ratios: Ratios, month: datetime,
    length: timedelta = HISTORY,
) -> dict[Scope, dict[datetime, DayCost]]:  # fmt: skip
    """Return the cost by UTC midnight of the total and of every team, feature and model, up to `now`.

    What was paid is that of the full hours since the month began.
    """
    keys = list(ratios)
    rows = connection.execute(
        statement("scope_days"),
        {
            "tenant": tenant, "start": floor_day(now) - length, "end": now, "month": month,
            "this_hour": floor_hour(now),
            "days": [key[0] for key in keys], "vendors": [key[1] for key in keys], "models": [key[2] for key in keys],
            "ratios": list(ratios.values()),
        },
    )  # fmt: skip
    found: dict[Scope, dict[datetime, DayCost]] = {}
    for row in rows:
        if row.scope == ScopeKind.TOTAL or row.key:
            cost = DayCost(row.cost_usd, row.paid_usd, int(row.unpriced_events), row.hour_usd)
            found.setdefault(Scope(ScopeKind(row.scope), row.key), {})[row.day] = cost
    return found


def scope_hours(connection: sa.Connection, tenant: str, now: datetime) -> dict[Scope, list[float]]:
    """Return what the 24 hours of a UTC day have of four weeks' days, each of which is worth 1, by scope."""
    today = floor_day(now)
    parameters = {"tenant": tenant, "start": today - _HOURS_HISTORY, "end": today}
    found: dict[Scope, list[float]] = {}
    for row in connection.execute(statement("scope_hours"), parameters):
        if row.scope == ScopeKind.TOTAL or row.key:
            found.setdefault(Scope(ScopeKind(row.scope), row.key), [0.0] * 24)[row.hour] = row.worth
    return found


def model_days(
    connection: sa.Connection, tenant: str, now: datetime, length: timedelta = HISTORY
) -> dict[tuple[datetime, str, str], TokenSums]:
    """Return what every model used on every full UTC day before `now`."""
    hourly = usage_hourly.c
    day = sa.func.date_trunc("day", hourly.hour, "UTC").label("day")
    names = ("input_tokens", "cached_tokens", "cache_write_tokens", "output_tokens")
    sums = [sa.func.sum(hourly[name]).label(name) for name in ("events", *names)]
    rows = connection.execute(
        sa.select(day, hourly.vendor, hourly.model, *sums)
        .where(hourly.tenant_id == tenant, hourly.hour >= floor_day(now) - length, hourly.hour < floor_day(now))
        .group_by(day, hourly.vendor, hourly.model)
    )
    return {
        (row.day, row.vendor, row.model): TokenSums(int(row.events), *(int(getattr(row, name)) for name in names))
        for row in rows
    }


def spent(connection: sa.Connection, tenant: str, window: Window) -> Decimal:
    """Return what the events of a window cost, to the microsecond."""
    events = usage_events.c
    total = connection.execute(
        sa.select(sa.func.coalesce(sa.func.sum(events.cost_usd), 0)).where(
            events.tenant_id == tenant, events.occurred_at >= window.start, events.occurred_at < window.end
        )
    ).scalar_one()
    return Decimal(total)


def totals(connection: sa.Connection, tenant: str, window: Window) -> tuple[int, int, Decimal]:
    """Return (events, events without a price, cost in USD) of the full hours in a window."""
    hourly = usage_hourly.c
    row = connection.execute(
        sa.select(
            sa.func.coalesce(sa.func.sum(hourly.events), 0),
            sa.func.coalesce(sa.func.sum(hourly.unpriced_events), 0),
            sa.func.coalesce(sa.func.sum(hourly.cost_usd), 0),
        ).where(hourly.tenant_id == tenant, hourly.hour >= window.start, hourly.hour < window.end)
    ).one()
    return int(row[0]), int(row[1]), Decimal(row[2])


def spent_by_scope(
    connection: sa.Connection, tenant: str, month: datetime, day: datetime, now: datetime
) -> dict[tuple[Period, Scope], Spent]:
    """Return what the full hours since a month's and a day's start cost, in all and by team, feature and model."""
    values = {"tenant": tenant, "month": month, "day": day, "now": now}
    return {
        (period, Scope(ScopeKind(row.scope), row.key)): Spent(events=events, unpriced_events=unpriced, usd=usd)
        for row in connection.execute(statement("spend_by_scope"), values)
        for period, events, unpriced, usd in (
            (Period.MONTH, row.month_events, row.month_unpriced, row.month_usd),
            (Period.DAY, row.day_events, row.day_unpriced, row.day_usd),
        )
        if row.scope == ScopeKind.TOTAL or row.key  # what is called nothing is unknown
    }


@dataclass(frozen=True, slots=True)
class Flaws:
    """What is wrong with the projections of a time."""

    unpriced_events: Mapping[Scope, int]  # of the month
    blocked_by: str | None  # the data checks that failed

    def of(self, scope: Scope) -> dict[str, Any]:
        """Return the columns of one scope."""
        return {"unpriced_events": self.unpriced_events.get(scope, 0), "blocked_by": self.blocked_by}


def save_projections(
    connection: sa.Connection, tenant: str, projections: Mapping[Scope, Projection], now: datetime, flaws: Flaws
) -> None:
    """Keep projections; those made again for the same time replace them."""
    rows = [_row(tenant, scope, projection, now) | flaws.of(scope) for scope, projection in projections.items()]
    if not rows:
        return
    key = ("tenant_id", "month", "as_of", "scope", "key")
    statement = insert(cost_projections)
    changed = {name: statement.excluded[name] for name in rows[0] if name not in key}
    connection.execute(statement.on_conflict_do_update(index_elements=key, set_=changed), rows)


def forecasts(connection: sa.Connection, tenant: str, month: Window) -> dict[Scope, Forecast]:
    """Return what was projected for a month last, in all and by team, feature and model."""
    kept = cost_projections.c
    of_month = (kept.tenant_id == tenant, kept.month == _first_of(month))
    last = sa.select(sa.func.max(kept.as_of)).where(*of_month).scalar_subquery()
    rows = connection.execute(sa.select(cost_projections).where(*of_month, kept.as_of == last))
    return {
        Scope(ScopeKind(row.scope), row.key): Forecast(
            as_of=row.as_of, method=Method(row.method), low_history=row.low_history,
            month_end=Spread(row.month_end_usd, *(getattr(row, f"{name}_usd") for name in _ENDS)),
        )
        for row in rows
    }  # fmt: skip


def _first_of(month: Window) -> date:
    return (month.start + timedelta(days=1)).date().replace(day=1)  # its start may be the day before


def _row(tenant: str, scope: Scope, projection: Projection, now: datetime) -> dict[str, Any]:
    month, week = projection.month_end, projection.seven_days
    return {
        "tenant_id": tenant,
        "month": _first_of(projection.month),
        "as_of": now,
        "scope": scope.kind.value,
        "key": scope.key,
        "spent_usd": projection.spent_usd,
        "month_end_usd": month.expected,
        **{f"{name}_usd": getattr(month, name) for name in _ENDS},
        "week_usd": week.expected,
        **{f"week_{name}_usd": getattr(week, name) for name in _ENDS},
        "method": projection.method.value,
        "history_days": projection.history_days,
        "low_history": projection.low_history,
    }
