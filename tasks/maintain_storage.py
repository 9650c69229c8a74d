"""Look after the tables once a day: partitions ahead, old days dropped, what expired deleted.

Before it: loaders fill the tables. After it: `tasks/show_storage.py` shows what they take. `tasks/stores/retention.py`
says why no event of a dropped day can come back.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

import psycopg
import sqlalchemy as sa
from prefect import task
from prefect.cache_policies import NO_CACHE

from ops.errors import Unavailable
from ops.window import floor_day
from tasks.settings import Settings
from tasks.stores import evaluation_runs, retention, usage

KEEP_CHUNKS = timedelta(days=90)  # long after anybody resumes a backfill
_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Dropped:
    """Which days went, and which could not because another tenant keeps them."""

    days: tuple[datetime, ...] = ()
    shared: tuple[datetime, ...] = ()


@task(cache_policy=NO_CACHE, persist_result=False)
def make_partitions(engine: sa.Engine, settings: Settings, now: datetime) -> None:
    """Make the partitions of today and of the days ahead, so that no loader has to."""
    ahead = range(settings.storage.ahead_days + 1)
    usage.ensure_partitions(engine, [(now + number * _DAY).date() for number in ahead], settings.tenant)


@task(cache_policy=NO_CACHE, persist_result=False, retries=5, retry_delay_seconds=20)
def drop_old_days(engine: sa.Engine, settings: Settings, now: datetime) -> Dropped:
    """Drop the days that are older than the settings keep, the oldest first, each in a transaction.

    Raises:
        Unavailable: somebody reads or writes for longer than a drop may wait; the days before are gone.
    """
    if settings.storage.keep_events_days is None:
        return Dropped()
    with engine.connect() as connection:
        today = floor_day(retention.present(connection, now))
        days = usage.partition_midnights(connection)
    kept_from = today - settings.storage.keep_events_days * _DAY
    try:
        gone = {day: _drop(engine, settings.tenant, day) for day in days if day < kept_from}
        with engine.begin() as connection:
            retention.raise_floor(connection, settings.tenant, kept_from)
    except sa.exc.OperationalError as error:
        if not isinstance(error.orig, psycopg.errors.LockNotAvailable):
            raise
        raise Unavailable("usage_events", f"in use for more than {retention.LOCK_TIMEOUT} on end") from None
    return Dropped(tuple(day for day in gone if gone[day]), tuple(day for day in gone if not gone[day]))


def _drop(engine: sa.Engine, tenant: str, day: datetime) -> bool:
    with engine.begin() as connection:
        return retention.drop_day(connection, tenant, day)


@task(cache_policy=NO_CACHE, persist_result=False)
def delete_expired(engine: sa.Engine, settings: Settings, now: datetime) -> dict[str, int]:
    """Delete what is old, expired or of events that are gone, and say how many of each."""
    tenant = settings.tenant
    with engine.connect() as connection:
        present = retention.present(connection, now)
    keep = settings.storage
    deleted = {
        "rejects": retention.delete_rejects(engine, tenant, present - keep.keep_rejects_days * _DAY),
        "answers": retention.forget_evaluated(engine, tenant, present - keep.keep_answers_days * _DAY),
        "vectors": retention.delete_expired_vectors(engine, tenant, present),
        "chunks": retention.delete_chunks(engine, tenant, present - KEEP_CHUNKS),
    }
    if keep.keep_events_days is not None:  # without, every text still has its event
        deleted["texts"] = retention.delete_unused_texts(engine, tenant)
    return deleted


@task(cache_policy=NO_CACHE, persist_result=False)
def abandon_evaluations(engine: sa.Engine, settings: Settings, now: datetime) -> int:
    """Close the evaluation runs that were interrupted too long ago to be gone on with, and say how many."""
    with engine.begin() as connection:
        return evaluation_runs.abandon(connection, settings.tenant, retention.present(connection, now))


@task(cache_policy=NO_CACHE, persist_result=False)
def analyze_yesterday(engine: sa.Engine, now: datetime) -> bool:
    """Give the planner statistics of the day that is over; False when nothing was loaded for it."""
    yesterday = (floor_day(now) - _DAY).date()
    with engine.begin() as connection:
        names = [name for name, day in usage.partitions(connection).items() if day == yesterday]
        for name in names:
            connection.execute(sa.text(f"ANALYZE watchkeeper.{name}"))
    return bool(names)


def summary(dropped: Dropped, deleted: dict[str, int]) -> str:
    """Say in one line what went."""
    days = f"{len(dropped.days):,} days dropped"
    if dropped.shared:
        days += f", {len(dropped.shared):,} kept for other tenants"
    return "; ".join([days, *(f"{count:,} {name} deleted" for name, count in deleted.items() if count)])
