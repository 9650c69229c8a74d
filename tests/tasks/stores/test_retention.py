"""Days that go, the floor that says so, and writers that are under way meanwhile."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa

from ops.usage import UsageEvent
from tasks.sources.interface import Batch
from tasks.stores import ingest, retention, usage
from tasks.stores.tables import prompt_texts, usage_events, usage_rejects
from tasks.write_usage import Target, Writer
from tests.loaded_days import DAY, HOUR, NOW, ORIGIN, TENANT, TODAY, daily, event, execute, scalar, write
from tests.waiting import are_waiting

MOMENT = timedelta(microseconds=1)


def days_of(engine: sa.Engine) -> list[datetime]:
    with engine.connect() as connection:
        return usage.partition_midnights(connection)


def floor_of(engine: sa.Engine, tenant: str = TENANT) -> datetime | None:
    with engine.connect() as connection:
        return usage.floor(connection, tenant)


def drop(engine: sa.Engine, day: datetime, tenant: str = TENANT) -> bool:
    with engine.begin() as connection:
        return retention.drop_day(connection, tenant, day)


def raise_floor(engine: sa.Engine, to: datetime, tenant: str = TENANT) -> None:
    with engine.begin() as connection:
        retention.raise_floor(connection, tenant, to)


def rejects(engine: sa.Engine) -> list[Any]:
    with engine.connect() as connection:
        return list(connection.execute(sa.select(usage_rejects).order_by(usage_rejects.c.reject_id)))


def test_floor_is_unknown_until_a_day_was_dropped(engine: sa.Engine) -> None:
    first, second, *_ = daily(engine, 3)
    assert floor_of(engine) is None
    assert drop(engine, first)
    assert (floor_of(engine), days_of(engine)) == (second, [second, second + DAY])
    assert scalar(engine, "SELECT count(*) FROM watchkeeper.usage_events") == 2 * 2
    assert floor_of(engine, "other") is None


def test_drop_that_is_rolled_back_leaves_the_day_and_the_floor(engine: sa.Engine) -> None:
    [first, _] = daily(engine, 2)
    with engine.connect() as connection:
        assert retention.drop_day(connection, TENANT, first)
        connection.rollback()
    assert floor_of(engine) is None
    assert days_of(engine)[0] == first
    assert scalar(engine, "SELECT count(*) FROM watchkeeper.usage_events") == 4


def test_floor_moves_up_and_never_down(engine: sa.Engine) -> None:
    reached = []
    for to in (TODAY - DAY, TODAY, TODAY - 2 * DAY):
        raise_floor(engine, to)
        reached.append(floor_of(engine))
    assert reached == [TODAY - DAY, TODAY, TODAY]


def test_day_goes_only_when_every_tenant_with_events_on_it_lets_it_go(engine: sa.Engine) -> None:
    day = daily(engine, 1)[0]
    daily(engine, 1, tenant="acme")
    daily(engine, 1, tenant="zeta")
    assert not drop(engine, day)
    assert not drop(engine, day, "zeta")
    assert (floor_of(engine), floor_of(engine, "zeta"), floor_of(engine, "acme")) == (day + DAY, day + DAY, None)
    assert scalar(engine, "SELECT count(*) FROM watchkeeper.usage_events") == 6
    assert drop(engine, day, "acme")
    assert days_of(engine) == []


def test_day_stays_while_another_tenants_floor_is_still_below_it(engine: sa.Engine) -> None:
    first, second = daily(engine, 2)
    daily(engine, 2, tenant="acme")
    assert not drop(engine, first)
    assert drop(engine, first, "acme")
    assert not drop(engine, second)
    assert days_of(engine) == [second]


def test_tenants_of_a_day_are_found_along_the_key(engine: sa.Engine) -> None:
    for tenant in ("b", "a", "c"):
        daily(engine, 2, tenant)
    write(engine, [event(TODAY - 5 * DAY)], "d")
    with engine.connect() as connection:
        assert retention.tenants_of(connection, TODAY) == ["a", "b", "c"]
        assert retention.tenants_of(connection, TODAY - 5 * DAY) == ["d"]
        assert retention.tenants_of(connection, TODAY - 9 * DAY) == []


def test_dropped_day_is_not_made_again_for_the_tenant_that_dropped_it(engine: sa.Engine) -> None:
    first, second = daily(engine, 2)
    drop(engine, first)
    usage.ensure_partitions(engine, [first.date(), second.date(), TODAY.date() + DAY], TENANT)
    assert days_of(engine) == [second, TODAY + DAY]
    usage.ensure_partitions(engine, [first.date()], "other")  # dropped nothing, and may have events of that day
    assert days_of(engine) == [first, second, TODAY + DAY]


LATE = "at or after 2026-03-04: older than what is kept; a duplicate could not be recognised"


def test_event_of_a_dropped_day_is_rejected_and_says_why(engine: sa.Engine) -> None:
    raise_floor(engine, TODAY - DAY)
    late = event(TODAY - DAY - MOMENT, event_id="late", prompt_text="a secret", prompt_hash="h")
    done = write(engine, [late, event(TODAY - DAY), event(NOW)], keep_texts=True)
    [row] = rejects(engine)
    assert (done.read, done.inserted, done.duplicates, done.rejected) == (3, 2, 0, 1)
    assert (row.tenant_id, row.source, row.kind, row.field) == (TENANT, "log", "jsonl", "occurred_at")
    assert row.reason == f"occurred_at: '2026-03-03T23:59:59.999999+00:00' is not {LATE}"
    assert done.first_reject == row.reason
    assert '"event_id":"late"' in row.raw
    assert "a secret" not in row.raw
    assert scalar(engine, "SELECT count(*) FROM watchkeeper.prompt_texts") == 0
    assert scalar(engine, "SELECT sum(events) FROM watchkeeper.usage_hourly") == 2
    assert days_of(engine) == [TODAY - DAY, TODAY]


@pytest.mark.parametrize("corrects", [pytest.param(False, id="of a log"), pytest.param(True, id="of a polled source")])
def test_late_event_that_comes_again_is_kept_once_and_never_counted(engine: sa.Engine, corrects: bool) -> None:
    day = daily(engine, 2)[0]
    late = event(day + HOUR, event_id="seen before")
    write(engine, [late])
    drop(engine, day)
    writer = Writer(Target(engine, TENANT), corrects=corrects)
    for _ in range(2):
        done = writer.write(Batch(events=[late]), ORIGIN, NOW)
        assert (done.read, done.inserted, done.duplicates, done.corrected, done.rejected) == (1, 0, 0, 0, 1)
    assert len(rejects(engine)) == 1
    of_the_day = "SELECT sum(events) FROM watchkeeper.usage_hourly WHERE hour < :today"
    assert scalar(engine, of_the_day, today=TODAY) == 3  # counted before the drop, and no more since


def test_writer_whose_partition_was_dropped_goes_on(engine: sa.Engine) -> None:
    first, second = daily(engine, 2)
    writer = Writer(Target(engine, TENANT))
    writer.write(Batch(events=[event(first)]), ORIGIN, NOW)
    drop(engine, first)
    done = writer.write(Batch(events=[event(first), event(second)]), ORIGIN, NOW)
    assert (done.inserted, done.rejected) == (1, 1)


def holding(
    engine: sa.Engine, work: Callable[[sa.Connection], object], meanwhile: Callable[[], object], url: str
) -> Any:
    """Do `work` in a transaction, start `meanwhile` beside it, commit once that waits; return what that returned."""
    with ThreadPoolExecutor(1) as pool:
        with engine.begin() as connection:
            work(connection)
            other = pool.submit(meanwhile)
            assert are_waiting(url, 1)
        return other.result()


def test_writer_that_comes_while_a_day_is_dropped_waits_and_sees_the_new_floor(
    engine: sa.Engine, database_url: str
) -> None:
    first, second = daily(engine, 2)
    done = holding(
        engine,
        lambda connection: retention.drop_day(connection, TENANT, first),
        lambda: write(engine, [event(first, event_id="old"), event(second, event_id="new")]),
        database_url,
    )
    assert (done.inserted, done.rejected) == (1, 1)
    assert days_of(engine) == [second]


def test_drop_that_comes_after_a_writer_read_the_floor_waits_for_what_it_writes(
    engine: sa.Engine, database_url: str
) -> None:
    first, _ = daily(engine, 2)
    old = event(first, event_id="under way")

    def begin_to_write(connection: sa.Connection) -> None:
        assert usage.hold_floor(connection, TENANT) is None
        assert usage.copy_new(connection, usage.pack(connection, TENANT, "log", [(old, usage.Price())]))

    assert holding(engine, begin_to_write, lambda: drop(engine, first), database_url)
    assert floor_of(engine) == first + DAY
    assert scalar(engine, "SELECT count(*) FROM watchkeeper.usage_events") == 2


def test_partition_is_made_only_after_a_drop_has_moved_the_floor(engine: sa.Engine, database_url: str) -> None:
    first, _ = daily(engine, 2)
    holding(
        engine,
        lambda connection: retention.raise_floor(connection, TENANT, first),
        lambda: usage.ensure_partitions(engine, [first.date() - DAY], TENANT),
        database_url,
    )
    assert days_of(engine)[0] == first


def test_drop_gives_up_when_somebody_reads_for_long_and_changes_nothing(
    engine: sa.Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "LOCK_TIMEOUT", "10ms")
    first, _ = daily(engine, 2)
    with engine.begin() as reader:
        reader.execute(sa.select(usage_events))
        with pytest.raises(sa.exc.OperationalError) as caught:
            drop(engine, first)
    assert isinstance(caught.value.orig, psycopg.errors.LockNotAvailable)
    assert (floor_of(engine), days_of(engine)[0]) == (None, first)


def test_present_is_never_later_than_the_clock_of_postgres(engine: sa.Engine) -> None:
    with engine.connect() as connection:
        assert retention.present(connection, NOW) == NOW
        clock = connection.execute(sa.select(sa.func.now())).scalar_one()
        assert retention.present(connection, clock + 1000 * DAY) == clock


def many(engine: sa.Engine, count: int) -> None:
    """Remember so many parts of a backfill, done a minute apart, the last one at NOW."""
    execute(
        engine,
        "INSERT INTO watchkeeper.ingest_chunks SELECT :tenant, 's', '', t, t, 1, t FROM generate_series("
        "CAST(:first AS timestamptz), CAST(:now AS timestamptz), interval '1 minute') AS t",
        tenant=TENANT, first=NOW - (count - 1) * timedelta(minutes=1), now=NOW,
    )  # fmt: skip


@pytest.mark.parametrize("count", [0, 1, 10_000, 20_001])
def test_delete_finds_all_of_however_many(engine: sa.Engine, count: int) -> None:
    if count:
        many(engine, count)
    assert retention.delete_chunks(engine, TENANT, NOW + MOMENT) == count
    assert scalar(engine, "SELECT count(*) FROM watchkeeper.ingest_chunks") == 0


def test_delete_leaves_what_is_younger_of_others_or_held(engine: sa.Engine) -> None:
    many(engine, 5)
    assert retention.delete_chunks(engine, "other", NOW) == 0
    with engine.begin() as holder:
        holder.execute(sa.text("SELECT FROM watchkeeper.ingest_chunks ORDER BY done_at LIMIT 1 FOR UPDATE"))
        assert retention.delete_chunks(engine, TENANT, NOW) == 5 - 2  # the last is not before NOW, the first is held
    assert retention.delete_chunks(engine, TENANT, NOW) == 1


def test_rejects_are_deleted_by_the_time_they_were_rejected(engine: sa.Engine) -> None:
    rows = [
        {"tenant_id": TENANT, "source": "s", "reject_id": name, "kind": "jsonl", "place": "p", "position": 1,
         "reason": "r", "raw": "", "cut": False, "rejected_at": when}
        for name, when in (("old", NOW - DAY - MOMENT), ("young", NOW - DAY))
    ]  # fmt: skip
    with engine.begin() as connection:
        connection.execute(sa.insert(usage_rejects), rows)
    assert retention.delete_rejects(engine, TENANT, NOW - DAY) == 1
    assert [row.reject_id for row in rejects(engine)] == ["young"]


def test_vectors_are_deleted_when_they_expired(engine: sa.Engine) -> None:
    for name, expires_at in (("gone", NOW), ("live", NOW + MOMENT)):
        execute(
            engine, "INSERT INTO watchkeeper.embedding_cache VALUES (:tenant, 'm', 8, :name, '', true, :now, :until)",
            tenant=TENANT, name=name, now=NOW - DAY, until=expires_at,
        )  # fmt: skip
    assert retention.delete_expired_vectors(engine, TENANT, NOW) == 1
    assert scalar(engine, "SELECT text_hash FROM watchkeeper.embedding_cache") == "live"


def asking(when: datetime, text: str) -> UsageEvent:
    return event(when, prompt_text=text, prompt_hash=f"hash of {text}", operation="embedding")


def test_texts_go_with_the_last_event_that_asked_for_them(engine: sa.Engine) -> None:
    first, second = TODAY - DAY, TODAY
    write(engine, [asking(first, "a"), asking(first, "b"), asking(second, "b")], keep_texts=True)
    write(engine, [asking(first, "a")], tenant="other", keep_texts=True)
    assert retention.delete_unused_texts(engine, TENANT) == 0
    drop(engine, first, "other")
    drop(engine, first)
    assert retention.delete_unused_texts(engine, TENANT) == 1
    with engine.connect() as connection:
        left = connection.execute(sa.select(prompt_texts).order_by(prompt_texts.c.tenant_id)).all()
    assert [(row.tenant_id, row.text) for row in left] == [(TENANT, "b"), ("other", "a")]


def test_floor_is_a_watermark_of_its_own(engine: sa.Engine) -> None:
    raise_floor(engine, TODAY)
    with engine.connect() as connection:
        assert ingest.watermark(connection, TENANT, "retention") == TODAY
        assert ingest.watermark(connection, TENANT, "load") is None
