from __future__ import annotations

import gzip
import json
import os
import signal
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from click.testing import CliRunner, Result

from cli.main import watchkeeper
from ops.errors import InvalidValue, UnknownName
from tasks.settings import Settings
from tasks.stores.tables import traffic_splits

DAY = ("--start", "2025-11-03", "--days", "1", "--rate", "20")


@pytest.fixture(autouse=True)
def _place(settings: Settings) -> None:
    """The settings' environment and working folder."""


def simulate(*options: str) -> Result:
    return CliRunner().invoke(watchkeeper, ["simulate", "--out", "logs", *options])


def done(*options: str) -> dict[str, Any]:
    result = simulate(*options, "--json")
    assert result.exit_code == 0, result.output
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def lines(name: str) -> list[dict[str, Any]]:
    with gzip.open(name) as stream:
        return [json.loads(line) for line in stream]


def test_a_day_becomes_two_files() -> None:
    assert done(*DAY) == {
        "requests": len(lines("logs/usage-20251103T000000.jsonl.gz")),
        "files": ["logs/usage-20251103T000000.jsonl.gz", "logs/scores-20251103T000000.jsonl.gz"],
        "from": "2025-11-03T00:00:00+00:00",
        "to": "2025-11-04T00:00:00+00:00",
    }


def test_people_read_how_many_and_where() -> None:
    result = simulate(*DAY)
    assert result.stdout == f"{len(lines('logs/usage-20251103T000000.jsonl.gz')):,} requests in logs\n"


def test_time_is_cut_at_midnight_and_nothing_is_lost() -> None:
    found = done("--start", "2025-11-03T18:00", "--days", "1", "--rate", "20")
    stamps = ("20251103T180000", "20251104T000000")
    assert found["files"] == [f"logs/{kind}-{stamp}.jsonl.gz" for stamp in stamps for kind in ("usage", "scores")]
    times = [line["startTime"] for name in found["files"][::2] for line in lines(name)]
    assert len(times) == found["requests"]
    assert times == sorted(times)
    midnight = datetime(2025, 11, 4, tzinfo=UTC).timestamp()
    assert times[0] < midnight < times[-1]


def test_without_a_start_it_ends_now() -> None:
    before = datetime.now(UTC).replace(microsecond=0)
    found = done("--days", "0.01", "--rate", "20")
    begun, ended = (datetime.fromisoformat(found[name]) for name in ("from", "to"))
    assert before <= ended <= datetime.now(UTC)
    assert ended - begun == timedelta(days=0.01)


def test_seed_decides_the_bytes() -> None:
    [name, _] = done(*DAY)["files"]
    first = Path(name).read_bytes()
    done(*DAY)
    assert Path(name).read_bytes() == first
    done(*DAY, "--seed", "2")
    assert Path(name).read_bytes() != first


def test_scenarios_show_in_the_log() -> None:
    def failures(*options: str) -> int:
        return sum(line["status"] == "failure" for line in lines(done(*DAY, *options)["files"][0]))

    assert failures("--scenario", "vendor-outage", "--scenario", "cost-spike") > 2 * failures()


def test_unknown_scenario_lists_the_known_ones() -> None:
    result = simulate("--scenario", "doomsday")
    assert isinstance(result.exception, UnknownName)
    assert "'doomsday' is not one of bad-canary, cache-collapse, cost-spike" in str(result.exception)
    assert not Path("logs").exists()


def test_traffic_obeys_the_splits_of_the_database(engine: sa.Engine) -> None:
    row = {"tenant_id": "default", "service": "assistant", "control_release": "v41", "canary_release": None}
    row |= {"canary_percent": 0, "salt": "s", "algorithm": "sha256/10k", "updated_at": datetime.now(UTC)}
    with engine.begin() as connection:
        connection.execute(sa.insert(traffic_splits), row)
    released = {
        (free["service"], free["release"])
        for line in lines(done(*DAY)["files"][0])
        for free in [line["metadata"]["requester_metadata"]]
    }
    assert released == {("assistant", "v41"), ("search-api", "v1")}


@pytest.mark.parametrize(
    "options",
    [
        pytest.param(("--days", "0"), id="no time"),
        pytest.param(("--rate", "0"), id="no requests"),
        pytest.param(("--rate", "inf"), id="endless requests"),
        pytest.param(("--start", "03.11.2025"), id="a start in another form"),
        pytest.param(("--seed", "x"), id="a seed in letters"),
    ],
)
def test_option_is_refused(options: tuple[str, ...]) -> None:
    result = simulate(*options)
    assert (result.exit_code, result.stdout) == (2, "")
    assert f"Invalid value for '{options[0]}'" in result.stderr


@pytest.mark.parametrize(
    "options",
    [
        pytest.param(("--days", "nan"), id="a time that is not a number"),
        pytest.param(("--start", "9999-12-31", "--days", "2"), id="an end beyond the calendar"),
        pytest.param(("--rate", "nan"), id="a rate that is not a number"),
    ],
)
def test_option_that_no_range_catches_is_refused(options: tuple[str, ...]) -> None:
    result = simulate(*options)
    assert isinstance(result.exception, InvalidValue)
    assert not Path("logs").exists()


def test_help_shows_an_example() -> None:
    assert "Example:" in simulate("--help").stdout


def test_live_traffic_goes_on_until_interrupted() -> None:
    command = [sys.executable, "-m", "cli.main", "simulate", "--out", "logs", *DAY, "--live", "--scenario", "normal"]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), "PYTHONUNBUFFERED": "1"}
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment, text=True, start_new_session=True
    )
    assert process.stdout is not None
    assert process.stdout.readline().endswith("requests in logs\n")
    assert process.poll() is None
    process.send_signal(signal.SIGINT)
    _, shown = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "Traceback" not in shown
