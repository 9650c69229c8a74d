"""The daily care of the tables: what is made, what goes, what stays, and whoever is in the way."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa

from ops.errors import Unavailable
from tasks.maintain_storage import (
    Dropped,
    analyze_yesterday,
    delete_expired,
    drop_old_days,
    make_partitions,
    summary,
)
from tasks.settings import Settings, Storage
from tasks.stores import retention, usage
from tasks.verify_rollups import verify_rollups
from tests.loaded_days import DAY, HOUR, NOW, TENANT, TODAY, daily, event, execute, scalar, write
from tests.waiting import are_waiting

KEPT = 35
FIRST_KEPT = TODAY - KEPT * DAY


def keeping(settings: Settings, days: int | None = KEPT, **storage: Any) -> Settings:
    return settings.model_copy(update={"storage": Storage(keep_events_days=days, **storage)})


def days_of(engine: sa.Engine) -> list[datetime]:
    with engine.connect() as connection:
        return usage.partition_midnights(connection)


def floor_of(engine: sa.Engine, tenant: str = TENANT) -> datetime | None:
    with engine.connect() as connection:
        return usage.floor(connection, tenant)


def drop(engine: sa.Engine, settings: Settings, now: datetime = NOW) -> Dropped:
    return drop_old_days.fn(engine, settings, now)


def test_partitions_of_today_and_the_days_ahead_are_made(engine: sa.Engine, settings: Settings) -> None:
    make_partitions.fn(engine, settings, NOW)
    assert days_of(engine) == [TODAY + number * DAY for number in range(1 + 7)]
    make_partitions.fn(engine, keeping(settings, ahead_days=8), NOW)
    assert len(days_of(engine)) == 1 + 8


def test_partitions_made_ahead_hold_what_comes(engine: sa.Engine, settings: Settings) -> None:
    make_partitions.fn(engine, settings, NOW)
    assert write(engine, [event(NOW), event(NOW + DAY / 2)]).inserted == 2
    assert len(days_of(engine)) == 8


def test_nothing_is_dropped_unless_the_settings_say_so(engine: sa.Engine, settings: Settings) -> None:
    write(engine, [event(TODAY - 400 * DAY)])
    assert drop(engine, settings) == Dropped()
    assert (floor_of(engine), len(days_of(engine))) == (None, 1)


def test_days_older_than_what_is_kept_go_and_their_rollups_stay(engine: sa.Engine, settings: Settings) -> None:
    daily(engine, KEPT + 3)  # the whole days that are kept, today, and two more
    assert drop(engine, keeping(settings)) == Dropped((FIRST_KEPT - 2 * DAY, FIRST_KEPT - DAY))
    assert days_of(engine)[0] == FIRST_KEPT == floor_of(engine)
    assert scalar(engine, "SELECT count(*) FROM watchkeeper.usage_events") == (KEPT + 1) * 2
    assert scalar(engine, "SELECT sum(events) FROM watchkeeper.usage_hourly") == (KEPT + 3) * 2
    assert verify_rollups(engine, TENANT, None, lambda *_: None).differing == 0
    assert drop(engine, keeping(settings)) == Dropped()


def test_floor_rises_to_the_day_that_is_kept_though_none_is_dropped(engine: sa.Engine, settings: Settings) -> None:
    assert drop(engine, keeping(settings)) == Dropped()
    assert floor_of(engine) == FIRST_KEPT
    assert write(engine, [event(FIRST_KEPT - HOUR), event(FIRST_KEPT)]).rejected == 1
    assert days_of(engine) == [FIRST_KEPT]


def test_replay_of_an_older_day_brings_nothing_back_and_drops_nothing_more(
    engine: sa.Engine, settings: Settings
) -> None:
    daily(engine, KEPT + 1)
    drop(engine, keeping(settings))
    assert drop(engine, keeping(settings), NOW - 10 * DAY) == Dropped()
    make_partitions.fn(engine, keeping(settings), NOW - (KEPT + 20) * DAY)
    assert floor_of(engine) == FIRST_KEPT == days_of(engine)[0]


def test_run_as_of_a_day_to_come_drops_no_more_than_one_of_today(engine: sa.Engine, settings: Settings) -> None:
    today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    usage.ensure_partitions(engine, [(today - number * DAY).date() for number in (1, KEPT - 1, KEPT + 2)])
    drop(engine, keeping(settings), today + 1000 * DAY)
    assert len(days_of(engine)) == 2
    found = floor_of(engine)
    assert found is not None
    assert timedelta(0) <= found - (today - KEPT * DAY) <= DAY  # midnight may pass while this runs


def test_day_that_another_tenant_keeps_stays_until_that_lets_it_go(engine: sa.Engine, settings: Settings) -> None:
    old = FIRST_KEPT - DAY
    for tenant in (TENANT, "other"):
        write(engine, [event(old + HOUR)], tenant)
    assert drop(engine, keeping(settings)) == Dropped(shared=(old,))
    assert days_of(engine) == [old]
    others = keeping(settings).model_copy(update={"tenant": "other"})
    assert drop(engine, others) == Dropped((old,))


def test_reader_that_is_in_the_way_makes_it_unavailable_and_keeps_what_was_done(
    engine: sa.Engine, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "LOCK_TIMEOUT", "10ms")
    daily(engine, KEPT + 2)
    with engine.begin() as reader:
        reader.execute(sa.text("SELECT FROM watchkeeper.usage_events"))
        with pytest.raises(
            Unavailable, match="usage_events is unavailable: in use for more than 10ms on end"
        ) as caught:
            drop(engine, keeping(settings))
        assert caught.value.retryable
    assert (floor_of(engine), len(days_of(engine))) == (None, KEPT + 2)
    assert len(drop(engine, keeping(settings)).days) == 1


def test_other_errors_of_the_database_are_not_taken_for_a_lock(
    engine: sa.Engine, settings: Settings, database_url: str
) -> None:
    daily(engine, KEPT + 2)
    with ThreadPoolExecutor(1) as pool, engine.begin() as reader:
        reader.execute(sa.text("SELECT FROM watchkeeper.usage_events"))
        dropping = pool.submit(drop, engine, keeping(settings))
        assert are_waiting(database_url, 1)
        execute(engine, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
                        " AND datname = current_database()")  # fmt: skip
        with pytest.raises(sa.exc.OperationalError) as caught:
            dropping.result()
    assert isinstance(caught.value.orig, psycopg.errors.AdminShutdown)


def test_drop_is_tried_again_by_prefect_and_the_other_tasks_are_not() -> None:
    assert (drop_old_days.retries, drop_old_days.retry_delay_seconds) == (5, 20)
    assert {task.retries for task in (make_partitions, delete_expired, analyze_yesterday)} == {0}


def test_loaders_that_write_while_days_are_dropped_lose_nothing_and_count_nothing_twice(
    engine: sa.Engine, settings: Settings
) -> None:
    days = daily(engine, KEPT + 8)
    batches = 40

    def write_on() -> tuple[int, int]:
        done = [write(engine, [event(day + HOUR) for day in days]) for _ in range(batches)]
        return sum(one.inserted for one in done), sum(one.rejected for one in done)

    def drop_on() -> int:
        return sum(len(drop(engine, keeping(settings), NOW - before * DAY).days) for before in (6, 5, 4, 3, 2, 1, 0))

    with ThreadPoolExecutor(2) as pool:
        written, dropped = pool.submit(write_on), pool.submit(drop_on)
        inserted, rejected = written.result()
        assert dropped.result() == 7
    assert inserted + rejected == batches * len(days)
    rolled_up = scalar(engine, "SELECT sum(events) FROM watchkeeper.usage_hourly")
    assert rolled_up == len(days) * 2 + inserted
    assert scalar(engine, "SELECT count(*) FROM watchkeeper.usage_rejects") == rejected
    assert days_of(engine) == days[7:]
    assert verify_rollups(engine, TENANT, None, lambda *_: None).differing == 0


def reject(engine: sa.Engine, name: str, when: datetime) -> None:
    execute(
        engine, "INSERT INTO watchkeeper.usage_rejects VALUES (:t, 's', :name, 'jsonl', 'p', 1, NULL, 'r', '', false, "
                "NULL, :when)", t=TENANT, name=name, when=when,
    )  # fmt: skip


def chunk(engine: sa.Engine, when: datetime) -> None:
    execute(engine, "INSERT INTO watchkeeper.ingest_chunks VALUES (:t, 's', '', :w, :w, 1, :w)", t=TENANT, w=when)


def vector(engine: sa.Engine, name: str, expires_at: datetime) -> None:
    execute(
        engine, "INSERT INTO watchkeeper.embedding_cache VALUES (:t, 'm', 1, :name, '', false, :when, :when)",
        t=TENANT, name=name, when=expires_at,
    )  # fmt: skip


def test_what_expired_is_deleted_and_counted(engine: sa.Engine, settings: Settings) -> None:
    for age in (0, 89, 91, 200):
        reject(engine, f"{age}", NOW - age * DAY)
        chunk(engine, NOW - age * DAY)
        vector(engine, f"{age}", NOW - age * DAY + HOUR)
    assert delete_expired.fn(engine, settings, NOW) == {"rejects": 2, "answers": 0, "vectors": 3, "chunks": 2}
    shorter = keeping(settings, None, keep_rejects_days=30)
    assert delete_expired.fn(engine, shorter, NOW) == {"rejects": 1, "answers": 0, "vectors": 0, "chunks": 0}


def test_texts_go_only_where_events_do(engine: sa.Engine, settings: Settings) -> None:
    old = event(FIRST_KEPT - HOUR, prompt_text="old", prompt_hash="o")
    write(engine, [old, event(NOW, prompt_text="new", prompt_hash="n")], keep_texts=True)
    execute(engine, "INSERT INTO watchkeeper.prompt_texts VALUES (:t, 'x', 'of no event')", t=TENANT)
    assert "texts" not in delete_expired.fn(engine, settings, NOW)
    drop(engine, keeping(settings))
    assert delete_expired.fn(engine, keeping(settings), NOW)["texts"] == 2
    assert scalar(engine, "SELECT text FROM watchkeeper.prompt_texts") == "new"


def test_run_as_of_a_day_to_come_deletes_nothing_that_is_still_good(engine: sa.Engine, settings: Settings) -> None:
    now = datetime.now(UTC)
    reject(engine, "today's", now)
    vector(engine, "for an hour", now + HOUR)
    assert delete_expired.fn(engine, settings, now + 1000 * DAY) == {
        "rejects": 0,
        "answers": 0,
        "vectors": 0,
        "chunks": 0,
    }


def test_yesterday_is_analysed(engine: sa.Engine) -> None:
    daily(engine, 2)
    known = "SELECT count(*) FROM pg_stats WHERE schemaname = 'watchkeeper' AND tablename LIKE 'usage_events_%'"
    assert scalar(engine, known) == 0
    assert analyze_yesterday.fn(engine, NOW)
    assert scalar(engine, f"{known} AND tablename = 'usage_events_20260304'") == scalar(engine, known) > 0


def test_yesterday_without_events_is_not_analysed(engine: sa.Engine) -> None:
    daily(engine, 1)
    assert not analyze_yesterday.fn(engine, NOW)


@pytest.mark.parametrize(
    ("dropped", "deleted", "expected"),
    [
        pytest.param(Dropped(), {"rejects": 0}, "0 days dropped", id="nothing"),
        pytest.param(
            Dropped((TODAY,)), {"rejects": 1200, "texts": 0}, "1 days dropped; 1,200 rejects deleted", id="some"
        ),
        pytest.param(Dropped((), (TODAY,)), {}, "0 days dropped, 1 kept for other tenants", id="what others keep"),
    ],
)
def test_summary_says_in_a_line(dropped: Dropped, deleted: dict[str, int], expected: str) -> None:
    assert summary(dropped, deleted) == expected
