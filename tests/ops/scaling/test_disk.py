from __future__ import annotations

from datetime import date, timedelta
from math import inf
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ops.scaling.disk import DAYS_PER_MONTH, ENOUGH_EVENTS, Outlook, Sizes, estimate

TODAY = date(2026, 3, 5)
DAY = timedelta(days=1)
GB = 10**9


def days(count: int, size: int = GB) -> dict[date, int]:
    """Partitions of so many full days, each of `size` bytes."""
    return {TODAY - number * DAY: size for number in range(1, count + 1)}


def sizes(**fields: Any) -> Sizes:
    """Ten full days of 1 GB and a million events each; roll-ups of 0.5 GB in those 10 days; 100 GB free."""
    usual = {
        "today": TODAY, "partitions": days(10), "week_events": 7_000_000, "rollup_bytes": GB // 2, "rollup_days": 10,
        "free_bytes": 100 * GB,
    }  # fmt: skip
    return Sizes(**{**usual, **fields})


def test_growth_is_that_of_the_last_week() -> None:
    found = estimate(sizes(), None)
    per_day = GB + GB / 2 / 10
    assert (found.bytes_per_event, found.events_per_day, found.bytes_per_day) == (1000, 1_000_000, per_day)
    assert found.gb_per_month == pytest.approx(1.05 * DAYS_PER_MONTH)
    assert (found.full_on, found.outlook) == (TODAY + int(100 / 1.05) * DAY, Outlook.FULL)


def test_days_before_the_last_week_and_those_ahead_do_not_count() -> None:
    older = {**days(10), TODAY - 9 * DAY: 500 * GB, TODAY: 3 * GB, TODAY + DAY: 40_000}
    assert estimate(sizes(partitions=older), None).bytes_per_event == 1000


def test_day_without_a_partition_takes_no_room() -> None:
    gap = days(10)
    del gap[TODAY - 3 * DAY]
    found = estimate(sizes(partitions=gap), None)
    assert (found.bytes_per_event, found.events_per_day) == (6 * GB / 7_000_000, 7_000_000 / 7)


@pytest.mark.parametrize(
    ("kept", "week", "expected"),
    [
        pytest.param(2, 300_000, 300_000 / 2, id="two days are two days"),
        pytest.param(7, 700_000, 700_000 / 7, id="a week"),
        pytest.param(30, 700_000, 700_000 / 7, id="a month: of the last week"),
    ],
)
def test_events_per_day_are_of_the_days_that_there_were(kept: int, week: int, expected: float) -> None:
    assert estimate(sizes(partitions=days(kept), week_events=week), None).events_per_day == expected


@pytest.mark.parametrize(
    ("partitions", "per_day"),
    [
        pytest.param({}, None, id="no partition"),
        pytest.param({TODAY: 1000}, None, id="none but of today"),
        pytest.param({TODAY + DAY: 1000}, None, id="none but ahead"),
        pytest.param(days(7), (ENOUGH_EVENTS - 1) / 7, id="too few events to tell their size"),
    ],
)
def test_size_of_an_event_is_unknown_with(partitions: dict[date, int], per_day: float | None) -> None:
    found = estimate(sizes(partitions=partitions, week_events=ENOUGH_EVENTS - 1), None)
    assert (found.bytes_per_event, found.events_per_day, found.bytes_per_day) == (None, per_day, None)
    assert (found.full_on, found.gb_per_month, found.outlook) == (None, None, Outlook.TOO_FEW)


def test_size_of_an_event_is_known_with_enough_of_them() -> None:
    found = estimate(sizes(week_events=ENOUGH_EVENTS), None)
    assert found.bytes_per_event == 7 * GB / ENOUGH_EVENTS


def test_disk_that_is_elsewhere_is_full_on_no_day_that_we_know() -> None:
    found = estimate(sizes(free_bytes=None), None)
    assert (found.full_on, found.outlook, found.bytes_per_day) == (None, Outlook.ELSEWHERE, 1.05 * GB)


@pytest.mark.parametrize(
    ("keep_days", "free", "until"),
    [
        pytest.param(None, 21, 21 / 1.05, id="nothing is dropped"),
        pytest.param(40, 21, 21 / 1.05, id="full before the first day is dropped"),
        pytest.param(30, 21, 20, id="full on the day that the first one is dropped"),
        pytest.param(20, 21, 10 + (21 - 10 * 1.05) / 0.05, id="from then on the roll-ups grow alone"),
        pytest.param(10, 21, 21 / 0.05, id="days are dropped already"),
        pytest.param(5, 21, 21 / 0.05, id="more days are there than are kept"),
        pytest.param(None, 0, 0, id="it is full"),
    ],
)
def test_disk_is_full_after(keep_days: int | None, free: int, until: float) -> None:
    assert estimate(sizes(free_bytes=free * GB), keep_days).full_on == TODAY + int(until) * DAY


@pytest.mark.parametrize(
    ("keep_days", "changes"),
    [
        pytest.param(None, {"free_bytes": 5000 * GB}, id="a disk for 13 years"),
        pytest.param(35, {"rollup_bytes": 0}, id="what is dropped makes room for what comes, and no roll-ups grow"),
        pytest.param(35, {"partitions": days(40, 0), "rollup_bytes": 0}, id="nothing that takes room"),
    ],
)
def test_disk_is_not_full_for_long(keep_days: int | None, changes: dict[str, Any]) -> None:
    found = estimate(sizes(**changes), keep_days)
    assert (found.full_on, found.outlook) == (None, Outlook.NOT_SOON)


def test_rollups_of_today_alone_are_those_of_a_day() -> None:
    assert estimate(sizes(rollup_days=0), None).bytes_per_day == GB + GB / 2


_BYTES = st.integers(0, 10**13)


@given(
    kept=st.integers(1, 60), size=_BYTES, week=st.integers(ENOUGH_EVENTS, 10**9), rollups=_BYTES, free=_BYTES,
    keep_days=st.none() | st.integers(35, 400),
)  # fmt: skip
def test_dropping_never_fills_a_disk_sooner(
    kept: int, size: int, week: int, rollups: int, free: int, keep_days: int | None
) -> None:
    measured = Sizes(TODAY, days(kept, size), week, rollups, kept, free)
    without, found = estimate(measured, None), estimate(measured, keep_days)

    def left(day: date | None) -> float:
        return inf if day is None else (day - TODAY).days

    assert left(found.full_on) >= left(without.full_on) >= 0
    assert (found.full_on is None) == (found.outlook is Outlook.NOT_SOON)
