from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ops.errors import InvalidValue
from ops.window import Window, ceil_hour, floor_day, floor_hour, full_days, in_one_unit, whole_hours

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
TIMES = st.datetimes(datetime(2020, 1, 1), datetime(2030, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001  bounds are naive


def utc(month: int, day: int, hour: int = 0, year: int = 2026) -> datetime:
    return datetime(year, month, day, hour, tzinfo=UTC)


@pytest.mark.parametrize(
    ("when", "inside"),
    [
        pytest.param(NOON - timedelta(microseconds=1), False, id="just before the start"),
        pytest.param(NOON, True, id="the start"),
        pytest.param(NOON + HOUR - timedelta(microseconds=1), True, id="just before the end"),
        pytest.param(NOON + HOUR, False, id="the end"),
    ],
)
def test_window_is_half_open(when: datetime, inside: bool) -> None:
    assert (when in Window(NOON, NOON + HOUR)) is inside


def test_window_before_ends_now() -> None:
    assert Window.before(NOON, HOUR) == Window(utc(3, 2, 11), NOON)
    assert Window.before(NOON, HOUR).length == HOUR


def test_empty_window_holds_nothing() -> None:
    empty = Window(NOON, NOON)
    assert NOON not in empty
    assert list(empty.days()) == [floor_day(NOON)]


NAIVE = NOON.replace(tzinfo=None)


@pytest.mark.parametrize(
    ("start", "end", "reason"),
    [
        pytest.param(NAIVE, NOON, "timezone-aware", id="a naive start"),
        pytest.param(NOON, NAIVE, "timezone-aware", id="a naive end"),
        pytest.param(NOON, NOON - HOUR, "at or after its start", id="an end before the start"),
    ],
)
def test_window_refuses(start: datetime, end: datetime, reason: str) -> None:
    with pytest.raises(InvalidValue, match=reason):
        Window(start, end)


MONTHS = {
    "in UTC": (NOON, "UTC", utc(3, 1), utc(4, 1)),
    "December ends in the next year": (utc(12, 31, 23), "UTC", utc(12, 1), utc(1, 1, year=2027)),
    "a leap February": (utc(2, 29, year=2028), "UTC", utc(2, 1, year=2028), utc(3, 1, year=2028)),
    "late on the last day it is the next month in Berlin": (
        utc(1, 31, 23),
        "Europe/Berlin",
        utc(1, 31, 23),
        utc(2, 28, 23),
    ),
    "March in Berlin loses an hour": (NOON, "Europe/Berlin", utc(2, 28, 23), utc(3, 31, 22)),
    "on the first it is still the last month in New York": (
        utc(3, 1, 4),
        "America/New_York",
        utc(2, 1, 5),
        utc(3, 1, 5),
    ),
}


@pytest.mark.parametrize(("now", "zone", "start", "end"), MONTHS.values(), ids=MONTHS)
def test_month_is_the_calendar_month_of_its_zone(now: datetime, zone: str, start: datetime, end: datetime) -> None:
    assert Window.month_of(now, ZoneInfo(zone)) == Window(start, end)


DAYS = {
    "two touched days": (Window(utc(3, 1, 23), utc(3, 2, 1)), [utc(3, 1), utc(3, 2)]),
    "midnight as the end is not touched": (Window(utc(3, 1), utc(3, 2)), [utc(3, 1)]),
    "part of a day": (Window(utc(3, 1, 5), utc(3, 1, 6)), [utc(3, 1)]),
}


@pytest.mark.parametrize(("window", "days"), DAYS.values(), ids=DAYS)
def test_days_are_the_midnights_that_the_window_touches(window: Window, days: list[datetime]) -> None:
    assert list(window.days()) == days


def test_floors_cut_in_utc_whatever_the_zone() -> None:
    when = datetime(2026, 3, 2, 1, 45, 30, 7, tzinfo=timezone(timedelta(hours=5, minutes=30)))
    assert when.astimezone(UTC) == datetime(2026, 3, 1, 20, 15, 30, 7, tzinfo=UTC)
    assert floor_hour(when) == utc(3, 1, 20)
    assert floor_day(when) == utc(3, 1)


@pytest.mark.parametrize("minute", [0, 59, 60, 119, 120])
def test_day_and_month_begin_once_where_clocks_go_back_to_midnight(minute: int) -> None:
    havana = ZoneInfo("America/Havana")  # on 1 November 2026 its clocks went from 1:00 back to 0:00, at 5:00 UTC
    now = utc(11, 1, 4) + timedelta(minutes=minute)
    assert Window.day_of(now, havana) == Window(utc(11, 1, 4), utc(11, 2, 5))
    assert Window.month_of(now, havana) == Window(utc(11, 1, 4), utc(12, 1, 5))


@given(TIMES, st.timedeltas(timedelta(0), timedelta(days=40)))
def test_days_cover_the_window_without_gaps(start: datetime, length: timedelta) -> None:
    window = Window(start, start + length)
    days = list(window.days())
    assert all(later - earlier == timedelta(days=1) for earlier, later in pairwise(days))
    if length:
        assert days[0] <= window.start
        assert days[-1] < window.end <= days[-1] + timedelta(days=1)


@given(TIMES, st.sampled_from(["UTC", "Europe/Berlin", "America/New_York", "Pacific/Kiritimati"]))
def test_month_holds_its_now(now: datetime, zone: str) -> None:
    month = Window.month_of(now, ZoneInfo(zone))
    assert now in month
    assert timedelta(days=27, hours=23) <= month.length <= timedelta(days=31, hours=1)


def test_full_days_end_with_the_last_midnight() -> None:
    found = full_days(datetime(2026, 3, 5, 12, tzinfo=UTC), 2)
    assert found == Window(datetime(2026, 3, 3, tzinfo=UTC), datetime(2026, 3, 5, tzinfo=UTC))


@pytest.mark.parametrize(
    ("minutes", "hour"),
    [pytest.param(0, 12, id="stays"), pytest.param(1, 13, id="the next"), pytest.param(60, 13, id="an hour later")],
)
def test_full_hour_from_a_time_on(minutes: int, hour: int) -> None:
    assert ceil_hour(NOON + timedelta(minutes=minutes)) == utc(3, 2, hour)


@pytest.mark.parametrize(
    ("start", "end", "hours", "rest"),
    [
        pytest.param(0, 120, (0, 120), [], id="nothing but hours"),
        pytest.param(1, 150, (60, 120), [(1, 60), (120, 150)], id="a part of one at either end"),
        pytest.param(0, 61, (0, 60), [(60, 61)], id="at the end"),
        pytest.param(59, 120, (60, 120), [(59, 60)], id="at the beginning"),
        pytest.param(1, 119, (1, 1), [(1, 119)], id="no whole hour"),
        pytest.param(60, 60, (60, 60), [(60, 60)], id="no time at all"),
    ],
)
def test_whole_hours_and_the_rest_are_the_window(
    start: int, end: int, hours: tuple[int, int], rest: list[tuple[int, int]]
) -> None:
    def span(pair: tuple[int, int]) -> Window:
        return Window(*(NOON + timedelta(minutes=minutes) for minutes in pair))

    assert whole_hours(span((start, end))) == (span(hours), [span(pair) for pair in rest])


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        pytest.param(-5, "0 s", id="clocks that differ"),
        pytest.param(119, "119 s", id="up to two minutes in seconds"),
        pytest.param(120, "2 min", id="then in minutes"),
        pytest.param(2 * 3600 - 1, "119 min", id="up to two hours"),
        pytest.param(2 * 3600, "2 h", id="then in hours"),
        pytest.param(48 * 3600 - 1, "47 h", id="up to two days"),
        pytest.param(48 * 3600, "2 d", id="then in days"),
        pytest.param(1234 * 86_400, "1,234 d", id="for ever"),
    ],
)
def test_length_reads_in_one_unit(seconds: int, words: str) -> None:
    assert in_one_unit(timedelta(seconds=seconds)) == words
