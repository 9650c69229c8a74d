"""One flow by hand: as a user starts it, and what it says of a state."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
import yaml
from click.testing import CliRunner, Result

from cli.main import watchkeeper
from deployments.schedules import SCHEDULES
from flows.run import check_parameters
from ops.errors import InvalidValue
from tasks.settings import Settings
from tasks.stores.tables import cost_projections, watermarks
from tests.hand_made import HOUR, NOW, event, load, rows_of

NOON = f"{NOW:%Y-%m-%dT%H:%M}"


@pytest.fixture
def api(prefect_api: str, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The server that the environment names; what a run adds to the environment goes again."""
    before = dict(os.environ)
    monkeypatch.setenv("PREFECT_API_URL", prefect_api)
    yield prefect_api
    os.environ.clear()
    os.environ.update(before)


@pytest.fixture
def home(tmp_path: Path, clean_environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where a user with one source and no server runs flows; what a run adds to the environment goes again."""
    before = dict(os.environ)
    home = tmp_path / "home"
    os.environ.clear()
    os.environ.update(clean_environment, WATCHKEEPER_HOME=str(home), WATCHKEEPER_PREFECT_PORT="1")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "watchkeeper.yaml").write_text("sources: [{name: gateway, path: x}]\n")
    yield home
    os.environ.clear()
    os.environ.update(before)


def run(*arguments: str) -> Result:
    return CliRunner().invoke(watchkeeper, ["run", *arguments])


def start(api: str, database_url: str, environment: dict[str, str], home: Path, *arguments: str) -> Any:
    named = {"PREFECT_API_URL": api, "DATABASE_URL": database_url, "WATCHKEEPER_HOME": str(home)}
    return subprocess.run(
        [sys.executable, "-m", "cli.main", "run", *arguments], cwd=home, env=environment | named,
        capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_run_as_json_prints_one_document_and_nothing_else(
    prefect_api: str, database_url: str, engine: sa.Engine, clean_environment: dict[str, str], tmp_path: Path
) -> None:
    load(engine, [event(HOUR)])
    done = start(prefect_api, database_url, clean_environment, tmp_path, "project-costs", "--as-of", NOON, "--json")
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert list(document) == ["flow", "state", "type", "message"]
    assert (document["flow"], document["state"], document["type"]) == ("project-costs", "Completed", "COMPLETED")
    assert {row.as_of for row in rows_of(engine, cost_projections)} == {NOW}


def test_run_of_a_flow_that_fails_ends_in_one_line_and_exit_1(
    prefect_api: str, database_url: str, clean_environment: dict[str, str], tmp_path: Path
) -> None:
    source = {"name": "gateway", "kind": "litellm", "path": f"{tmp_path}/missing.jsonl"}
    (tmp_path / "watchkeeper.yaml").write_text(yaml.safe_dump({"sources": [source]}))
    done = start(prefect_api, database_url, clean_environment, tmp_path, "ingest-usage")
    assert done.returncode == 1
    [line] = done.stdout.splitlines()
    assert line.startswith("ingest-usage: Failed. 0 new events, 0 lines rejected; failed: gateway: source gateway: ")
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("text", "reached"),
    [
        pytest.param("2026-03-05", datetime(2026, 3, 5, tzinfo=UTC), id="a day is its midnight in UTC"),
        pytest.param("2026-03-05T12:00", datetime(2026, 3, 5, 12, tzinfo=UTC), id="to the minute"),
        pytest.param("2026-03-05T12:00:30", datetime(2026, 3, 5, 12, 0, 30, tzinfo=UTC), id="to the second"),
    ],
)
def test_run_decides_as_of_the_time_that_is_given(api: str, engine: sa.Engine, text: str, reached: datetime) -> None:
    result = run("evaluate-alerts", "--as-of", text)
    assert result.exit_code == 0, result.output
    assert [row.reached_at for row in rows_of(engine, watermarks)] == [reached]


def test_run_without_a_time_decides_as_of_now(api: str, engine: sa.Engine) -> None:
    before = datetime.now(UTC)
    assert run("evaluate-alerts").exit_code == 0
    [row] = rows_of(engine, watermarks, watermarks.c.step == "evaluate_alerts")
    assert before <= row.reached_at <= datetime.now(UTC)


@pytest.mark.parametrize(
    ("flow", "line"),
    [
        pytest.param("ingest-usage", "ingest-usage: Skipped. no sources are configured\n", id="a skipped run"),
        pytest.param("keep-watch", "keep-watch: Skipped. nothing was due\n", id="a quiet minute"),
        pytest.param("dispatch-alerts", "dispatch-alerts: Completed.", id="a run that is done"),
    ],
)
def test_run_says_how_the_flow_ended(api: str, flow: str, line: str) -> None:
    result = run(flow, "--as-of", NOON)
    assert result.exit_code == 0
    assert result.stdout.startswith(line)
    assert "None" not in result.stdout
    assert len(result.stdout.splitlines()) == 1


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        pytest.param(["keep-wach"], "'keep-wach' is not one of 'advance-rollouts'", id="a flow that is not there"),
        pytest.param(["keep_watch"], "'keep_watch' is not one of", id="a module's name"),
        pytest.param(["keep-watch", "--as-of", "noon"], "'noon' does not match the formats", id="a time in words"),
        pytest.param(["keep-watch", "--as-of", "2026-02-30"], "'2026-02-30' does not match", id="a day that never was"),
        pytest.param([], "Missing argument", id="no flow at all"),
    ],
)
def test_run_refuses(settings: Settings, arguments: list[str], complaint: str) -> None:
    result = run(*arguments)
    assert result.exit_code == 2
    assert complaint in " ".join(result.output.replace("│", " ").split())


@pytest.mark.parametrize(
    ("text", "line"),
    [
        pytest.param("shard=1/2", "ingest-usage: Skipped. no sources are configured", id="a text"),
        pytest.param("sources=[]", "ingest-usage: Skipped. no sources are configured", id="a list"),
    ],
)
def test_run_sets_parameters_of_the_flow(api: str, text: str, line: str) -> None:
    result = run("ingest-usage", "--as-of", NOON, "--set", text)
    assert line in result.stdout
    assert result.exit_code == 0


@pytest.mark.parametrize(
    ("flow", "text", "complaint"),
    [
        pytest.param("ingest-usage", 'sources=["nosuch"]', "sources: 'nosuch' is not one of gateway", id="a source"),
        pytest.param("ingest-usage", "sources=gateway", "sources: 'gateway' is not right: Input", id="no list"),
        pytest.param("backfill-usage", "source=nosuch", "source: 'nosuch' is not one of gateway", id="another source"),
        pytest.param("backfill-usage", "source=gateway", "start: None is not a time such as", id="no time"),
        pytest.param("backfill-usage", "workers=many", "workers: 'many' is not right: Input", id="no number"),
        pytest.param("keep-watch", "sources=[]", "keep-watch's parameter: 'sources' is not one of (none)", id="none"),
    ],
)  # fmt: skip
def test_run_refuses_a_parameter_before_it_starts_a_server(flow: str, text: str, complaint: str, home: Path) -> None:
    error = run(flow, "--set", text).exception
    assert isinstance(error, InvalidValue)
    assert str(error).startswith(complaint)
    assert [path.name for path in home.iterdir()] == ["prefect"]  # no database, no server's log


def test_run_from_a_shell_refuses_a_parameter_in_one_line(home: Path) -> None:
    command = [sys.executable, "-m", "cli.main", "run", "backfill-usage", "--set", "workers=many"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    [line] = done.stderr.splitlines()
    assert line.startswith("watchkeeper: workers: 'many' is not right: Input")
    assert [path.name for path in home.iterdir()] == ["prefect"]


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        pytest.param("shards=1/2", "ingest-usage's parameter: 'shards' is not one of shard, sources", id="unknown"),
        pytest.param("as_of=2026-01-01", "'as_of' is not one of shard, sources", id="the time, which has its option"),
        pytest.param("shard", "--set: 'shard' is not NAME=VALUE", id="no value"),
        pytest.param('sources=["x"]', "sources: 'x' is not one of (none)", id="a source that nobody knows"),
        pytest.param("shard=3/2", "shard: '3/2' is not such as 1/4", id="a text that the flow refuses"),
        pytest.param("=1/2", "--set: '=1/2' is not NAME=VALUE", id="no name"),
    ],
)
def test_run_refuses_a_parameter_that_is(api: str, text: str, complaint: str) -> None:
    error = run("ingest-usage", "--set", text).exception
    assert isinstance(error, InvalidValue)
    assert complaint in str(error)


@pytest.mark.parametrize("flow", SCHEDULES)
def test_run_finds_the_module_of_every_flow(flow: str, api: str, settings: Settings) -> None:
    with pytest.raises(InvalidValue, match=f"{flow}'s parameter: 'nonsense' is not one of"):
        check_parameters(settings, flow, {"nonsense": 1})
