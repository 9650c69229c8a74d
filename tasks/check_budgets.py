"""Tell what became of budgets: half, most and all of them spent, at risk, about to be crossed; each once a period.

Before it: the roll-ups are loaded. Between: `ops.cost.budgets` judges. After it: `tasks/dispatch_outbox.py` delivers.
What is remembered and the message about it are one transaction.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import sqlalchemy as sa
from prefect import task
from prefect.cache_policies import NO_CACHE

from ops.cost.budgets import BudgetEvent, Period, Standing
from ops.cost.scopes import TOTAL, Scope, ScopeKind
from ops.monitoring.alerts import Tier
from ops.monitoring.slack_message import render_note
from ops.window import Window
from tasks.notify import notify, routes_of
from tasks.project_costs import ScopeDays, daily, project
from tasks.settings import Budget, Settings
from tasks.stores import budgets as store

TIERS = {
    BudgetEvent.ALL_SPENT: Tier.CRITICAL, BudgetEvent.WILL_BE_CROSSED: Tier.WARNING,
    BudgetEvent.MOST_SPENT: Tier.WARNING, BudgetEvent.AT_RISK: Tier.INFO, BudgetEvent.HALF_SPENT: Tier.INFO,
}  # fmt: skip
LATE = timedelta(hours=6)  # that sources may be behind, for a period's last events to be told of
_LOCK = 0x57A7B6
_Days = Mapping[Scope, ScopeDays]


@dataclass(frozen=True, slots=True)
class CheckedBudgets:
    """How every budget stands, and what was told."""

    standings: list[Standing] = field(default_factory=list)
    told: list[str] = field(default_factory=list)


@task(cache_policy=NO_CACHE, persist_result=False)
def check_budgets(engine: sa.Engine, settings: Settings, now: datetime) -> CheckedBudgets:
    """Judge every budget of the settings as of `now`, and of the period before where `now` is right behind it.

    Two that do so at once take turns. Of several events that come to pass at once the gravest is told, and all are
    remembered.
    """
    done = CheckedBudgets()
    with engine.begin() as connection:
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_LOCK)))
        needs_days = any(budget.monthly_usd is not None and budget.scope != "user" for budget in settings.budgets)
        month = Window.month_of(now, settings.zone)
        days = daily(connection, settings.tenant, now, month, overrides=settings.overrides) if needs_days else {}
        for budget in settings.budgets:
            for window in _windows(budget, settings.zone, now):
                for standing in _standings(connection, settings, budget, window, days, now):
                    if not standing.is_over:
                        done.standings.append(standing)
                    _tell_new(connection, settings, standing, now, done)
    return done


def _windows(budget: Budget, zone: ZoneInfo, now: datetime) -> Iterator[Window]:
    """Yield the present period, and right after its start the one before: what is loaded late crosses budgets too."""
    of = Window.day_of if budget.monthly_usd is None else Window.month_of
    window = of(now, zone)
    if now - window.start < LATE:
        yield of(window.start - timedelta(microseconds=1), zone)
    yield window


def _standings(
    connection: sa.Connection, settings: Settings, budget: Budget, window: Window, days: _Days, now: datetime
) -> Iterator[Standing]:
    kind = ScopeKind(budget.scope)
    period = Period.DAY if budget.monthly_usd is None else Period.MONTH
    is_over = now not in window
    spent = store.spent(connection, settings.tenant, kind, budget.key, window, now)
    named = {other.key for other in settings.budgets if other.kind == budget.kind}
    for key, usd in sorted(spent.items()):
        if budget.key == store.EACH and key in named:
            continue
        scope = Scope(kind, key) if key else TOTAL
        known = days.get(scope) if period is Period.MONTH and not is_over else None
        projection = project(known, window, now) if known else None
        yield Standing(
            scope=scope, period=period, window=window, budget_usd=budget.usd, spent_usd=usd, projection=projection,
            is_over=is_over,
        )  # fmt: skip


def _tell_new(
    connection: sa.Connection, settings: Settings, standing: Standing, now: datetime, done: CheckedBudgets
) -> None:
    new = [event for event in standing.events() if store.remember(connection, settings.tenant, standing, event, now)]
    if not new:
        return
    title, detail = standing.words(new[0])
    tier = TIERS[new[0]]
    begins = f"{standing.window.start.astimezone(UTC):%Y%m%dT%H%M}"
    amount = f"{standing.budget_usd.normalize():f}"
    notify(
        connection, settings.tenant, routes_of(settings), tier=tier, message=render_note(title, detail, tier),
        key=f"budget:{standing.scope}:{standing.period}:{begins}:{amount}:{new[0]}", revision=1, now=now,
    )  # fmt: skip
    done.told.append(title)
