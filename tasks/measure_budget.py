"""Measure what was spent of a budget of the settings in one of its periods.

Before it: the roll-ups. After it: `tasks/check_budgets.py` tells what came to pass, `tasks/read_status.py` shows it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

import sqlalchemy as sa

from ops.cost.budgets import Period, Standing
from ops.cost.scopes import TOTAL, Scope, ScopeKind
from ops.window import Window
from tasks.settings import Budget, Settings
from tasks.stores import budgets as store


def window_of(budget: Budget, zone: ZoneInfo, when: datetime) -> Window:
    """Return the budget's period of that time."""
    return (Window.day_of if budget.monthly_usd is None else Window.month_of)(when, zone)


def measure_budget(
    connection: sa.Connection, settings: Settings, budget: Budget, window: Window, now: datetime
) -> Iterator[Standing]:
    """Yield how the budget stands in a period; of one that each has, of every key without one of its own.

    Of users only those who have spent half of theirs: there may be millions, and of the others there is nothing to
    tell. Nothing is projected.
    """
    kind = ScopeKind(budget.scope)
    least = budget.usd / 2 if kind is ScopeKind.USER else Decimal(0)
    spent = store.spent(connection, settings.tenant, kind, budget.key, window, now, least)
    yield from standings_of(settings, budget, window, now, spent)


def standings_of(
    settings: Settings, budget: Budget, window: Window, now: datetime, spent: Mapping[str, Decimal]
) -> Iterator[Standing]:
    """Yield how a budget stands by key, of which so much is spent."""
    named = named_beside(settings, budget)
    for key, usd in sorted(spent.items()):
        if key not in named:
            yield Standing(
                scope=Scope(ScopeKind(budget.scope), key) if key else TOTAL, window=window, budget_usd=budget.usd,
                spent_usd=usd, period=period_of(budget), is_over=now not in window,
            )  # fmt: skip


def named_beside(settings: Settings, budget: Budget) -> set[str]:
    """Return the keys that a budget of each does not hold for: they have one of their own."""
    return {other.key for other in settings.budgets if other.kind == budget.kind and budget.key == store.EACH}


def period_of(budget: Budget) -> Period:
    """Return how long a budget lasts."""
    return Period.DAY if budget.monthly_usd is None else Period.MONTH
