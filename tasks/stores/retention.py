"""Let go of what is older than the settings keep: whole days of events, and rows of other tables.

Before it: `tasks/maintain_storage.py` says from when on to keep. A day goes together with a move of the tenant's floor
(`tasks/stores/usage.py`), below which nothing may be stored any more: it could be a duplicate of what is gone.
"""

from __future__ import annotations

from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from tasks.stores import usage
from tasks.stores.tables import (
    embedding_cache,
    evaluation_calls,
    evaluation_runs,
    ingest_chunks,
    prompt_texts,
    usage_events,
    usage_rejects,
    watermarks,
)

LOCK_TIMEOUT = "3s"  # more than deadlock_timeout, at which Postgres calls off an autovacuum that is in the way
_ROWS = 10_000  # of one DELETE
_DAY = timedelta(days=1)


def present(connection: sa.Connection, now: datetime) -> datetime:
    """Return `now`, but never a time that Postgres' clock has not reached: what is deleted does not come back."""
    return connection.execute(
        sa.select(sa.func.least(now, sa.func.now(), type_=sa.DateTime(timezone=True)))
    ).scalar_one()


def drop_day(connection: sa.Connection, tenant: str, day: datetime) -> bool:
    """Raise the tenant's floor above `day` and drop the day's events; False when another tenant still keeps its own.

    Waits for open writers no longer than LOCK_TIMEOUT: everybody else waits behind us in the meantime.
    """
    raise_floor(connection, tenant, day + _DAY)
    if _is_kept_by_others(connection, day):
        return False
    connection.execute(sa.text(f"DROP TABLE watchkeeper.usage_events_{day:%Y%m%d}"))
    return True


def raise_floor(connection: sa.Connection, tenant: str, kept_from: datetime) -> None:
    """Move the floor up, never down, when no write is under way that has read the one before."""
    connection.execute(sa.text(f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT}'"))
    connection.execute(sa.select(sa.func.pg_advisory_xact_lock(usage.PARTITION_LOCK)))
    connection.execute(sa.text("LOCK TABLE ONLY watchkeeper.usage_events IN ACCESS EXCLUSIVE MODE"))
    statement = insert(watermarks).values(tenant_id=tenant, step=usage.RETENTION, reached_at=kept_from)
    higher = sa.func.greatest(watermarks.c.reached_at, statement.excluded.reached_at)
    connection.execute(
        statement.on_conflict_do_update(index_elements=["tenant_id", "step"], set_={"reached_at": higher})
    )


def _is_kept_by_others(connection: sa.Connection, day: datetime) -> bool:
    """Whether a tenant has events on that day and a floor that is not above it."""
    return any(
        (kept_from := usage.floor(connection, tenant)) is None or kept_from <= day
        for tenant in tenants_of(connection, day)
    )


def tenants_of(connection: sa.Connection, day: datetime) -> list[str]:
    """Return who has events on a day: from one tenant to the next along the key, not through the rows."""
    on_day = (usage_events.c.occurred_at >= day, usage_events.c.occurred_at < day + _DAY)
    found: list[str] = []
    while True:
        after = (usage_events.c.tenant_id > found[-1],) if found else ()
        name = connection.execute(sa.select(sa.func.min(usage_events.c.tenant_id)).where(*on_day, *after)).scalar()
        if name is None:
            return found
        found.append(name)


def delete_rejects(engine: sa.Engine, tenant: str, before: datetime) -> int:
    """Delete rows that were rejected before a time, and return how many."""
    return _delete(engine, usage_rejects, usage_rejects.c.tenant_id == tenant, usage_rejects.c.rejected_at < before)


def delete_expired_vectors(engine: sa.Engine, tenant: str, now: datetime) -> int:
    """Delete the vectors that nobody would be given any more."""
    return _delete(engine, embedding_cache, embedding_cache.c.tenant_id == tenant, embedding_cache.c.expires_at <= now)


def delete_chunks(engine: sa.Engine, tenant: str, before: datetime) -> int:
    """Forget the parts of backfills that were done before a time; asked for again, they find their rows there."""
    return _delete(engine, ingest_chunks, ingest_chunks.c.tenant_id == tenant, ingest_chunks.c.done_at < before)


def delete_unused_texts(engine: sa.Engine, tenant: str) -> int:
    """Delete the texts that no event asks for any more; one that is asked for again is stored again."""
    asked_for = sa.exists().where(
        usage_events.c.tenant_id == tenant, usage_events.c.prompt_hash == prompt_texts.c.prompt_hash
    )
    return _delete(engine, prompt_texts, prompt_texts.c.tenant_id == tenant, ~asked_for)


def forget_evaluated(engine: sa.Engine, tenant: str, before: datetime) -> int:
    """Forget what was asked and answered in evaluation runs that began before a time; outcomes, scores, costs stay."""
    calls, runs = evaluation_calls.c, evaluation_runs.c
    old = sa.select(runs.run_id).where(runs.tenant_id == tenant, runs.started_at < before)
    texts = (calls.item, calls.answer, calls.detail, calls.claim)
    has_some = sa.or_(*(text.is_not(None) for text in texts))
    statement = sa.update(evaluation_calls).values({text.name: None for text in texts})
    return _some_at_a_time(
        engine, evaluation_calls, statement, calls.tenant_id == tenant, calls.run_id.in_(old), has_some
    )


def _delete(engine: sa.Engine, table: sa.Table, *where: sa.ColumnElement[bool]) -> int:
    return _some_at_a_time(engine, table, sa.delete(table), *where)


def _some_at_a_time(
    engine: sa.Engine, table: sa.Table, change: sa.Delete | sa.Update, *where: sa.ColumnElement[bool]
) -> int:
    """Change some rows at a time, none that somebody holds: nobody waits for us, nor we for them."""
    ctid: sa.ColumnClause[object] = sa.literal_column(f"{table.fullname}.ctid")
    some = sa.select(ctid).select_from(table).where(*where).limit(_ROWS).with_for_update(of=table, skip_locked=True)
    statement = change.where(ctid == sa.any_(sa.func.array(some.scalar_subquery())))
    total = 0
    while True:
        with engine.begin() as connection:
            gone = connection.execute(statement).rowcount
        total += gone
        if gone < _ROWS:
            return total
