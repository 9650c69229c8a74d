"""Evaluation runs as rows: a call is written with what it may cost before it is made, and settled after it.

Used by `tasks/run_evaluations.py` and `tasks/evaluate_items.py`. `spent_usd` of a run is the sum of its calls'
`cost_usd` after every transaction, and its row is the gate of its budget. Who was killed leaves calls without an
outcome: they are taken to have been made.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import msgspec
import sqlalchemy as sa

from ops.errors import NotFound, Unavailable
from ops.monitoring.baselines import Series
from ops.monitoring.evaluation_calls import Outcome, Step
from ops.monitoring.golden import GoldenItem
from ops.monitoring.quality_status import LastRun, Mark
from ops.scores import Score
from tasks.stores import baselines, ingest
from tasks.stores.sql import statement
from tasks.stores.tables import evaluation_calls, evaluation_runs

RESUMABLE = timedelta(days=1)  # an older run is abandoned: what is asked today is another measure
_IS_HELD: sa.ColumnElement[bool] = sa.literal_column(
    """EXISTS (
    SELECT FROM pg_locks -- the lock of `held`
     WHERE locktype = 'advisory' AND objsubid = 1 AND granted
       AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
       AND CAST(classid AS bigint) << 32 | CAST(objid AS bigint)
         = hashtextextended('watchkeeper.evaluation/' || evaluation_runs.tenant_id || '/' || evaluation_runs.name, 0)
)""",
    sa.Boolean,
)
_runs, _calls = evaluation_runs.c, evaluation_calls.c


@dataclass(frozen=True, slots=True)
class Run:
    """A run in the table."""

    tenant: str
    run_id: str
    started_at: datetime
    is_open: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Settled:
    """What became of a call."""

    outcome: Outcome
    cost_usd: Decimal
    is_assumed: bool
    answer: str | None = None
    detail: str | None = None
    claim: str | None = None  # a usage that is not believed
    scores: Sequence[Score] = ()


@contextmanager
def held(engine: sa.Engine, tenant: str, name: str) -> Iterator[bool]:
    """Hold a set as long as the block lasts; False when another process does. Who dies lets go."""
    lock = sa.func.hashtextextended(f"watchkeeper.evaluation/{tenant}/{name}", 0)
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        is_ours = bool(connection.execute(sa.select(sa.func.pg_try_advisory_lock(lock))).scalar())
        try:
            yield is_ours
        finally:
            if is_ours:
                with suppress(sa.exc.OperationalError):  # lost with its connection
                    connection.execute(sa.select(sa.func.pg_advisory_unlock(lock)))


def open_run(connection: sa.Connection, tenant: str, row: Mapping[str, Any]) -> Run:
    """Go on with the set's unfinished run of the same fingerprint, or begin one; the set is held.

    What other unfinished ones had left is abandoned. The calls that were on their way when their process died are
    accounted at what was reserved for them.
    """
    unfinished = _select(tenant, _runs.name == row["name"], _runs.state == "running")
    found: Run | None = None
    for each in connection.execute(unfinished).all():
        _interrupt(connection, tenant, each.run_id)
        is_same = each.fingerprint == row["fingerprint"] and abs(row["started_at"] - each.started_at) < RESUMABLE
        if found is None and is_same:
            found = Run(tenant, each.run_id, each.started_at, is_open=True)
        else:
            finish(connection, tenant, each.run_id, "abandoned", row["started_at"])
    return found or _begin(connection, tenant, row)


def _begin(connection: sa.Connection, tenant: str, row: Mapping[str, Any]) -> Run:
    run_id = f"{row['name']}:{row['started_at'].isoformat(timespec='milliseconds')}"
    before = connection.execute(_select(tenant, _runs.run_id == run_id)).one_or_none()  # the same time, replayed
    if before is None:
        values = {"tenant_id": tenant, "run_id": run_id, "state": "running", "spent_usd": 0, **row}
        connection.execute(sa.insert(evaluation_runs).values(values))
    return Run(tenant, run_id, row["started_at"], is_open=before is None)


def _interrupt(connection: sa.Connection, tenant: str, run_id: str) -> None:
    connection.execute(
        sa.update(evaluation_calls)
        .where(_calls.tenant_id == tenant, _calls.run_id == run_id, _calls.outcome.is_(None))
        .values(outcome=Outcome.INTERRUPTED, is_assumed=_calls.reserved_usd > 0)
    )


def reserve(connection: sa.Connection, run: Run, item: GoldenItem, step: Step, usd: Decimal) -> bool:
    """Write down a call that is about to be made, the first of an item with what the item says.

    False when the budget has no room for it.
    """
    has_room = connection.execute(
        sa.update(evaluation_runs)
        .where(_runs.tenant_id == run.tenant, _runs.run_id == run.run_id, _runs.spent_usd + usd <= _runs.budget_usd)
        .values(spent_usd=_runs.spent_usd + usd)
    ).rowcount
    if has_room:
        key = {"tenant_id": run.tenant, "run_id": run.run_id, "item_id": item.item_id, "step": step}
        costs = {"reserved_usd": usd, "cost_usd": usd, "is_assumed": False, "scores": {}}
        is_first = step is Step.ANSWER or item.answer is not None
        said = {name: value for name, value in msgspec.to_builtins(item).items() if value} if is_first else None
        connection.execute(sa.insert(evaluation_calls).values(**key, **costs, item=said))
    return bool(has_room)


def settle(connection: sa.Connection, run: Run, item_id: str, step: Step, settled: Settled) -> None:
    """Write down what became of a call, with its scores.

    Raises:
        Unavailable: it is not ours any more: our lock was lost, and another process has taken the run over.
    """
    found = connection.execute(
        sa.update(evaluation_calls)
        .where(_calls.tenant_id == run.tenant, _calls.run_id == run.run_id, _calls.item_id == item_id)
        .where(_calls.step == step, _calls.outcome.is_(None))
        .values(
            outcome=settled.outcome, cost_usd=settled.cost_usd, is_assumed=settled.is_assumed, answer=settled.answer,
            detail=settled.detail, claim=settled.claim, scores={score.metric: score.value for score in settled.scores},
        ).returning(_calls.reserved_usd)
    ).one_or_none()  # fmt: skip
    if found is None:
        raise Unavailable(f"evaluation run {run.run_id}", "another process has taken it over")
    change = settled.cost_usd - found.reserved_usd
    connection.execute(
        sa.update(evaluation_runs)
        .where(_runs.tenant_id == run.tenant, _runs.run_id == run.run_id)
        .values(spent_usd=_runs.spent_usd + change)
    )
    ingest.add_scores(connection, run.tenant, settled.scores)


def finish(connection: sa.Connection, tenant: str, run_id: str, state: str, now: datetime) -> None:
    """Close a run, and write what its calls add up to."""
    mine = (_calls.tenant_id == tenant, _calls.run_id == run_id)
    counted = sa.select(_calls.step, _calls.outcome, sa.func.count()).where(*mine).group_by(_calls.step, _calls.outcome)
    outcomes: dict[str, dict[str, int]] = {}
    for step, outcome, n in connection.execute(counted.order_by(_calls.step, _calls.outcome)):
        outcomes.setdefault(step, {})[outcome] = n
    marks = sa.func.jsonb_each_text(_calls.scores).table_valued("key", "value")
    value = sa.cast(marks.c.value, sa.Double)
    means = (
        sa.select(marks.c.key, sa.func.count(), sa.func.avg(value))
        .select_from(evaluation_calls.join(marks, sa.true()))
        .where(*mine)
        .group_by(marks.c.key)
    )
    results = {key: {"n": n, "mean": mean} for key, n, mean in connection.execute(means.order_by(marks.c.key))}
    assumed = sa.select(sa.func.coalesce(sa.func.sum(_calls.cost_usd), 0)).where(*mine, _calls.is_assumed)
    claims = sa.select(sa.func.count(_calls.claim)).where(*mine)
    connection.execute(
        sa.update(evaluation_runs)
        .where(_runs.tenant_id == tenant, _runs.run_id == run_id)
        .values(
            state=state,
            finished_at=now,
            outcomes=outcomes,
            results=results,
            assumed_usd=assumed.scalar_subquery(),
            claims=claims.scalar_subquery(),
        )
    )


def calls(connection: sa.Connection, tenant: str, run_id: str) -> list[sa.Row[Any]]:
    """Return the calls of a run, by item and step."""
    mine = sa.select(evaluation_calls).where(_calls.tenant_id == tenant, _calls.run_id == run_id)
    return list(connection.execute(mine.order_by(_calls.item_id, _calls.step)))


def one_run(connection: sa.Connection, tenant: str, name: str, now: datetime) -> sa.Row[Any]:
    """Return a run by its id, or the newest of a set, as it stands now.

    Raises:
        NotFound: neither is there.
    """
    query = _standing(tenant, now, sa.or_(_runs.run_id == name, _runs.name == name)).limit(1)
    found = connection.execute(query).one_or_none()
    if found is None:
        raise NotFound("evaluation run", name, "`watchkeeper evaluations show` lists them")
    return found


def newest(connection: sa.Connection, tenant: str, most: int, now: datetime) -> list[sa.Row[Any]]:
    """Return the newest runs as they stand now, the last one first."""
    return list(connection.execute(_standing(tenant, now).limit(most)))


def abandon(connection: sa.Connection, tenant: str, now: datetime) -> int:
    """Close the runs that nobody goes on with any more, and return how many."""
    found = connection.execute(_standing(tenant, now, _runs.state == "running")).all()
    forgotten = [run.run_id for run in found if run.state == "abandoned"]
    for run_id in forgotten:
        _interrupt(connection, tenant, run_id)
        finish(connection, tenant, run_id, "abandoned", now)
    return len(forgotten)


def _standing(tenant: str, now: datetime, *conditions: sa.ColumnElement[bool]) -> sa.Select[Any]:
    """Select runs with the state that they are in: of those that are not closed only one that is held is running.

    `begun` is how many of its items have an answer, or a failure; NULL once it is closed.
    """
    is_open = _runs.state == "running"
    mine = (_calls.tenant_id == _runs.tenant_id, _calls.run_id == _runs.run_id, _calls.outcome.is_not(None))
    begun = sa.select(sa.func.count(_calls.item_id.distinct())).where(*mine).scalar_subquery()
    state = sa.case(
        (sa.not_(is_open), _runs.state), (_IS_HELD, "running"),
        (_runs.started_at > now - RESUMABLE, "interrupted"), else_="abandoned",
    )  # fmt: skip
    told = [column for column in _runs if column.name != "state"]
    found = sa.select(*told, state.label("state"), sa.case((is_open, begun)).label("begun"))
    return found.where(_runs.tenant_id == tenant, *conditions).order_by(_runs.started_at.desc(), _runs.run_id)


def last_of(connection: sa.Connection, tenant: str, names: Sequence[str], now: datetime) -> dict[str, LastRun | None]:
    """Return the newest run of each of these sets, with its scores beside their baselines; None of one without."""
    found = connection.execute(statement("last_evaluations"), {"tenant": tenant, "names": names, "now": now}).all()
    scored = {run.name: [(Series(*mark[:4]), *mark[4:]) for mark in run.marks] for run in found}
    metrics = {series.metric for marks in scored.values() for series, _, _ in marks}
    known = baselines.in_force(connection, tenant, metrics, now)
    standing = connection.execute(_standing(tenant, now, _runs.run_id.in_([run.run_id for run in found])))
    states = {run.run_id: run.state for run in standing}
    runs = {run.name: _last_run(run, states[run.run_id], scored[run.name], known) for run in found}
    return {name: runs.get(name) for name in names}


def _last_run(
    run: sa.Row[Any], state: str, scored: Sequence[tuple[Series, int, float]],
    known: Mapping[Series, baselines.Baseline],
) -> LastRun:  # fmt: skip
    told = {name: value for name, value in run._mapping.items() if name not in ("run_id", "name", "marks")}
    return LastRun(**told, state=state, marks=[
        Mark(series=series, n=n, mean=mean, pinned=known[series].pinned if series in known else None)
        for series, n, mean in scored
    ])  # fmt: skip


def _select(tenant: str, *conditions: sa.ColumnElement[bool]) -> sa.Select[Any]:
    found = sa.select(evaluation_runs).where(_runs.tenant_id == tenant, *conditions)
    return found.order_by(_runs.started_at.desc(), _runs.run_id)
