"""The demo's story: what goes wrong when, by arithmetic from its day."""

from __future__ import annotations

import os
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from cli import demo_story
from cli.demo_story import CLOSES, OPENS, TICK, Story
from ops.errors import Unavailable
from ops.window import Window
from tasks.settings import Settings

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


def test_demo_hears_nothing_of_the_users_own_settings_and_gives_them_back(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WATCHKEEPER_CHANNELS", '[{"name": "ops", "kind": "slack", "target": "C1"}]')
    monkeypatch.setenv("WATCHKEEPER_SLACK__BOT_TOKEN", "xoxb-real")
    (tmp_path / ".env").write_text("WATCHKEEPER_TENANT=acme\n")
    before = dict(os.environ)
    with demo_story._prepared(tmp_path / "demo", "http://127.0.0.1:9/v1") as found:
        assert ([channel.kind for channel in found.channels], found.tenant) == (["console"], "default")
        assert not found.slack_ready
        assert found.home == settings.home
        assert Path.cwd() == tmp_path / "demo"
    assert dict(os.environ) == before
    assert Path.cwd() == tmp_path


def test_second_demo_of_a_home_is_refused_before_it_touches_anything(settings: Settings, tmp_path: Path) -> None:
    logs = tmp_path / "demo" / "logs"
    with demo_story._prepared(tmp_path / "demo", "http://127.0.0.1:9/v1"):
        logs.mkdir()
        second = demo_story._prepared(tmp_path / "demo", "http://127.0.0.1:9/v1")
        with pytest.raises(Unavailable, match="another one is playing"):
            second.__enter__()
        assert logs.is_dir()
