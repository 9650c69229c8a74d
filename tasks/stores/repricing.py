"""Price the stored events of a day anew, all at once in SQL, and move the roll-ups along by what changed.

Before it: `tasks/reprice_usage.py` has the day's cards. After it: everything that reads costs.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, fields
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import sqlalchemy as sa

from ops.cost.pricing import RateCard
from ops.rollup import HOUR_KEY, HOUR_SUMS, USER_SUMS, Deltas
from tasks.stores import rollups
from tasks.stores.sql import statement
from tasks.stores.tables import usage_events, usage_hourly

_DAY = timedelta(days=1)
_TEXTS = ("tenant_id", "vendor", "model", "operation", "service", "release", "feature", "team_id", "user_id", "tier")
_AMOUNTS = ("reported_cost_usd", "old_usd", "new_usd")
_PRICES = ("price_source", "price_snapshot")


@dataclass(frozen=True, slots=True)
class Day:
    """A tenant's UTC day, and the one model that is meant; None for all."""

    tenant: str
    start: datetime
    only: str | None = None  # a model's name, alone or behind its vendor's


@dataclass(frozen=True, slots=True)
class Seen:
    """How many events of a model and tier a day has, and how many of them other prices would change."""

    vendor: str
    model: str
    tier: str | None
    events: int
    changed: int


@dataclass(frozen=True, slots=True)
class Change:
    """What other prices change of a model's events."""

    events: int = 0
    before_usd: Decimal = Decimal(0)
    after_usd: Decimal = Decimal(0)
    became_priced: int = 0
    became_unpriced: int = 0

    @property
    def known_before_usd(self) -> Decimal | None:
        """What those that had a price cost before; None where none of them had one."""
        return None if self.events and self.became_priced == self.events else self.before_usd

    @property
    def known_after_usd(self) -> Decimal | None:
        """What those that have a price cost now; None where none of them has one."""
        return None if self.events and self.became_unpriced == self.events else self.after_usd

    @property
    def change_usd(self) -> Decimal | None:
        """How much dearer they are; None where one of the sides is unknown."""
        before, after = self.known_before_usd, self.known_after_usd
        return None if before is None or after is None else after - before

    def plus(self, other: Change) -> Change:
        """Add the change of other events."""
        return Change(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(self)))


def models_on(connection: sa.Connection, day: Day) -> set[tuple[str, str]]:
    """Return the vendors and models of a day that its roll-up knows."""
    hourly = usage_hourly.c
    rows = connection.execute(
        sa.select(hourly.vendor, hourly.model)
        .where(hourly.tenant_id == day.tenant, hourly.hour >= day.start, hourly.hour < day.start + _DAY)
        .distinct()
    )
    return {(row.vendor, row.model) for row in rows}


def look(connection: sa.Connection, day: Day, cards: Iterable[RateCard]) -> list[Seen]:
    """Count what a day has, and what these cards would change of it."""
    _prefer_hashing(connection)
    priced = _priced().subquery()
    key = (priced.c.vendor, priced.c.model, priced.c.tier)
    rows = connection.execute(
        sa.select(*key, sa.func.count(), sa.func.count().filter(priced.c.changed)).group_by(*key), _values(day, cards)
    )
    return [Seen(*row) for row in rows]


def preview(connection: sa.Connection, day: Day, cards: Iterable[RateCard]) -> dict[str, Change]:
    """Return by model what these cards would change."""
    priced = _priced().subquery()
    rows = connection.execute(
        sa.select(priced.c.vendor, priced.c.model, *_sums(priced))
        .where(priced.c.changed)
        .group_by(priced.c.vendor, priced.c.model),
        _values(day, cards),
    )
    return _by_model(rows)


def reprice(connection: sa.Connection, day: Day, cards: Iterable[RateCard]) -> dict[str, Change]:
    """Write the costs that these cards change, and return by model what changed.

    Only what was really written counts: an event that a loader corrects in the meantime has the loader's price.
    """
    _prefer_hashing(connection)
    rows = connection.execute(_rewrite(), _values(day, cards)).all()
    hours = [row for row in rows if row.hour is not None]
    deltas = Deltas()
    for row in rows:
        if row.hour is not None:
            deltas.hours[tuple(getattr(row, name) for name in HOUR_KEY)] = _deltas(row, HOUR_SUMS)
        elif row.user_id is not None:
            deltas.users[day.start, row.user_id] = _deltas(row, USER_SUMS)
    rollups.add(connection, day.tenant, deltas)
    return _by_model(hours)


def _prefer_hashing(connection: sa.Connection) -> None:
    """Join by hashing: without statistics, as of a day just loaded, the planner would compare each row with each."""
    connection.execute(sa.text("SET LOCAL enable_nestloop = off"))
    connection.execute(sa.text("SET LOCAL work_mem = '64MB'"))


def _priced() -> sa.TextualSelect:
    return statement("priced_day").columns(
        sa.column("part"), sa.column("spot"), sa.column("hour", sa.DateTime(timezone=True)),
        *(sa.column(name, sa.Text) for name in (*_TEXTS, *_PRICES)),
        *(sa.column(name, sa.Numeric) for name in _AMOUNTS), sa.column("changed", sa.Boolean),
    )  # fmt: skip


def _rewrite() -> sa.Select[Any]:
    """Update the changed events and sum up by the roll-ups' keys what was written: by hour, and by user."""
    priced = sa.select(_priced().subquery("all_priced")).where(sa.column("changed")).cte("priced")
    spot: sa.ColumnClause[Any] = sa.literal_column("watchkeeper.usage_events.ctid")
    part: sa.ColumnClause[Any] = sa.literal_column("watchkeeper.usage_events.tableoid")
    events = usage_events.c
    written = (
        sa.update(usage_events)
        .values(
            cost_usd=priced.c.new_usd,
            **{name: sa.case((priced.c.new_usd.is_not(None), priced.c[name])) for name in _PRICES},
        )
        .where(events.tenant_id == priced.c.tenant_id, part == priced.c.part, spot == priced.c.spot)
        .where(events.occurred_at >= sa.bindparam("start"), events.occurred_at < sa.bindparam("end"))
        .returning(priced.c.hour, *(priced.c[name] for name in (*_TEXTS, *_AMOUNTS)))
        .cte("written")
    )
    key = [written.c[name] for name in HOUR_KEY]
    sets = sa.func.grouping_sets(sa.tuple_(*key), sa.tuple_(written.c.user_id))
    return sa.select(*key, written.c.user_id, *_sums(written)).group_by(sets)


def _sums(rows: sa.FromClause) -> list[sa.Label[Any]]:
    old, new, reported = rows.c.old_usd, rows.c.new_usd, rows.c.reported_cost_usd
    was, now = old.is_not(None), new.is_not(None)
    difference = sa.func.coalesce(new, 0) - sa.func.coalesce(old, 0)
    found = {
        "events": sa.func.count(),
        "before_usd": sa.func.sum(old),
        "after_usd": sa.func.sum(new),
        "became_priced": sa.func.count().filter(now, ~was),
        "became_unpriced": sa.func.count().filter(was, ~now),
        "compared_cost_usd": sa.func.sum(difference).filter(reported.is_not(None)),
        "compared_reported_usd": sa.func.sum(
            sa.case((sa.and_(now, ~was), reported), (sa.and_(was, ~now), -reported), else_=0)
        ),
    }
    return [sa.func.coalesce(amount, 0).label(name) for name, amount in found.items()]


def _deltas(row: Any, names: Sequence[str]) -> list[int | Decimal]:
    change = {
        "cost_usd": row.after_usd - row.before_usd, "unpriced_events": row.became_unpriced - row.became_priced,
        "compared_cost_usd": row.compared_cost_usd, "compared_reported_usd": row.compared_reported_usd,
    }  # fmt: skip
    return [change.get(name, 0) for name in names]


def _by_model(rows: Iterable[Any]) -> dict[str, Change]:
    found: dict[str, Change] = {}
    for row in rows:
        name = f"{row.vendor}/{row.model}"
        change = Change(row.events, row.before_usd, row.after_usd, row.became_priced, row.became_unpriced)
        found[name] = found.get(name, Change()).plus(change)
    return found


def _values(day: Day, cards: Iterable[RateCard]) -> dict[str, Any]:
    rows = [asdict(card) for card in cards]
    columns = {f"card_{field.name}": [row[field.name] for row in rows] for field in fields(RateCard)}
    return {"tenant": day.tenant, "start": day.start, "end": day.start + _DAY, "only": day.only, **columns}
