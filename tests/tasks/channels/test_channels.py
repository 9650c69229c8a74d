from __future__ import annotations

import io

import pytest
from slack_sdk import WebClient

from ops.errors import InvalidValue, UnknownName
from ops.monitoring.alerts import Tier
from ops.monitoring.routing import Channel
from tasks.channels import KINDS, open_channels


def channel(name: str, kind: str, target: str | None = None) -> Channel:
    return Channel(name, kind, frozenset(Tier), target)


def test_channels_are_opened_by_name_in_their_order() -> None:
    wanted = [channel("pager", "slack", "C1"), channel("log", "console")]
    opened = open_channels(wanted, WebClient(), io.StringIO())
    assert list(opened) == ["pager", "log"]
    assert [open_.spacing.total_seconds() for open_ in opened.values()] == [1.1, 0]


def test_channels_of_the_console_print_to_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    open_channels([channel("log", "console")])["log"].send({"text": "spend"}, "k", 1, None)
    assert capsys.readouterr() == ("", "spend\n")


@pytest.mark.parametrize(
    ("wanted", "client", "error", "words"),
    [
        pytest.param(
            channel("ops", "pigeon"), None, UnknownName, "channels.ops.kind: 'pigeon' is not one of console, slack",
            id="an unknown kind lists the known ones",
        ),
        pytest.param(
            channel("ops", "slack"), WebClient(), InvalidValue, "channels.ops.target: None is not the id of a Slack",
            id="a Slack channel needs a target",
        ),
        pytest.param(
            channel("ops", "slack", "C1"), None, InvalidValue, "slack.bot_token: '' is not a bot token, which channel",
            id="a Slack channel needs a client",
        ),
    ],
)  # fmt: skip
def test_channels_that_cannot_be_opened_say_why(
    wanted: Channel, client: WebClient | None, error: type[InvalidValue], words: str
) -> None:
    with pytest.raises(error) as caught:
        open_channels([wanted], client)
    assert str(caught.value).startswith(words)


def test_channels_registry_names_every_kind_once() -> None:
    assert sorted(KINDS) == ["console", "slack"]
