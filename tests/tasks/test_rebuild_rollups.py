"""Roll-ups repaired: whatever is wrong with them, while loaders write, after kills; never where events are gone."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from threading import Barrier

import psycopg
import pytest
import sqlalchemy as sa

from ops.errors import InvalidValue
from ops.window import Window
from tasks.rebuild_rollups import Rebuilt, rebuild_day, rebuild_rollups
from tasks.stores import retention, usage
from tasks.verify_rollups import verify_rollups
from tests.loaded_days import DAY, HOUR, NOW, TENANT, TODAY, daily, event, execute, scalar, write
from tests.recount import differences
from tests.waiting import are_waiting


def rebuild(engine: sa.Engine, span: Window | None = None, *, orphans: bool = False) -> Rebuilt:
    return rebuild_rollups(engine, TENANT, span, lambda *_: None, orphans=orphans)


def verified(engine: sa.Engine) -> int:
    return verify_rollups(engine, TENANT, None, lambda *_: None).differing


def drop(engine: sa.Engine, day: datetime) -> None:
    with engine.begin() as connection:
        retention.drop_day(connection, TENANT, day)


def spoil(engine: sa.Engine, *days: datetime) -> None:
    """Make one row of each day wrong; one at a time, so that it can wait for loaders and never in a circle."""
    for day in days:
        execute(engine, "UPDATE watchkeeper.usage_hourly SET cost_usd = 7 WHERE hour = :hour", hour=day + HOUR)


BREAKS = {
    "a sum that is too large": "UPDATE watchkeeper.usage_hourly SET events = events + 1",
    "a key that is missing": "DELETE FROM watchkeeper.usage_hourly WHERE extract(hour FROM hour) = 1",
    "all of the latencies": "DELETE FROM watchkeeper.latency_hourly",
    "a latency bin of its own": "UPDATE watchkeeper.latency_hourly SET bin = bin + 1",
    "an hour without events": "UPDATE watchkeeper.usage_hourly SET hour = hour + interval '1 hour'",
    "a key without events": "INSERT INTO watchkeeper.latency_hourly SELECT tenant_id, hour, 'v', 'm', 's', 'r', 0, 5 "
    "FROM watchkeeper.latency_hourly",
}


@pytest.mark.parametrize("statement", [pytest.param(text, id=name) for name, text in BREAKS.items()])
def test_rebuild_repairs(engine: sa.Engine, statement: str) -> None:
    days = daily(engine, 3)
    execute(engine, statement)
    wrong = verified(engine)
    assert wrong > 0
    done = rebuild(engine)
    assert done == Rebuilt(3, tuple(days), keys=wrong)
    assert differences(engine) == []
    assert rebuild(engine) == Rebuilt(3)  # nothing is left to do


def test_rebuild_rewrites_no_day_that_is_sound(engine: sa.Engine) -> None:
    _, second, third = daily(engine, 3)
    spoil(engine, second)
    before = "SELECT array_agg(xmin ORDER BY hour) FROM watchkeeper.usage_hourly WHERE hour < :second OR hour >= :third"
    versions = scalar(engine, before, second=second, third=third)
    assert rebuild(engine).repaired == (second,)
    assert scalar(engine, before, second=second, third=third) == versions


def test_rebuild_keeps_to_its_span(engine: sa.Engine) -> None:
    days = daily(engine, 4)
    spoil(engine, *days)
    done = rebuild(engine, Window(days[1], days[3]))
    assert (done.days, done.repaired) == (2, (days[1], days[2]))
    assert verified(engine) == 4 - 2


def test_rebuild_leaves_other_tenants(engine: sa.Engine) -> None:
    daily(engine, 1)
    daily(engine, 1, tenant="other")
    spoil(engine, TODAY)
    rebuild(engine)
    assert len(differences(engine)) == 2  # the other's hour, as rolled up and as counted


def test_rebuild_refuses_days_that_retention_dropped(engine: sa.Engine) -> None:
    first, second = daily(engine, 2)
    drop(engine, first)
    with pytest.raises(InvalidValue) as caught:
        rebuild(engine, Window(first, TODAY + DAY))
    assert str(caught.value) == "--from: '2026-03-04' is not at or after 2026-03-05: the events before it were dropped"
    spoil(engine, second)
    assert rebuild(engine).repaired == (second,)
    assert scalar(engine, "SELECT sum(events) FROM watchkeeper.usage_hourly WHERE hour < :d", d=second) == 2


def test_rebuild_of_a_day_that_is_dropped_meanwhile_leaves_its_rollups(engine: sa.Engine, database_url: str) -> None:
    first, _ = daily(engine, 2)
    with ThreadPoolExecutor(1) as pool:
        with engine.begin() as connection:
            retention.drop_day(connection, TENANT, first)
            rebuilt = pool.submit(rebuild_day, engine, TENANT, first)
            assert are_waiting(database_url, 1)
        assert rebuilt.result() is False
    assert scalar(engine, "SELECT sum(events) FROM watchkeeper.usage_hourly") == 4


def test_rollups_of_a_day_without_a_partition_go_only_when_that_is_asked_for(engine: sa.Engine) -> None:
    first, second = daily(engine, 2)
    execute(engine, f"DROP TABLE watchkeeper.usage_events_{first:%Y%m%d}")
    spoil(engine, second)
    done = rebuild(engine)
    assert done == Rebuilt(1, (second,), (first,), keys=1)
    assert done.as_json() == {"days": 1, "keys": 1, "repaired": [second.date()], "left_alone": [first.date()]}
    assert verified(engine) == 2 + 2
    assert rebuild(engine, orphans=True).repaired == (first,)
    assert verified(engine) == 0


def test_rebuild_of_nothing_is_done_at_once(engine: sa.Engine) -> None:
    assert rebuild(engine) == Rebuilt()


def test_loaders_that_write_all_the_while_lose_nothing_and_count_nothing_twice(engine: sa.Engine) -> None:
    days = daily(engine, 2)
    loaders, batches = 2, 30
    together = Barrier(loaders + 1)

    def write_on() -> int:
        together.wait()
        hours = [day + hour * HOUR for day in days for hour in range(24)]
        return sum(write(engine, map(event, hours)).inserted for _ in range(batches))

    def rebuild_on() -> int:
        together.wait()
        repaired = 0
        for _ in range(batches):
            spoil(engine, *days)
            repaired += len(rebuild(engine).repaired)
        return repaired

    with ThreadPoolExecutor(loaders + 1) as pool:
        written = [pool.submit(write_on) for _ in range(loaders)]
        repaired = pool.submit(rebuild_on)
        assert sum(done.result() for done in written) == loaders * batches * 48
        assert repaired.result() == batches * 2
    assert differences(engine) == []
    assert scalar(engine, "SELECT sum(events) FROM watchkeeper.usage_hourly") == 2 * 2 + loaders * batches * 48


def test_rebuild_that_is_killed_has_repaired_whole_days_and_does_the_rest_when_run_again(
    engine: sa.Engine, database_url: str
) -> None:
    first, second, third = daily(engine, 3)
    spoil(engine, first, second, third)
    loader = engine.connect()

    def begin_to_load(number: int, total: int, day: datetime) -> None:
        if day == second:  # from here on a loader holds the roll-ups, and the rebuild has to wait
            execute_on(loader)

    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(rebuild_rollups, engine, TENANT, None, begin_to_load)
        assert are_waiting(database_url, 1)
        execute(engine, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
                        " AND datname = current_database()")  # fmt: skip
        with pytest.raises(sa.exc.OperationalError) as caught:
            running.result()
    assert isinstance(caught.value.orig, psycopg.errors.AdminShutdown)
    loader.commit()
    loader.close()
    assert verified(engine) == 2
    assert rebuild(engine).repaired == (second, third)
    assert differences(engine) == []


def execute_on(loader: sa.Connection) -> None:
    usage.hold_floor(loader, TENANT)
    loader.execute(sa.text("UPDATE watchkeeper.usage_hourly SET events = events WHERE hour < :now"), {"now": NOW})
