"""Days compared: which, in which snapshot, and what comes of loaders and retention meanwhile."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from threading import Event

import pytest
import sqlalchemy as sa

from ops.window import Window
from tasks.stores import retention, usage
from tasks.stores.rollups import Comparison
from tasks.verify_rollups import Verified, compare_day, kept_days, verify_rollups
from tests.loaded_days import DAY, HOUR, NOW, TENANT, TODAY, daily, event, execute, write
from tests.waiting import are_waiting


def verify(engine: sa.Engine, span: Window | None = None, tenant: str = TENANT) -> Verified:
    return verify_rollups(engine, tenant, span, lambda *_: None)


def drop(engine: sa.Engine, day: datetime) -> None:
    with engine.begin() as connection:
        retention.drop_day(connection, TENANT, day)


def test_every_day_is_compared_and_its_progress_shown(engine: sa.Engine) -> None:
    days = daily(engine, 3)
    seen = []
    done = verify_rollups(engine, TENANT, None, lambda *at: seen.append(at))
    keys = 3 * 2  # days, hours
    assert done == Verified(
        None, 3, (Comparison("usage_hourly", keys), Comparison("latency_hourly", keys), Comparison("usage_daily_users"))
    )
    assert done.differing == 0
    assert seen == [(number, 3, day) for number, day in enumerate(days)]


def test_span_is_half_open(engine: sa.Engine) -> None:
    days = daily(engine, 4)
    execute(engine, "UPDATE watchkeeper.usage_hourly SET events = 9 WHERE hour >= :last", last=days[3])
    assert verify(engine, Window(days[1], days[3])).days == 2
    assert verify(engine, Window(days[1], days[3])).differing == 0
    assert verify(engine, Window(days[3], days[3] + DAY)).differing == 2


def test_differences_of_all_days_add_up(engine: sa.Engine) -> None:
    daily(engine, 7)
    execute(engine, "UPDATE watchkeeper.usage_hourly SET input_tokens = 0")
    execute(engine, "UPDATE watchkeeper.latency_hourly SET n = 3")
    done = verify(engine)
    assert [(table.differing, len(table.first)) for table in done.tables] == [(14, 10), (14, 10), (0, 0)]
    document = done.as_json()
    assert document["tables"][0] == {"table": "usage_hourly", "keys": 14, "differing": 14}
    assert len(document["differences"]) == 20
    assert document["differences"][0]["key"]["hour"] == TODAY - 6 * DAY + HOUR


def test_days_that_retention_dropped_are_not_compared(engine: sa.Engine) -> None:
    first, second, third = daily(engine, 3)
    drop(engine, first)
    assert kept_days(engine, TENANT, None).days == (second, third)
    done = verify(engine)
    assert (done.floor, done.days, done.differing) == (second, 2, 0)
    assert verify(engine, Window(first, second)).days == 0


def test_days_of_others_that_keep_a_partition_are_not_ours(engine: sa.Engine) -> None:
    first, second = daily(engine, 2)
    daily(engine, 2, tenant="other")
    drop(engine, first)
    assert kept_days(engine, TENANT, None).days == (second,)
    assert kept_days(engine, "other", None).days == (first, second)


def test_rollups_of_a_day_without_a_partition_differ_from_nothing(engine: sa.Engine) -> None:
    first, second = daily(engine, 2)
    execute(engine, f"DROP TABLE watchkeeper.usage_events_{first:%Y%m%d}")
    kept = kept_days(engine, TENANT, None)
    assert (kept.days, kept.without_events) == ((first, second), {first})
    assert verify(engine).differing == 2 + 2


def test_nothing_at_all_is_no_difference(engine: sa.Engine) -> None:
    done = verify(engine)
    assert (done.days, done.differing, [table.keys for table in done.tables]) == (0, 0, [0, 0, 0])


def test_day_that_is_dropped_after_the_days_were_listed_is_left_out(engine: sa.Engine) -> None:
    first, second = daily(engine, 2)
    done = verify_rollups(engine, TENANT, None, lambda number, *_: None if number else drop(engine, first))
    assert (done.days, done.differing) == (1, 0)
    assert compare_day(engine, TENANT, first) == ()
    assert compare_day(engine, TENANT, second) != ()


def test_comparison_that_waits_for_a_drop_sees_that_the_day_is_gone(engine: sa.Engine, database_url: str) -> None:
    first, _ = daily(engine, 2)
    with ThreadPoolExecutor(1) as pool:
        with engine.begin() as connection:
            retention.drop_day(connection, TENANT, first)
            compared = pool.submit(compare_day, engine, TENANT, first)
            assert are_waiting(database_url, 1)
        assert compared.result() == ()


@pytest.mark.parametrize("moment", [pytest.param(True, id="after its events"), pytest.param(False, id="before them")])
def test_loader_in_the_middle_of_its_transaction_is_no_difference(engine: sa.Engine, moment: bool) -> None:
    daily(engine, 1)
    with engine.begin() as loader:
        usage.hold_floor(loader, TENANT)
        if moment:
            assert usage.copy_new(loader, usage.pack(loader, TENANT, "log", [(event(NOW), usage.Price())]))
        assert verify(engine).differing == 0


def test_loaders_that_write_all_the_while_are_no_difference(engine: sa.Engine) -> None:
    daily(engine, 1)
    stop = Event()

    def write_on() -> int:
        written = 0
        while not stop.is_set():
            written += write(engine, [event(TODAY + hour * HOUR) for hour in range(24)]).inserted
        return written

    with ThreadPoolExecutor(1) as pool:
        loader = pool.submit(write_on)
        try:
            found = [verify(engine) for _ in range(25)]
        finally:
            stop.set()
        assert loader.result() > 0
    assert {done.differing for done in found} == {0}
    keys = [done.tables[0].keys for done in found]
    assert keys == sorted(keys)
