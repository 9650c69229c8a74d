from __future__ import annotations

import subprocess
import sys

import pytest
from click.testing import CliRunner

from cli.main import watchkeeper
from ops.errors import InvalidValue


def test_help_names_the_routes_and_shows_how_to_post() -> None:
    text = CliRunner().invoke(watchkeeper, ["receive", "--help"]).output
    for words in (
        "/litellm",
        "/v1/traces",
        "/healthz",
        "WATCHKEEPER_RECEIVER__TOKEN",
        "--insecure-no-token",
        "--data-binary @payload.json",
        '{"database": "ok"}, or "away"',
    ):
        assert words in text


@pytest.mark.parametrize(
    ("token", "shown"),
    [
        pytest.param("", "receiver.token: ''", id="none"),
        pytest.param("guess-me", "receiver.token: '(hidden)'", id="a short one"),
    ],
)
def test_receiver_does_not_start_with_a_token_like(token: str, shown: str, clean_environment: dict[str, str]) -> None:
    environment = clean_environment | {"WATCHKEEPER_RECEIVER__TOKEN": token}
    command = [sys.executable, "-m", "cli.main", "receive"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert shown in done.stderr
    assert "at least 16 visible ASCII characters" in done.stderr
    assert "guess-me" not in done.stderr


def test_receiver_does_not_take_an_empty_host_for_every_address() -> None:
    error = CliRunner().invoke(watchkeeper, ["receive", "--host", "", "--insecure-no-token"]).exception
    assert isinstance(error, InvalidValue)
    assert str(error) == "--host: '' is not an address such as 127.0.0.1"
