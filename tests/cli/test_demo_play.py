"""The demo's own room: its folder, settings and database, apart from the user's."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from cli import demo_play
from ops.errors import Unavailable
from tasks.settings import Settings


def test_demo_hears_nothing_of_the_users_own_settings_and_gives_them_back(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WATCHKEEPER_CHANNELS", '[{"name": "ops", "kind": "slack", "target": "C1"}]')
    monkeypatch.setenv("WATCHKEEPER_SLACK__BOT_TOKEN", "xoxb-real")
    (tmp_path / ".env").write_text("WATCHKEEPER_TENANT=acme\n")
    before = dict(os.environ)
    with demo_play._prepared(tmp_path / "demo", "http://127.0.0.1:9/v1") as found:
        assert ([channel.kind for channel in found.channels], found.tenant) == (["console"], "default")
        assert not found.slack_ready
        assert (found.home, found.database) == (settings.home, "watchkeeper_demo")
        assert Path.cwd() == tmp_path / "demo"
    assert dict(os.environ) == before
    assert Path.cwd() == tmp_path


def test_second_demo_of_a_home_is_refused_before_it_touches_anything(settings: Settings, tmp_path: Path) -> None:
    logs = tmp_path / "demo" / "logs"
    with demo_play._prepared(tmp_path / "demo", "http://127.0.0.1:9/v1"):
        logs.mkdir()
        second = demo_play._prepared(tmp_path / "demo", "http://127.0.0.1:9/v1")
        with pytest.raises(Unavailable, match="another one is playing"):
            second.__enter__()
        assert logs.is_dir()
