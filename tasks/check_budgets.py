"""Tell what became of budgets: half, most and all of them spent, at risk, about to be crossed; each once a period.

Before it: the roll-ups are loaded. Between: `ops.cost.budgets` judges. After it: `tasks/dispatch_outbox.py` delivers.
What is remembered and the message about it are one transaction.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import sqlalchemy as sa
from prefect import task
from prefect.cache_policies import NO_CACHE

from ops.cost.budgets import LEVELS, Period, Standing
from ops.cost.scopes import Scope
from ops.monitoring.alerts import Tier
from ops.monitoring.data_quality.checks import Use
from ops.monitoring.slack_message import render_note
from ops.window import Window
from tasks.measure_budget import measure_budget, window_of
from tasks.notify import notify, routes_of
from tasks.project_costs import ScopeDays, daily, project
from tasks.settings import Budget, Settings
from tasks.stores import budgets as store
from tasks.stores import quality_checks

TIERS = {event: Tier(level.value) for event, level in LEVELS.items()}
LATE = timedelta(hours=6)  # that sources may be behind, for a period's last events to be told of
_LOCK = 0x57A7B6


@dataclass(frozen=True, slots=True)
class CheckedBudgets:
    """How every budget stands, and what was told; `held` says why nothing was foretold."""

    standings: list[Standing] = field(default_factory=list)
    told: list[str] = field(default_factory=list)
    held: str | None = None


@task(cache_policy=NO_CACHE, persist_result=False)
def check_budgets(engine: sa.Engine, settings: Settings, now: datetime) -> CheckedBudgets:
    """Judge every budget of the settings as of `now`, and of the period before where `now` is right behind it.

    Two that do so at once take turns. Of several events that come to pass at once the gravest is told, and all are
    remembered. While a critical check of the data fails, what is spent is told and nothing foretold.
    """
    with engine.begin() as connection:
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_LOCK)))
        done = CheckedBudgets(held=quality_checks.hold(connection, settings.tenant, Use.PROJECTIONS, now))
        for standing in _standings(connection, settings, now, done.held):
            if not standing.is_over:
                done.standings.append(standing)
            _tell_new(connection, settings, standing, now, done)
    return done


def budget_standings(engine: sa.Engine, settings: Settings, now: datetime) -> CheckedBudgets:
    """Judge every budget of the settings as of `now`, and tell nobody."""
    with engine.connect() as connection:
        held = quality_checks.hold(connection, settings.tenant, Use.PROJECTIONS, now)
        found = _standings(connection, settings, now, held)
        return CheckedBudgets([standing for standing in found if not standing.is_over], held=held)


def _standings(connection: sa.Connection, settings: Settings, now: datetime, held: str | None) -> Iterator[Standing]:
    needs_days = any(budget.monthly_usd is not None and budget.scope != "user" for budget in settings.budgets)
    month = Window.month_of(now, settings.zone)
    foretells = needs_days and held is None
    days = daily(connection, settings.tenant, now, month, overrides=settings.overrides) if foretells else {}
    for budget in settings.budgets:
        for window in _windows(budget, settings.zone, now):
            for standing in measure_budget(connection, settings, budget, window, now):
                yield _projected(standing, days, now)


def _windows(budget: Budget, zone: ZoneInfo, now: datetime) -> Iterator[Window]:
    """Yield the present period, and right after its start the one before: what is loaded late crosses budgets too."""
    window = window_of(budget, zone, now)
    if now - window.start < LATE:
        yield window_of(budget, zone, window.start - timedelta(microseconds=1))
    yield window


def _projected(standing: Standing, days: Mapping[Scope, ScopeDays], now: datetime) -> Standing:
    known = days.get(standing.scope) if standing.period is Period.MONTH and not standing.is_over else None
    return replace(standing, projection=project(known, standing.window, now)) if known else standing


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
