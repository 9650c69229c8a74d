"""The roll-ups by hour and by users' days: sums are added in the transaction of the events that they count.

Before it: `ops/rollup.py` sums up what is new. After it: everything that reads them.
A day can be counted anew from its events: to compare (`tasks/verify_rollups.py`), or to put in the place of what is
there (`tasks/rebuild_rollups.py`).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY, array

from ops.rollup import BIN_KEY, HOUR_KEY, HOUR_SUMS, USER_KEY, USER_SUMS, Deltas
from ops.window import floor_day
from tasks.stores import usage
from tasks.stores.sql import driver_statement, statement
from tasks.stores.tables import latency_hourly, usage_daily_users, usage_hourly

SHOWN = 10
_DAY = timedelta(days=1)


def add(connection: sa.Connection, tenant: str, deltas: Deltas) -> None:
    """Add sums and counts to what is there."""
    hours = [(*key, *sums) for key, sums in deltas.hours.items()]
    bins = [(*key, count) for key, count in deltas.bins.items() if count]
    _add(connection, tenant, "add_hours", (*HOUR_KEY, *HOUR_SUMS), hours)
    _add(connection, tenant, "add_bins", (*BIN_KEY, "n"), bins)
    users = [(*key, *sums) for key, sums in deltas.users.items()]
    _add(connection, tenant, "add_users", (*USER_KEY, *USER_SUMS), users)


def _add(connection: sa.Connection, tenant: str, name: str, columns: tuple[str, ...], rows: list[Any]) -> None:
    if rows:
        values = dict(zip(columns, map(list, zip(*rows, strict=True)), strict=True))
        usage.driver(connection).execute(driver_statement(name), {"tenant": tenant, **values})


def drop_empty(connection: sa.Connection, tenant: str, hours: Iterable[datetime]) -> None:
    """Delete the rows of these hours, and of their days, of which a subtraction left nothing."""
    times = set(hours)
    times |= {floor_day(hour) for hour in times}
    for table, key, sums, _ in _ROLLUPS:
        is_empty = (table.c.tenant_id == tenant, table.c[key[0]].in_(times), table.c[sums[0]] == 0)
        connection.execute(sa.delete(table).where(*is_empty))


class _Rollup(NamedTuple):
    table: sa.Table
    key: tuple[str, ...]
    sums: tuple[str, ...]
    recount: str  # the statement that counts a day of it anew


_ROLLUPS = (
    _Rollup(usage_hourly, HOUR_KEY, HOUR_SUMS, "count_hours"),
    _Rollup(latency_hourly, BIN_KEY, ("n",), "count_bins"),
    _Rollup(usage_daily_users, USER_KEY, USER_SUMS, "count_users"),
)
Sums = dict[str, Decimal]


@dataclass(frozen=True, slots=True)
class Difference:
    """A key whose sums are not what its events add up to; None on the side that has no such key."""

    table: str
    key: dict[str, Any]
    rolled_up: Sums | None
    counted: Sums | None


@dataclass(frozen=True, slots=True)
class Comparison:
    """How many keys of a roll-up were compared with its events, how many differ, and the first SHOWN of those."""

    table: str
    keys: int = 0
    differing: int = 0
    first: tuple[Difference, ...] = ()

    def plus(self, other: Comparison) -> Comparison:
        """Add the comparison of another day."""
        return replace(
            self, keys=self.keys + other.keys, differing=self.differing + other.differing,
            first=(*self.first, *other.first)[:SHOWN],
        )  # fmt: skip


def nothing_compared() -> tuple[Comparison, ...]:
    """Return a comparison of no day, for each roll-up."""
    return tuple(Comparison(rollup.table.name) for rollup in _ROLLUPS)


def days_with_rows(connection: sa.Connection, tenant: str, kept_from: datetime | None) -> set[datetime]:
    """Return the midnights of the days, from the floor on, of which a roll-up has rows."""
    found: set[datetime] = set()
    for table, key, *_ in _ROLLUPS:
        day = sa.func.date_trunc("day", table.c[key[0]], "UTC")
        is_kept = table.c[key[0]] >= kept_from if kept_from else sa.true()
        query = sa.select(day).where(table.c.tenant_id == tenant, is_kept).distinct()
        found |= set(connection.execute(query).scalars())
    return found


def compare_day(connection: sa.Connection, tenant: str, day: datetime) -> tuple[Comparison, ...]:
    """Compare a day's roll-ups with its events, as one snapshot of a REPEATABLE READ transaction has both."""
    _prefer_hashing(connection)
    return tuple(_compare(connection, rollup, _span(tenant, day)) for rollup in _ROLLUPS)


def replace_day(connection: sa.Connection, tenant: str, day: datetime) -> None:
    """Put what the events of a day add up to in the place of its roll-ups.

    Loaders wait with their sums until the transaction ends. One that has added some already has locked the tables: we
    wait for it and count its events; one that has not cannot have committed, and adds its own to ours.
    """
    for rollup in _ROLLUPS:  # in the order in which loaders add
        connection.execute(sa.text(f"LOCK TABLE {rollup.table.fullname} IN SHARE ROW EXCLUSIVE MODE"))
    _prefer_hashing(connection)
    for rollup in _ROLLUPS:
        _replace(connection, rollup, _span(tenant, day))


def _prefer_hashing(connection: sa.Connection) -> None:
    """Group a day's events by hashing, whatever a planner without statistics thinks: sorting them takes twice as long.

    What does not fit into the memory goes to disk.
    """
    connection.execute(sa.text("SET LOCAL enable_sort = off"))
    connection.execute(sa.text("SET LOCAL work_mem = '64MB'"))


def _span(tenant: str, day: datetime) -> dict[str, Any]:
    return {"tenant": tenant, "start": day, "end": day + _DAY}


def _counted(rollup: _Rollup) -> sa.TextualSelect:
    return statement(rollup.recount).columns(*(sa.column(c.name, c.type) for c in rollup.table.c))


def _is_of_the_day(rollup: _Rollup) -> sa.ColumnElement[bool]:
    time = rollup.table.c[rollup.key[0]]
    return sa.and_(
        rollup.table.c.tenant_id == sa.bindparam("tenant"), time >= sa.bindparam("start"), time < sa.bindparam("end")
    )


def _replace(connection: sa.Connection, rollup: _Rollup, span: dict[str, Any]) -> None:
    connection.execute(sa.delete(rollup.table).where(_is_of_the_day(rollup)), span)
    names = [column.name for column in rollup.table.c]
    connection.execute(sa.insert(rollup.table).from_select(names, _counted(rollup)), span)


def _compare(connection: sa.Connection, rollup: _Rollup, span: dict[str, Any]) -> Comparison:
    sides = _sides(rollup)
    wrong = sides.c.rolled_up.is_distinct_from(sides.c.counted)
    names = [sides.c[name] for name in rollup.key]
    query = (
        sa.select(sides, wrong.label("wrong"), sa.func.count().over().label("keys"),
                  sa.func.count().filter(wrong).over().label("differing"))
        .order_by(wrong.desc(), *names)
        .limit(SHOWN)
    )  # fmt: skip
    rows = connection.execute(query, span).all()
    table = rollup.table.name
    if not rows:
        return Comparison(table)
    first = tuple(_difference(rollup, row) for row in rows if row.wrong)
    return Comparison(table, rows[0].keys, rows[0].differing, first)


def _sides(rollup: _Rollup) -> sa.Subquery:
    """Return each key once with the sums of either side; GROUP BY, unlike a join, takes two NULLs for the same."""
    counted = _counted(rollup).subquery("counted_anew")
    both = sa.union_all(
        _side(rollup, counted, is_counted=True),
        _side(rollup, rollup.table, is_counted=False).where(_is_of_the_day(rollup)),
    ).subquery("both")
    key = [both.c[name] for name in rollup.key]
    sums, is_counted = sa.func.max(both.c.sums), both.c.is_counted
    sides = (sums.filter(~is_counted).label("rolled_up"), sums.filter(is_counted).label("counted"))
    return sa.select(*key, *sides).group_by(*key).subquery("sides")


def _side(rollup: _Rollup, rows: sa.FromClause, *, is_counted: bool) -> sa.Select[Any]:
    sums = sa.cast(array([rows.c[name] for name in rollup.sums]), ARRAY(sa.Numeric))
    return sa.select(
        *(rows.c[name] for name in rollup.key), sums.label("sums"), sa.literal(is_counted).label("is_counted")
    )


def _difference(rollup: _Rollup, row: sa.Row[Any]) -> Difference:
    key = {name: getattr(row, name) for name in rollup.key}
    kept, counted = (
        dict(zip(rollup.sums, sums, strict=True)) if sums else None for sums in (row.rolled_up, row.counted)
    )
    return Difference(rollup.table.name, key, kept, counted)


def hold_days(connection: sa.Connection, tenant: str) -> datetime | None:
    """Return the floor, and let no day be dropped until the transaction ends; takes no snapshot before it can."""
    connection.execute(sa.text("LOCK TABLE ONLY watchkeeper.usage_events IN ACCESS SHARE MODE"))
    return usage.floor(connection, tenant)
