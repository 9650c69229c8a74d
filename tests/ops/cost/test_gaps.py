from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from ops.cost.gaps import WatchedSource, idle_days

DAY = timedelta(days=1)
FIRST = datetime(2026, 3, 2, tzinfo=UTC)  # a Monday


def shown(recorded: str, *sources: WatchedSource) -> str:
    """Write days as letters: r with a record, 0 idle, ? unknown."""
    days = [FIRST + number * DAY for number in range(len(recorded))]
    known = {day for day, mark in zip(days, recorded, strict=True) if mark == "r"}
    idle = idle_days(days, known, sources)
    return "".join("r" if day in known else "0" if day in idle else "?" for day in days)


def source(since: float, until: float | None) -> WatchedSource:
    return WatchedSource(FIRST + since * DAY, None if until is None else FIRST + until * DAY)


@pytest.mark.parametrize(
    ("recorded", "expected"),
    [
        pytest.param("", "", id="no days"),
        pytest.param("rrrrr..rrrrr", "rrrrr00rrrrr", id="a weekend"),
        pytest.param("r....r", "r0000r", id="a long weekend"),
        pytest.param("r.....r", "r?????r", id="too long to be one"),
        pytest.param("..r..", "??r??", id="before and behind all records"),
        pytest.param("...", "???", id="no record at all"),
    ],
)
def test_only_records_on_both_sides_say_that_days_were_idle(recorded: str, expected: str) -> None:
    assert shown(recorded) == expected


@pytest.mark.parametrize(
    ("sources", "expected"),
    [
        pytest.param([source(0, 7)], "r000000", id="read to the end"),
        pytest.param([source(-9, 7)], "r000000", id="watched before"),
        pytest.param([source(0, 5)], "r0000??", id="read until the end of a day"),
        pytest.param([source(0, 4.9)], "r000???", id="read until just before it"),
        pytest.param([source(0, None)], "r??????", id="never read"),
        pytest.param([source(3.5, 7)], "r???000", id="of the days before it was watched it says nothing"),
        pytest.param([source(0, 7), source(0, 3)], "r00????", id="another one is behind"),
        pytest.param([source(0, 7), source(5, None)], "r0000??", id="another one that was not there before is"),
    ],
)
def test_sources_that_are_read_beyond_a_day_say_that_it_was_idle(sources: list[WatchedSource], expected: str) -> None:
    assert shown("r......", *sources) == expected


def test_source_that_is_behind_leaves_a_weekend_unknown() -> None:
    assert shown("rr..rr", source(0, 3)) == "rr0?rr"
    assert shown("rr..rr", source(0, None)) == "rr??rr"
