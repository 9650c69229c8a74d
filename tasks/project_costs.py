"""Project the month's and the next seven days' cost from the daily roll-up, in all and by part, and keep it.

Before it: `tasks/load_file.py` priced and rolled up. Between: `ops.cost.projection` decides. After it:
`tasks/show_projection.py` draws and writes what people see.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal

import sqlalchemy as sa
from prefect import task
from prefect.cache_policies import NO_CACHE

from ops.cost.overrides import PriceOverride
from ops.cost.projection import DaySpend, Projection, project_month
from ops.cost.scopes import TOTAL, Scope, ScopeKind
from ops.window import Window, floor_day
from tasks.price_usage import price_changes
from tasks.report_costs import Asked, CostReport, report_costs
from tasks.settings import Settings
from tasks.stores import costs

_WEEK = timedelta(days=7)
ACTIVE = timedelta(days=56)  # a part without spend for so long is not projected


@dataclass(frozen=True, slots=True)
class ProjectedCosts:
    """A projection, the days it was made of, and how much of the month has no price."""

    projection: Projection | None  # None: nothing was ever spent
    history: Sequence[DaySpend]
    today_usd: Decimal
    month_events: int
    unpriced_events: int
    budget_usd: Decimal | None = None  # of the month, in total
    parts: Mapping[Scope, Projection] = field(default_factory=dict)  # teams, features, models
    models: Mapping[Scope, Sequence[DaySpend]] = field(default_factory=dict)
    week: CostReport | None = None  # the last seven full days, compared with the seven before


@task(cache_policy=NO_CACHE, persist_result=False)
def project_costs(engine: sa.Engine, settings: Settings, now: datetime) -> ProjectedCosts:
    """Project the cost of the calendar month of `now`, in the settings' time zone, at the prices of now."""
    month = Window.month_of(now, settings.zone)
    with engine.begin() as connection:
        days = daily(connection, settings.tenant, now, overrides=settings.overrides)
        today = costs.spent(connection, settings.tenant, Window(max(floor_day(now), month.start), now))
        events, unpriced, _ = costs.totals(connection, settings.tenant, Window(month.start, now))
        history = days.get(TOTAL, ([], Decimal(0)))[0]
        projection = project_month(history, today, month, now)
        parts = _parts(days, month, now)
        whole = {} if projection is None else {TOTAL: projection}
        costs.save_projections(connection, settings.tenant, {**whole, **parts}, now, unpriced)
    budget = next((each.monthly_usd for each in settings.budgets if each.scope == "total" and each.monthly_usd), None)
    models = {scope: known for scope, (known, _) in days.items() if scope.kind is ScopeKind.MODEL}
    return ProjectedCosts(
        projection, history, today, events, unpriced, budget, parts, models, _week(engine, settings, now)
    )


def _week(engine: sa.Engine, settings: Settings, now: datetime) -> CostReport:
    end = floor_day(now)
    last, before = Window.before(end, _WEEK), Window.before(end - _WEEK, _WEEK)
    return report_costs(engine, settings, Asked(window=last, before=before), now)


def daily(
    connection: sa.Connection, tenant: str, now: datetime, length: timedelta = costs.HISTORY,
    overrides: tuple[PriceOverride, ...] = (),
) -> dict[Scope, tuple[list[DaySpend], Decimal]]:  # fmt: skip
    """Return of every scope the full days of `length` before `now`, at today's prices, and today's cost so far.

    A day on which nothing at all is recorded is a gap to all; on another a part without a record spent nothing.
    """
    today = floor_day(now)
    ratios = price_changes(costs.model_days(connection, tenant, now, length), today.date(), overrides)
    found = costs.scope_days(connection, tenant, now, ratios, length)
    recorded = found.get(TOTAL, {})
    return {scope: (_history(days, recorded, today), days.get(today, Decimal(0))) for scope, days in found.items()}


def _history(days: Mapping[datetime, Decimal], recorded: Mapping[datetime, Decimal], today: datetime) -> list[DaySpend]:
    first = min(days)
    zero = {day: Decimal(0) for day in recorded}
    known = {**zero, **days}
    return [DaySpend(day.date(), known.get(day)) for day in Window(first, today).days()] if first < today else []


def project(days: tuple[list[DaySpend], Decimal], month: Window, now: datetime) -> Projection | None:
    """Project one scope of `daily`; None of one that spent nothing for ACTIVE."""
    history, today = days
    since = (floor_day(now) - ACTIVE).date()
    is_active = today > 0 or any(entry.cost_usd for entry in history if entry.day >= since)
    return project_month(history, today, month, now) if is_active else None


def _parts(
    days: Mapping[Scope, tuple[list[DaySpend], Decimal]], month: Window, now: datetime
) -> dict[Scope, Projection]:
    found = {scope: project(known, month, now) for scope, known in days.items() if scope != TOTAL}
    return {scope: projection for scope, projection in found.items() if projection is not None}
