"""Project the month's and the next seven days' cost from the daily roll-up, in all and by part, and keep it.

Before it: `tasks/load_file.py` priced and rolled up. Between: `ops.cost.projection` decides. After it:
`tasks/show_projection.py` draws and `tasks/tabulate_costs.py` writes what people see.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import NamedTuple

import sqlalchemy as sa
from prefect import task
from prefect.cache_policies import NO_CACHE

from ops.cost.day_shares import DayHours, day_hours
from ops.cost.gaps import idle_days
from ops.cost.overrides import PriceOverride
from ops.cost.projection import DaySpend, Projection, project_month
from ops.cost.scopes import TOTAL, Scope, ScopeKind
from ops.monitoring.data_quality.checks import Use
from ops.window import Window, floor_day, floor_hour
from tasks.price_usage import price_changes
from tasks.report_costs import Asked, CostReport, report_costs
from tasks.settings import Settings
from tasks.stores import costs, quality_checks, source_states
from tasks.stores.costs import DayCost

_DAY, _WEEK = timedelta(days=1), timedelta(days=7)
_ZERO = Decimal(0)
ACTIVE = timedelta(days=56)  # a part without spend for so long is not projected


class ScopeDays(NamedTuple):
    """What one scope cost: by full UTC day and today at prices of now, by day of the month at those that were paid."""

    history: list[DaySpend]
    today_usd: Decimal
    paid: dict[datetime, Decimal]  # by UTC midnight, of the month's part of each day
    hours: DayHours | None = None  # of a usual day; None: nobody knows
    unpriced_events: int = 0  # of the month


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
    paid: Mapping[datetime, Decimal] = field(default_factory=dict)  # the month, by UTC midnight
    blocked_by: str | None = None  # why nobody should rely on it
    gaps: Mapping[Scope, int] = field(default_factory=dict)  # the month's events without a price

    def dearest_first(self) -> list[tuple[Scope, Projection]]:
        """Return every projection: the total, then the parts by what they will cost."""
        whole = [] if self.projection is None else [(TOTAL, self.projection)]
        return [*whole, *sorted(self.parts.items(), key=lambda part: (-part[1].month_end.expected, part[0]))]


@task(cache_policy=NO_CACHE, persist_result=False)
def project_costs(engine: sa.Engine, settings: Settings, now: datetime) -> ProjectedCosts:
    """Project the cost of the calendar month of `now`, and keep what was projected."""
    projected = projected_costs(engine, settings, now)
    made = dict(projected.dearest_first())
    with engine.begin() as connection:
        flaws = costs.Flaws(projected.gaps, projected.blocked_by)
        costs.save_projections(connection, settings.tenant, made, now, flaws)
    return projected


def projected_costs(engine: sa.Engine, settings: Settings, now: datetime) -> ProjectedCosts:
    """Project the cost of the calendar month of `now`, in the settings' time zone, at the prices of now."""
    month = Window.month_of(now, settings.zone)
    with engine.connect() as connection:
        days = daily(connection, settings.tenant, now, month, overrides=settings.overrides)
        events, unpriced, _ = costs.totals(connection, settings.tenant, Window(month.start, now))
        whole = _to_the_microsecond(connection, settings.tenant, days.get(TOTAL, ScopeDays([], _ZERO, {})), month, now)
        blocked_by = quality_checks.hold(connection, settings.tenant, Use.PROJECTIONS, now)
    projection = project_month(whole.history, whole.today_usd, month, now, _sum(whole.paid), whole.hours)
    budget = next((each.monthly_usd for each in settings.budgets if each.scope == "total" and each.monthly_usd), None)
    return ProjectedCosts(
        projection, whole.history, whole.today_usd, events, unpriced, budget,
        parts=_parts(days, month, now), paid=whole.paid, week=_week(engine, settings, now), blocked_by=blocked_by,
        models={scope: known.history for scope, known in days.items() if scope.kind is ScopeKind.MODEL},
        gaps={scope: known.unpriced_events for scope, known in days.items()},
    )  # fmt: skip


def _to_the_microsecond(
    connection: sa.Connection, tenant: str, whole: ScopeDays, month: Window, now: datetime
) -> ScopeDays:
    """Put what today's and this hour's events cost in place of what hours do."""
    today = floor_day(now)
    cost = costs.spent(connection, tenant, Window(today, now))
    begins_today = month.start > today
    paid = costs.spent(connection, tenant, Window(month.start, now)) if begins_today else cost
    this_hour = costs.spent(connection, tenant, Window(floor_hour(now), now))
    hours = whole.hours and replace(whole.hours, hour_usd=this_hour)
    return whole._replace(today_usd=cost, paid={**whole.paid, today: paid}, hours=hours)


def _week(engine: sa.Engine, settings: Settings, now: datetime) -> CostReport:
    end = floor_day(now)
    last, before = Window.before(end, _WEEK), Window.before(end - _WEEK, _WEEK)
    return report_costs(engine, settings, Asked(window=last, before=before), now)


def daily(
    connection: sa.Connection, tenant: str, now: datetime, month: Window, length: timedelta = costs.HISTORY,
    overrides: tuple[PriceOverride, ...] = (),
) -> dict[Scope, ScopeDays]:  # fmt: skip
    """Return of every scope the full days of `length` before `now`, at today's prices, and today's cost so far.

    A day without any record is a gap to all, unless nothing was called on it; on another a part without a record spent
    nothing. A day of which no event has a price is a gap too.
    """
    today = floor_day(now)
    ratios = price_changes(costs.model_days(connection, tenant, now, length), today.date(), overrides)
    found = costs.scope_days(connection, tenant, now, ratios, month.start, length)
    recorded = found.get(TOTAL, {}).keys()
    span = list(Window(min(recorded, default=today), today).days())
    known = recorded | idle_days(span, recorded, source_states.watched(connection, tenant))
    worth = costs.scope_hours(connection, tenant, now)
    return {scope: _scope_days(days, known, month, today, worth.get(scope, ())) for scope, days in found.items()}


def _scope_days(
    days: Mapping[datetime, DayCost], known: Collection[datetime], month: Window, today: datetime,
    worth: Sequence[float],
) -> ScopeDays:  # fmt: skip
    nothing = DayCost(_ZERO, _ZERO)
    found = {**dict.fromkeys(known, nothing), **days}
    full = Window(min(days), today).days()
    history = [DaySpend(day.date(), found[day].cost_usd if day in found else None) for day in full]
    paid = {day: cost.paid_usd for day, cost in sorted(days.items()) if day + _DAY > month.start}
    of_today = found.get(today, nothing)
    unpriced = sum(cost.unpriced_events for cost in days.values())
    return ScopeDays(history, of_today.cost_usd or _ZERO, paid, day_hours(worth, of_today.hour_usd), unpriced)


def project(days: ScopeDays, month: Window, now: datetime) -> Projection | None:
    """Project one scope of `daily`; None of one that spent nothing for ACTIVE."""
    since = (floor_day(now) - ACTIVE).date()
    is_active = days.today_usd > 0 or any(entry.cost_usd for entry in days.history if entry.day >= since)
    return project_month(days.history, days.today_usd, month, now, _sum(days.paid), days.hours) if is_active else None


def _sum(paid: Mapping[datetime, Decimal]) -> Decimal:
    return sum(paid.values(), _ZERO)


def _parts(days: Mapping[Scope, ScopeDays], month: Window, now: datetime) -> dict[Scope, Projection]:
    found = {scope: project(known, month, now) for scope, known in days.items() if scope != TOTAL}
    return {scope: projection for scope, projection in found.items() if projection is not None}
