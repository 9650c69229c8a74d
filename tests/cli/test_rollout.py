from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import sqlalchemy as sa
from click.testing import CliRunner, Result

from cli.main import watchkeeper
from ops.errors import InvalidValue, NotFound, UnknownName
from tasks.settings import Settings
from tasks.stores.tables import rollout_events, rollouts, traffic_splits
from tests.hand_made import rows_of

REPOSITORY = Path(__file__).parents[2]
START = ("start", "--service", "chat-api", "--control", "v41", "--canary", "v42")


@pytest.fixture(autouse=True)
def _place(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")


def rollout(*arguments: str) -> Result:
    return CliRunner().invoke(watchkeeper, ["rollout", *arguments])


def done(*arguments: str) -> str:
    result = rollout(*arguments)
    assert result.exit_code == 0, result.output
    return result.stdout


def started() -> str:
    return str(json.loads(done(*START, "--json"))["rollout_id"])


def test_start_gives_the_canary_its_first_share(engine: sa.Engine) -> None:
    line = done(*START)
    [row] = rows_of(engine, rollouts)
    assert line == f"{row.rollout_id}: 10 % on v42\n"
    assert (row.service, row.control_release, row.plan["name"]) == ("chat-api", "v41", "careful")
    assert [split.canary_percent for split in rows_of(engine, traffic_splits)] == [10]


def test_start_as_json(engine: sa.Engine) -> None:
    assert json.loads(done(*START, "--json")) == {
        "rollout_id": rows_of(engine, rollouts)[0].rollout_id,
        "canary_percent": 10,
    }


def test_start_takes_a_plan_of_the_settings(engine: sa.Engine, tmp_path: Path) -> None:
    Path("watchkeeper.yaml").write_text("plans:\n  bold: {steps: [50, 100], min_requests: 5}\n")
    assert done(*START, "--plan", "bold").endswith(": 50 % on v42\n")


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        pytest.param([*START, "--plan", "bold"], UnknownName, "plan: 'bold' is not one of careful", id="unknown plan"),
        pytest.param([*START[:3], "--canary", "v2"], InvalidValue, "nothing is known to serve", id="unknown control"),
        pytest.param(
            ["abort", "x:y:z", "--reason", "why"], NotFound, "rollout 'x:y:z' not found", id="unknown rollout"
        ),
    ],
)
def test_rollout_says_what_is_wrong(arguments: list[str], error: type[Exception], message: str) -> None:
    result = rollout(*arguments)
    assert isinstance(result.exception, error)
    assert message in str(result.exception)


@pytest.mark.parametrize("missing", ["--service", "--canary"])
def test_start_asks_for_what_is_missing(missing: str) -> None:
    arguments = list(START)
    place = arguments.index(missing)
    result = rollout(*arguments[:place], *arguments[place + 2 :])
    assert result.exit_code == 2
    assert f"Missing option '{missing}'" in result.stderr


def test_status_of_nothing_is_an_empty_list() -> None:
    assert json.loads(done("status", "--json")) == []


def test_status_shows_every_rollout_with_its_reason() -> None:
    rollout_id = started()
    done("abort", rollout_id, "--reason", "wrong [bold]prompt[/nothing]")
    done("start", "--service", "search", "--control", "a", "--canary", "b")
    header, first, second = done("status").splitlines()[1:]
    assert header.split() == ["Rollout", "Control", "Canary", "State", "Canary", "Reason"]
    assert first.split() == [rollout_id, "v41", "v42", "aborted", "0", "%", "wrong", "[bold]prompt[/nothing]"]
    assert second.split()[1:] == ["a", "b", "running", "10", "%", "started"]


def test_status_as_json_has_every_field() -> None:
    rollout_id = started()
    [row] = json.loads(done("status", "--json"))
    assert (row["rollout_id"], row["state"], row["version"], row["reason"]) == (rollout_id, "running", 0, "started")
    assert row["plan"]["steps"] == [10, 25, 50, 100]


def test_abort_gives_all_traffic_back(engine: sa.Engine) -> None:
    rollout_id = started()
    assert done("abort", rollout_id, "--reason", "wrong prompt") == f"{rollout_id}: aborted\n"
    [split] = rows_of(engine, traffic_splits)
    assert (split.control_release, split.canary_release, split.canary_percent) == ("v41", None, 0)
    assert [row.reason for row in rows_of(engine, rollout_events)] == ["wrong prompt"]


def test_abort_as_json() -> None:
    rollout_id = started()
    document = json.loads(done("abort", rollout_id, "--reason", "why", "--json"))
    assert document == {"rollout_id": rollout_id, "state": "aborted"}


def test_abort_wants_a_reason() -> None:
    result = rollout("abort", "x:y:z")
    assert result.exit_code == 2
    assert "Missing option '--reason'" in result.stderr


def test_start_twice_from_a_shell_fails_in_one_line() -> None:
    started()
    command = [sys.executable, "-m", "cli.main", "rollout", *START]
    found = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(REPOSITORY)})
    assert (found.returncode, found.stdout) == (2, "")
    [line] = found.stderr.splitlines()
    assert re.search(r"service: 'chat-api' is not free: chat-api:v42:\w+ is open$", line)
