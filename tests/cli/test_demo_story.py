"""The demo's story: what goes wrong when, by arithmetic from its day."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from cli.demo_story import CLOSES, OPENS, TICK, Story
from ops.window import Window

TODAY = datetime(2026, 11, 23, tzinfo=UTC)
STORY = Story(today=TODAY, seed=7, history_days=30, rate=300)


def hours(first: int, last: int) -> Window:
    return Window(TODAY + timedelta(hours=first), TODAY + timedelta(hours=last))


def test_story_begins_as_many_days_ago_as_it_has_history() -> None:
    assert STORY.start == datetime(2026, 10, 24, tzinfo=UTC)  # 23 November less 30 days


def test_story_plays_the_traffic_that_it_is_asked_for() -> None:
    assert (STORY.traffic.seed, STORY.traffic.requests_per_hour) == (7, 300)
    assert replace(STORY, seed=8).traffic != STORY.traffic


@pytest.mark.parametrize(
    ("name", "window"),
    [
        pytest.param("bad-canary", hours(8, 20), id="the bad canary is bad all day"),
        pytest.param("cost-spike", hours(11, 14), id="spend rises for three hours, as the rule sums them"),
        pytest.param("vendor-outage", hours(16, 17), id="a vendor is away for an hour"),
        pytest.param(
            "quality-slide",
            Window(TODAY - timedelta(days=10), TODAY + timedelta(days=1)),
            id="quality slides from ten days ago to the end of today",
        ),
    ],
)
def test_story_goes_wrong(name: str, window: Window) -> None:
    assert [scenario.window for scenario in STORY.scenarios if scenario.name == name] == [window]


def test_story_ticks_a_whole_number_of_times_between_opening_and_closing() -> None:
    assert (CLOSES - OPENS) / TICK == 12 * 4
    for scenario in STORY.scenarios:
        assert (scenario.window.end - STORY.start) % TICK == timedelta(0)


def test_story_that_is_the_same_goes_wrong_in_the_same_way() -> None:
    assert Story(today=TODAY, seed=7, history_days=30, rate=300).scenarios == STORY.scenarios
