"""What the tables take, as rows, JSON and a page."""

from __future__ import annotations

import shutil
from datetime import date, datetime
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from ops.scaling.disk import Sizes, estimate
from tasks.settings import Settings
from tasks.settings import Storage as StorageSettings
from tasks.show_storage import Storage, _free_bytes, measure_storage, storage_markdown
from tasks.stores import retention
from tests.loaded_days import DAY, HOUR, NOW, TENANT, TODAY, daily, event, execute, scalar, write

LAST_WEEK = {(TODAY - number * DAY).date(): 10**9 for number in range(1, 8)}


def storage(floor: datetime | None = None, **changes: Any) -> Storage:
    """Seven days of a GB and a million events each, roll-ups of 0.7 GB, 50 GB free."""
    usual = {
        "today": TODAY.date(), "partitions": LAST_WEEK, "week_events": 7_000_000, "rollup_bytes": 7 * 10**8,
        "rollup_days": 7, "free_bytes": 50 * 10**9,
    }  # fmt: skip
    sizes = Sizes(**{**usual, **changes})
    return Storage(sizes, estimate(sizes, None), 9 * 10**9, floor)


def test_rows_are_for_people() -> None:
    per_day = 1 + 0.1  # GB
    assert dict(storage().rows()) == {
        "oldest day of events": "2026-02-26",
        "dropped before": "nothing was dropped",
        "partitions": "7 of at most 400",
        "events": "7.0 GB",
        "roll-ups": "700.0 MB",
        "whole database": "9.0 GB",
        "bytes per event": "1,000",
        "events per day, last 7 days": "1,000,000",
        "growth per month": f"{per_day * 365.25 / 12:,.2f} GB",
        "free on the disk": "50.0 GB",
        "disk full on": f"{TODAY + int(50 / per_day) * DAY:%Y-%m-%d}: at the rate of the last 7 days",
    }


def test_rows_say_what_is_unknown_and_never_zero() -> None:
    rows = dict(storage(TODAY, partitions={}, week_events=0, rollup_bytes=8192, free_bytes=None).rows())
    assert rows["oldest day of events"] == "none"
    assert rows["dropped before"] == "2026-03-05"
    assert rows["roll-ups"] == "8.2 kB"
    unknown = ("bytes per event", "events per day, last 7 days", "growth per month", "free on the disk")
    assert [rows[name] for name in unknown] == ["unknown"] * 4
    assert rows["disk full on"] == "no day: fewer than 10,000 events in the last 7 days"


def test_json_holds_numbers_and_dates() -> None:
    found = storage(TODAY - 7 * DAY).as_json()
    assert found["kept_from"] == TODAY - 7 * DAY
    assert found["oldest_day"] == date(2026, 2, 26)
    assert (found["partitions"], found["event_bytes"], found["bytes_per_event"]) == (7, 7 * 10**9, 1000)
    assert found["gb_per_month"] == pytest.approx(1.1 * 365.25 / 12)
    assert found["warning"] is None


@pytest.mark.parametrize(("count", "warns"), [(400, False), (401, True)])
def test_page_warns_above_400_partitions(count: int, warns: bool) -> None:
    found = storage(partitions={(TODAY - number * DAY).date(): 10**9 for number in range(count)})
    page = storage_markdown(found, NOW)
    assert page.startswith("# Storage, as of 2026-03-05 12:00 UTC\n\n")
    assert ("⚠️ more than 400 partitions make every look-up slow" in page) is warns
    assert page.endswith(" at the rate of the last 7 days |\n")
    assert page.count("\n| ") == 1 + len(found.rows())  # the head of the table


def test_sizes_are_measured_from_the_tables(engine: sa.Engine, settings: Settings) -> None:
    first, *_ = daily(engine, 10)
    write(engine, [event(TODAY - DAY + HOUR, service=str(n % 7)) for n in range(10_000)])
    found = measure_storage(engine, settings, NOW)
    assert (found.sizes.today, found.sizes.age, found.sizes.rollup_days) == (TODAY.date(), 9, 8)
    assert found.sizes.week_events == 7 * 2 + 10_000
    assert found.growth.events_per_day == (7 * 2 + 10_000) / 7
    assert found.growth.bytes_per_event is not None
    assert 100 < found.growth.bytes_per_event < 1000
    assert min(found.sizes.partitions) == first.date()
    assert found.floor is None
    assert found.database_bytes > sum(found.sizes.partitions.values()) + found.sizes.rollup_bytes


def test_floor_is_shown_and_what_is_kept_bounds_the_growth(engine: sa.Engine, settings: Settings) -> None:
    write(engine, [event(TODAY - number * DAY) for number in range(40)])
    execute(engine, "UPDATE watchkeeper.usage_hourly SET events = 100000")
    with engine.begin() as connection:
        retention.drop_day(connection, TENANT, TODAY - 39 * DAY)
    kept = settings.model_copy(update={"storage": StorageSettings(keep_events_days=35)})
    found = measure_storage(engine, kept, NOW)
    assert found.floor == TODAY - 38 * DAY
    without = measure_storage(engine, settings, NOW)
    assert (without.growth.bytes_per_day, found.sizes.age) == (found.growth.bytes_per_day, 38)


def test_free_bytes_are_those_of_the_data_directorys_disk(engine: sa.Engine, settings: Settings) -> None:
    folder = scalar(engine, "SHOW data_directory")
    free = measure_storage(engine, settings, NOW).sizes.free_bytes
    if not Path(folder).exists():
        assert free is None
    else:
        assert free == pytest.approx(shutil.disk_usage(folder).free, rel=0.05)


@pytest.mark.parametrize("folder", [None, Path("/nowhere/at/all")], ids=["elsewhere", "not ours to see"])
def test_free_bytes_are_unknown_of_a_folder_that_is(folder: Path | None) -> None:
    assert _free_bytes(folder) is None
