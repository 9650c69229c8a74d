"""What was spent of budgets, and what was told of them.

Before it: the roll-ups. After it: `tasks/check_budgets.py`.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta
from decimal import Decimal

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import aggregate_order_by, insert

from ops.cost.budgets import BudgetEvent, Period, Standing
from ops.cost.scopes import ScopeKind
from ops.cost.status import Told
from ops.window import Window
from tasks.stores.tables import budget_events, usage_daily_users, usage_hourly

EACH = "*"
_NOON = timedelta(hours=12)
_NOTHING = Decimal(0)
_TOLD = ("budget_usd", "spent_usd", "projected_usd", "exhausted_on", "occurred_at")
_hourly = usage_hourly.c
_KEYS: dict[ScopeKind, sa.ColumnElement[str]] = {
    ScopeKind.TOTAL: sa.literal(""),
    ScopeKind.TEAM: _hourly.team_id,
    ScopeKind.FEATURE: _hourly.feature,
    ScopeKind.MODEL: _hourly.vendor + "/" + _hourly.model,
}


def spent(
    connection: sa.Connection, tenant: str, kind: ScopeKind, key: str, window: Window, now: datetime,
    least_usd: Decimal = _NOTHING,
) -> dict[str, Decimal]:  # fmt: skip
    """Return the cost of a window up to `now` by key: of one, or with EACH of all that spent at least `least_usd`.

    By full hours. Users' sums are kept by UTC days: those whose noon lies in the window count.
    """
    if kind is ScopeKind.USER:
        users = usage_daily_users.c
        days = (users.day >= window.start - _NOON, users.day < window.end - _NOON, users.day <= now)
        where = [users.tenant_id == tenant, *days]
        return _sums(connection, users.user_id.label("key"), users.cost_usd, where, key, least_usd)
    column = _KEYS[kind].label("key")
    where = [_hourly.tenant_id == tenant, _hourly.hour >= window.start, _hourly.hour < min(window.end, now)]
    return _sums(connection, column, _hourly.cost_usd, where, key, least_usd)


def _sums(
    connection: sa.Connection, column: sa.Label[str], cost: sa.ColumnElement[Decimal],
    where: list[sa.ColumnElement[bool]], key: str, least_usd: Decimal,
) -> dict[str, Decimal]:  # fmt: skip
    usd = sa.func.sum(cost).label("usd")
    each = sa.select(column, usd).where(*where, column.element.is_not(None)).group_by(column.element)
    if key == EACH:  # what is called nothing is unknown
        known = each.where(column.element != "").having(usd.element >= least_usd)
        return {row.key: row.usd for row in connection.execute(known)}
    found = connection.execute(each.where(column.element == key)).one_or_none()
    return {key: found.usd if found else _NOTHING}


def remember(connection: sa.Connection, tenant: str, standing: Standing, event: BudgetEvent, now: datetime) -> bool:
    """Note that an event came to pass; False when it was known of this period and this amount."""
    row = {
        "tenant_id": tenant, "scope": standing.scope.kind.value, "key": standing.scope.key,
        "period": standing.period.value, "starts_at": standing.window.start, "event": event.value,
        "budget_usd": standing.budget_usd, "spent_usd": standing.spent_usd,
        "projected_usd": standing.projection.month_end.expected if standing.projection else None,
        "exhausted_on": standing.exhausted_on, "occurred_at": now,
    }  # fmt: skip
    new = insert(budget_events)
    excluded = new.excluded
    of_another_amount = budget_events.c.budget_usd != excluded.budget_usd  # somebody changed the budget: told anew
    statement = new.values(row).on_conflict_do_update(
        index_elements=list(budget_events.primary_key), where=of_another_amount,
        set_={name: excluded[name] for name in _TOLD},
    ).returning(budget_events.c.event)  # fmt: skip
    return connection.execute(statement).scalar() is not None


def told(
    connection: sa.Connection, tenant: str, kind: ScopeKind, period: Period, starts_at: datetime, budget_usd: Decimal,
    apart: Collection[str],
) -> list[Told]:  # fmt: skip
    """Return what came to pass of a budget of each in a period, with the number of keys and the one that spent most."""
    kept = budget_events.c
    of_it = (kept.tenant_id == tenant, kept.scope == kind.value, kept.period == period.value)
    spent = aggregate_order_by(kept.key, kept.spent_usd.desc(), kept.key)
    rows = connection.execute(
        sa.select(kept.event, sa.func.count(), sa.func.array_agg(spent)[1], sa.func.max(kept.spent_usd))
        .where(*of_it, kept.starts_at == starts_at, kept.budget_usd == budget_usd, kept.key.not_in(apart))
        .group_by(kept.event)
    )
    return [Told(BudgetEvent(event), keys, key, usd) for event, keys, key, usd in rows]
