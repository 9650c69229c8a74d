"""What the advice rests on: calls summed up to cells, calls that a cache would have answered, users' cost; and the
advice that was given.

Before it: events with their prices. After it: `tasks/advise_savings.py`. All of it in the caller's transaction.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from ops.cost.levers import EMBEDDING, TEXTS, Cell, Lever
from ops.cost.pricing import TokenSums
from ops.cost.right_sizing import Distribution, RouteUse
from ops.window import Window
from tasks.stores.sql import statement
from tasks.stores.tables import savings_advice, usage_events, usage_hourly
from tasks.stores.usage import driver

# A call as a cache sees it: id, time, a hash of what must be equal, whether it is an embedding, whether its answer may
# be kept. Plain tuples, as there are millions.
Call = tuple[str, datetime, int, bool, bool]
_ROWS = 20_000  # fetched at once
_REPEATED = """
CREATE TEMPORARY TABLE IF NOT EXISTS repeated_calls (event_id text NOT NULL, occurred_at timestamptz NOT NULL)
ON COMMIT DROP
"""
_CALLS = """
SELECT event_id, occurred_at,
       hashtextextended(prompt_hash, hashtextextended(coalesce(prompt_version, ''), hashtextextended(
           model, hashtextextended(vendor, hashtextextended(operation, 0))))),
       operation = 'embedding', status = 'success'
  FROM watchkeeper.usage_events
 WHERE tenant_id = %s AND occurred_at >= %s AND occurred_at < %s AND prompt_hash IS NOT NULL
 ORDER BY occurred_at, event_id
"""
_DAY = timedelta(days=1)
_QUANTILES = (0.5, 0.9, 0.95, 0.99, 1.0)


class Limit(NamedTuple):
    """How many tokens a route may use; None is any number."""

    max_input: int | None
    max_output: int | None = None


def models_in_use(connection: sa.Connection, tenant: str, window: Window) -> set[tuple[str, str]]:
    """Return the vendors and models that were called."""
    hourly = usage_hourly.c
    rows = connection.execute(
        sa.select(hourly.vendor, hourly.model)
        .where(hourly.tenant_id == tenant, hourly.hour >= window.start, hourly.hour < window.end)
        .distinct()
    )
    return {(row.vendor, row.model) for row in rows}


def calls(connection: sa.Connection, tenant: str, window: Window) -> Iterator[list[Call]]:
    """Yield the calls that tell their input, in the order of time, so many at once; day by day, each sorted alone.

    The rows of a batch are handed over before more are fetched: between two batches the connection is free.
    """
    for day in window.days():
        with driver(connection).cursor(f"calls_{day:%Y%m%d}", binary=True) as cursor:
            cursor.execute(_CALLS, (tenant, max(day, window.start), min(day + _DAY, window.end)))
            while rows := cursor.fetchmany(_ROWS):
                yield rows


def keep_repeated(connection: sa.Connection, found: Sequence[Call]) -> None:
    """Remember calls as repeats until the transaction ends."""
    with driver(connection).cursor() as cursor, cursor.copy("COPY repeated_calls FROM STDIN (FORMAT BINARY)") as copy:
        copy.set_types(["text", "timestamptz"])
        for call in found:
            copy.write_row(call[:2])


def prepare(connection: sa.Connection) -> None:
    """Make the place for repeats."""
    connection.execute(sa.text(_REPEATED))


def cells(
    connection: sa.Connection, tenant: str, window: Window, edges: Sequence[int], limits: Mapping[str, Limit]
) -> list[Cell]:
    """Sum up what priced calls used and cost; `edges` are the input sizes, from 0 on, at which some price changes."""
    prepare(connection)
    rows = connection.execute(
        statement("usage_cells"),
        {
            "tenant": tenant, "start": window.start, "end": window.end, "edges": list(edges), "routes": list(limits),
            "inputs": [limit.max_input for limit in limits.values()],
            "outputs": [limit.max_output for limit in limits.values()],
        },
    )  # fmt: skip
    return [_cell(row) for row in rows]


def _cell(row: Any) -> Cell:
    model = (row.vendor, row.model)
    return Cell(
        day=row.day, route=row.route, model=model, logged_model=model, tier=row.tier, operation=row.operation,
        repeats=row.repeats, size=row.size, trimmed_size=row.kept_size, cost_usd=row.cost_usd,
        sums=TokenSums(row.requests, row.input, row.cached, row.written, row.output, row.written_1h),
        trimmed=TokenSums(
            row.requests, row.kept_input, row.kept_cached, row.kept_written, row.kept_output, row.kept_written_1h
        ),
    )  # fmt: skip


def route_use(connection: sa.Connection, tenant: str, window: Window) -> list[RouteUse]:
    """Return how many tokens each route's chats use, by the exact quantiles."""
    values = {"tenant": tenant, "start": window.start, "end": window.end, "quantiles": list(_QUANTILES)}
    rows = connection.execute(statement("route_use"), values)
    return [RouteUse(row.route, row.requests, _distribution(row.input), _distribution(row.output)) for row in rows]


def _distribution(quantiles: Sequence[int | None] | None) -> Distribution | None:
    known = [value for value in quantiles or () if value is not None]
    return Distribution(*known) if known else None


@dataclass(frozen=True, slots=True)
class Hashed:
    """How many calls there were, and how many of them tell their input."""

    calls: int
    hashed: int


def hashed(connection: sa.Connection, tenant: str, window: Window) -> dict[Lever, Hashed]:
    """Count for each cache the calls that it is about."""
    event = usage_events.c
    is_embedding = (event.operation == EMBEDDING).label("is_embedding")
    rows = connection.execute(
        sa.select(is_embedding, sa.func.count(), sa.func.count(event.prompt_hash))
        .where(event.tenant_id == tenant, event.occurred_at >= window.start, event.occurred_at < window.end)
        .group_by(is_embedding)
    )
    counts = {is_embedding: Hashed(calls, hashed) for is_embedding, calls, hashed in rows}
    nothing = Hashed(0, 0)
    return {
        Lever.RESPONSE_CACHE: counts.get(False, nothing),
        Lever.EMBEDDING_CACHE: counts.get(True, nothing),
    }


def user_costs(
    connection: sa.Connection, tenant: str, window: Window, lever: Lever
) -> Iterator[tuple[str, int, Decimal]]:
    """Yield what each user's priced calls cost that the lever is about: user, calls, USD."""
    event = usage_events.c
    kinds = [kind for kind in (True, False) if lever.is_about(EMBEDDING if kind else "chat")]
    rows = connection.execute(
        sa.select(event.user_id, sa.func.count(), sa.func.sum(event.cost_usd))
        .where(event.tenant_id == tenant, event.occurred_at >= window.start, event.occurred_at < window.end)
        .where(event.user_id.is_not(None), event.cost_usd.is_not(None), (event.operation == EMBEDDING).in_(kinds))
        .group_by(event.user_id)
        .execution_options(yield_per=_ROWS)
    )
    yield from ((user, calls, cost) for user, calls, cost in rows)


def save(connection: sa.Connection, rows: Sequence[Mapping[str, Any]]) -> None:
    """Keep advice; that given again as of the same time replaces it."""
    new = insert(savings_advice)
    key = [column.name for column in savings_advice.primary_key]
    changed = {column.name: new.excluded[column.name] for column in savings_advice.c if column.name not in key}
    connection.execute(new.on_conflict_do_update(index_elements=key, set_=changed), list(rows))


def main_models(connection: sa.Connection, tenant: str, window: Window) -> dict[str, tuple[str, str]]:
    """Return of each route the model that its chats spent most on."""
    hourly = usage_hourly.c
    spent = (sa.func.sum(hourly.cost_usd).desc(), sa.func.sum(hourly.events).desc())
    rows = connection.execute(
        sa.select(hourly.feature, hourly.vendor, hourly.model)
        .where(hourly.tenant_id == tenant, hourly.hour >= window.start, hourly.hour < window.end)
        .where(hourly.operation.in_(TEXTS))
        .group_by(hourly.feature, hourly.vendor, hourly.model)
        .order_by(*spent, hourly.vendor, hourly.model)
    )
    found: dict[str, tuple[str, str]] = {}
    for row in rows:
        found.setdefault(row.feature or "", (row.vendor, row.model))
    return found


def predicted(connection: sa.Connection, tenant: str, lever: Lever, before: datetime) -> float | None:
    """Return what share of its calls' cost the lever would save alone, by the last advice as of then or earlier."""
    advice = savings_advice.c
    row = connection.execute(
        sa.select(advice.alone_usd, advice.base_usd)
        .where(advice.tenant_id == tenant, advice.lever == lever.value, advice.as_of <= before)
        .where(advice.alone_usd.is_not(None), advice.base_usd > 0)
        .order_by(advice.as_of.desc())
        .limit(1)
    ).one_or_none()
    return float(row.alone_usd / row.base_usd) if row else None
