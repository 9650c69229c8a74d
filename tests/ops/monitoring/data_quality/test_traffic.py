"""What is usual of a source, from four weeks of hours made by hand."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from ops.monitoring.data_quality.traffic import Due, Hours, Volume, daily, dead, dues, heard, volumes

NOW = datetime(2026, 3, 5, 12, 30, tzinfo=UTC)  # a Thursday
TODAY, HOUR, DAY = NOW.replace(hour=0, minute=0), timedelta(hours=1), timedelta(days=1)


def steady(events: int, days: int = 30, until: datetime = NOW) -> dict[datetime, int]:
    """Make so many events in each full hour of the last days, up to `until`."""
    start = TODAY - days * DAY
    return {start + k * HOUR: events for k in range(int((until - start) / HOUR))}


def office(events: int) -> dict[datetime, int]:
    """Make events from 8 to 18 on weekdays."""
    return {hour: n for hour, n in steady(events).items() if 8 <= hour.hour < 18 and hour.weekday() < 5}


def at(hour: int, day: datetime = TODAY) -> datetime:
    return day + hour * HOUR


@pytest.mark.parametrize(
    ("hours", "since"),
    [
        pytest.param(steady(20), at(11), id="20 events are expected of the last full hour"),
        pytest.param(steady(5), at(8), id="at 5 an hour it takes 4 hours to expect 20"),
        pytest.param(office(10), at(10), id="10 an hour at noon of a working day: 2 hours"),
        pytest.param(steady(20, until=at(4)), at(11), id="what is missing today changes nothing of what is due"),
    ],
)
def test_event_is_due_by_what_the_hours_of_the_week_bring(hours: Hours, since: datetime) -> None:
    assert dues({"gateway": hours}, NOW) == [Due(None, since), Due("gateway", since)]


def test_nothing_is_due_at_night_of_who_works_by_day() -> None:
    night = at(5)
    assert dues({"gateway": office(10)}, night) == [
        # +-1 h: of the 12 points at 17:00 and 18:00 some are of the other side of closing time
        Due(None, at(16, TODAY - DAY)), Due("gateway", at(16, TODAY - DAY)),
    ]  # fmt: skip


@pytest.mark.parametrize(
    "hours",
    [
        pytest.param(steady(20, days=13), id="known for less than two weeks"),
        pytest.param({at(3, TODAY - k * DAY): 1 for k in range(28)}, id="1 event a day: less than 20 in 72 hours"),
        pytest.param({}, id="never heard of"),
    ],
)
def test_nothing_is_due_of_who_has_no_rhythm(hours: Hours) -> None:
    assert dues({"gateway": hours}, NOW) == []


def test_sources_are_due_each_and_all_together() -> None:
    assert dues({"a": steady(10), "b": steady(5)}, NOW) == [Due(None, at(10)), Due("a", at(10)), Due("b", at(8))]


def test_volume_is_bounded_by_half_and_twice_what_is_usual() -> None:
    # 24 hours of 5 events, all weeks alike: 120; no spread
    assert volumes({"a": steady(5)}, NOW) == [Volume("a", at(12, TODAY - DAY), at(12), 60, 240)]


def test_volume_of_hours_that_spread_more_is_bounded_by_their_spread() -> None:
    hours = {
        hour: 10 + 8 * (-1) ** ((number - 48) // 168) for number, hour in enumerate(steady(0))
    }  # 18 and 2, week by week
    [volume] = volumes({"a": hours}, NOW)
    # median 10, absolute deviation 8 in each of 24 hours: 240 +- 4 * 1.4826 * 192
    assert (volume.least, volume.most) == (0, int(240 + 4 * 1.4826 * 192))


def test_volume_ends_where_a_silence_begins() -> None:
    [volume] = volumes({"a": steady(10, until=at(4))}, NOW)
    assert (volume.since, volume.until, volume.least) == (at(12, TODAY - DAY), at(4), 10 * 16 // 2)


def test_volume_begins_after_a_missing_day() -> None:
    hours = {hour: n for hour, n in steady(20).items() if not TODAY - DAY <= hour < TODAY}
    [volume] = volumes({"a": hours}, NOW)
    assert (volume.since, volume.until, volume.least) == (TODAY, at(12), 20 * 12 // 2)


@pytest.mark.parametrize(
    "hours",
    [
        pytest.param(steady(4), id="96 events a day are too few"),
        pytest.param(steady(20, days=13), id="known for less than two weeks"),
        pytest.param(steady(20, until=at(3, TODAY - DAY)), id="nothing in the last day: silence, not volume"),
        pytest.param({}, id="never heard of"),
    ],
)
def test_volume_is_not_judged_of(hours: Hours) -> None:
    assert volumes({"a": hours}, NOW) == []


@pytest.mark.parametrize(
    ("sources", "silent", "named"),
    [
        pytest.param({"a": at(4)}, {"a"}, ["a"], id="the one that owes events is silent"),
        pytest.param({"a": at(4)}, set(), [], id="it is loaded and brings nothing"),
        pytest.param({"a": at(4), "b": at(4)}, {"a", "b"}, ["a", "b"], id="all that owe are silent"),
        pytest.param({"a": at(4), "b": at(4)}, {"a"}, [], id="another one is loaded and brings nothing"),
        pytest.param({"a": at(4), "b": NOW}, {"a"}, ["a"], id="the other one brings events"),
        pytest.param({"a": at(4), "b": NOW}, {"a", "b"}, ["a"], id="the other one brought events until it fell silent"),
    ],
)
def test_dead_sources_owe_events_and_are_all_silent(
    sources: dict[str, datetime], silent: set[str], named: list[str]
) -> None:
    hours = {source: steady(20, until=until) for source, until in sources.items()}
    assert dead(hours, dues(hours, NOW), silent) == named


def test_small_sources_owe_events_together() -> None:
    hours = {source: {hour: 1 for hour in steady(1) if hour.hour % 3 == k} for k, source in enumerate("abc")}
    due = dues(hours, NOW)
    assert due == [Due(None, at(12 - 20))]  # one an hour together; of each alone most hours have none
    assert dead(hours, due, {*"abc"}) == [*"abc"]
    assert dead(hours, due, {*"ab"}) == []


@pytest.mark.parametrize(
    ("hours", "is_daily"),
    [
        pytest.param(steady(1), True, id="24 events on each day"),
        pytest.param(steady(1, days=15), True, id="known for 15 days: yesterday is held to two of them"),
        pytest.param(steady(1, days=14), False, id="known for 14 days"),
        pytest.param({at(3, TODAY - k * DAY): 19 for k in range(28)}, False, id="19 events on each day are too few"),
        pytest.param({at(3, TODAY - k * 5 * DAY): 99 for k in range(6)}, False, id="never the same day of two weeks"),
        pytest.param({}, False, id="never heard of"),
    ],
)
def test_missing_day_is_noticed_of(hours: Hours, is_daily: bool) -> None:
    assert daily({"a": hours}, NOW) == ["a"] * is_daily


def test_sources_are_heard_that_brought_something_since_the_last_full_hour() -> None:
    last = {"a": at(12), "b": at(11), "c": at(10), "d": None}
    hours: dict[str, Hours] = {name: {} if hour is None else {at(1): 5, hour: 1} for name, hour in last.items()}
    assert heard(hours, NOW) == ["a", "b"]
