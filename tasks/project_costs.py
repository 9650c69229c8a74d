"""Project the month's cost from the daily roll-up, and keep the projection.

Before it: `tasks/load_file.py` priced and rolled up. Between: `ops.cost.projection` decides. After it:
`tasks/show_projection.py` draws and writes what people see.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

import sqlalchemy as sa
from prefect import task
from prefect.cache_policies import NO_CACHE

from ops.cost.projection import DaySpend, Projection, project_month
from ops.window import Window, floor_day
from tasks.settings import Settings
from tasks.stores import costs


@dataclass(frozen=True, slots=True)
class ProjectedCosts:
    """A projection, the days it was made of, and how much of the month has no price."""

    projection: Projection | None  # None: nothing was ever spent
    history: Sequence[DaySpend]
    today_usd: Decimal
    month_events: int
    unpriced_events: int
    budget_usd: Decimal | None = None  # of the month, in total


@task(cache_policy=NO_CACHE, persist_result=False)
def project_costs(engine: sa.Engine, settings: Settings, now: datetime) -> ProjectedCosts:
    """Project the cost of the calendar month of `now`, in the settings' time zone."""
    month = Window.month_of(now, settings.zone)
    with engine.begin() as connection:
        history = costs.daily(connection, settings.tenant, now)
        today = costs.spent(connection, settings.tenant, Window(max(floor_day(now), month.start), now))
        events, unpriced, _ = costs.totals(connection, settings.tenant, Window(month.start, now))
        projection = project_month(history, today, month, now)
        if projection is not None:
            costs.save_projection(connection, settings.tenant, projection, now, unpriced)
    budget = next((budget.monthly_usd for budget in settings.budgets), None)
    return ProjectedCosts(projection, history, today, events, unpriced, budget)
