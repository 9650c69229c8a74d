from __future__ import annotations

import io
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from ops.monitoring.slack_message import render_note
from tasks.channels.console import ConsoleChannel
from tasks.channels.interface import Sent

SINCE = datetime(2025, 11, 3, tzinfo=UTC)
BAR = {"color": "#D92D20", "blocks": [{"type": "section", "text": {"type": "mrkdwn", "text": "6 min, since 06:40"}}]}


@pytest.mark.parametrize(
    ("payload", "printed"),
    [
        pytest.param({"text": "Error rate 12.4 %"}, "Error rate 12.4 %\n", id="the text alone"),
        pytest.param(
            {"text": "Error rate", "attachments": [BAR]},
            "Error rate\n  6 min, since 06:40\n",
            id="indented details",
        ),
        pytest.param({"text": "a &lt;b&gt; &amp;lt;"}, "a <b> &lt;\n", id="Slack's escapes are undone once"),
        pytest.param({"text": "\x1b[2J\x07red\u202eder\r"}, "[2Jredder\n", id="nothing steers the terminal"),
        pytest.param(
            render_note("Promoted", "v41").payload(), "INFO · Promoted: v41\n", id="what the renderer makes of a note"
        ),
    ],
)
def test_console_prints_readably(payload: dict[str, Any], printed: str) -> None:
    stream = io.StringIO()
    sent = ConsoleChannel("log", stream).send(payload, "t/log/errors", 1, None)
    assert (stream.getvalue(), sent) == (printed, Sent("log", "t/log/errors", 1))


def test_console_prints_an_update_below() -> None:
    stream = io.StringIO()
    console = ConsoleChannel("log", stream)
    first = console.send({"text": "fired"}, "k", 1, None)
    assert console.send({"text": "resolved"}, "k", 2, first) == Sent("log", first.ts, 2)
    assert stream.getvalue() == "fired\nresolved\n"


def test_console_has_no_pace_and_remembers_nothing() -> None:
    console = ConsoleChannel("log", io.StringIO())
    assert console.spacing == timedelta(0)
    assert console.find("k", SINCE) is None  # type: ignore[func-returns-value]
