"""Tell what became of budgets: half, most and all of them spent, at risk, about to be crossed; each once a period.

Before it: the roll-ups are loaded. Between: `ops.cost.budgets` judges. After it: `tasks/dispatch_outbox.py` delivers.
What is remembered and the message about it are one transaction.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import sqlalchemy as sa
from prefect import task
from prefect.cache_policies import NO_CACHE

from ops.cost.budgets import LEVELS, BudgetEvent, Period, Standing, words_of_many
from ops.cost.scopes import Scope
from ops.monitoring.alerts import Tier
from ops.monitoring.data_quality.checks import Use
from ops.monitoring.slack_message import SlackMessage, render_note, render_report
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
    remembered. Of a budget for each key, those that came to the same are one message. While a critical check of the
    data fails, what is spent is told and nothing foretold.
    """
    with engine.begin() as connection:
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_LOCK)))
        done = CheckedBudgets(held=quality_checks.hold(connection, settings.tenant, Use.PROJECTIONS, now))
        for standings in _standings(connection, settings, now, done.held):
            done.standings.extend(standing for standing in standings if not standing.is_over)
            _tell_new(connection, settings, standings, now, done)
    return done


def budget_standings(engine: sa.Engine, settings: Settings, now: datetime) -> CheckedBudgets:
    """Judge every budget of the settings as of `now`, and tell nobody."""
    with engine.connect() as connection:
        held = quality_checks.hold(connection, settings.tenant, Use.PROJECTIONS, now)
        found = _standings(connection, settings, now, held)
        present = [standing for standings in found for standing in standings if not standing.is_over]
    return CheckedBudgets(present, held=held)


def _standings(
    connection: sa.Connection, settings: Settings, now: datetime, held: str | None
) -> Iterator[list[Standing]]:
    """Yield what there is of each budget in each period: of one for each key, as many as there are keys."""
    needs_days = any(budget.monthly_usd is not None and budget.scope != "user" for budget in settings.budgets)
    month = Window.month_of(now, settings.zone)
    foretells = needs_days and held is None
    days = daily(connection, settings.tenant, now, month, overrides=settings.overrides) if foretells else {}
    for budget in settings.budgets:
        for window in _windows(budget, settings.zone, now):
            found = measure_budget(connection, settings, budget, window, now)
            yield [_projected(standing, days, now) for standing in found]


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
    connection: sa.Connection, settings: Settings, standings: Sequence[Standing], now: datetime, done: CheckedBudgets
) -> None:
    gravest: dict[BudgetEvent, list[Standing]] = {}
    for each in standings:
        new = [event for event in each.events() if store.remember(connection, settings.tenant, each, event, now)]
        if new:
            gravest.setdefault(new[0], []).append(each)
    for event, those in gravest.items():
        done.told.append(_tell(connection, settings, those, event, now))


def _tell(
    connection: sa.Connection, settings: Settings, those: Sequence[Standing], event: BudgetEvent, now: datetime
) -> str:
    """Tell of one, or in one message of many that came to it at once; return the title."""
    first, tier = those[0], TIERS[event]
    title, message = _message(those, event)
    scope = f"{first.scope.kind}:{store.EACH}:{now:%Y%m%dT%H%M%S%f}" if len(those) > 1 else str(first.scope)
    begins = f"{first.window.start.astimezone(UTC):%Y%m%dT%H%M}"
    amount = f"{first.budget_usd.normalize():f}"
    notify(
        connection, settings.tenant, routes_of(settings), tier=tier, message=message,
        key=f"budget:{scope}:{first.period}:{begins}:{amount}:{event}", revision=1, now=now,
    )  # fmt: skip
    return title


def _message(those: Sequence[Standing], event: BudgetEvent) -> tuple[str, SlackMessage]:
    if len(those) > 1:
        title, lines = words_of_many(those, event)
        return title, render_report(title, lines, TIERS[event])
    title, detail = those[0].words(event)
    return title, render_note(title, detail, TIERS[event])
