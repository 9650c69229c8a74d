"""`watchkeeper up`, as a user starts and stops it."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import pytest

from deployments.schedules import SCHEDULES
from tasks import prefect_server


@pytest.fixture
def running(
    database_url: str, clean_environment: dict[str, str], tmp_path: Path
) -> Iterator[tuple[subprocess.Popen[str], str]]:
    port = prefect_server.free_port()
    environment = clean_environment | {
        "DATABASE_URL": database_url,
        "WATCHKEEPER_HOME": str(tmp_path),
        "WATCHKEEPER_PREFECT_PORT": str(port),
    }
    process = subprocess.Popen(
        [sys.executable, "-u", "-m", "cli.main", "up"], env=environment, cwd=tmp_path, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True,
    )  # fmt: skip
    yield process, prefect_server.api_url(port)
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def test_up_serves_every_flow_in_one_group_and_ctrl_c_stops_all(running: tuple[subprocess.Popen[str], str]) -> None:
    process, api = running
    names = wait_for_deployments(process, api)
    assert sorted(names) == sorted(SCHEDULES)
    family = psutil.Process(process.pid).children(recursive=True)
    assert {os.getpgid(child.pid) for child in family} == {process.pid}
    os.killpg(process.pid, signal.SIGINT)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    assert f"Prefect UI {api.removesuffix('/api')}" in output
    assert output.rstrip().endswith("stopped")
    assert [child for child in family if child.is_running()] == []


def wait_for_deployments(process: subprocess.Popen[str], api: str) -> list[str]:
    deadline = time.monotonic() + 90
    while time.monotonic() < deadline and process.poll() is None:
        if prefect_server.answers(api):
            deployed = httpx.post(f"{api}/deployments/filter", json={}).json()
            flows = httpx.post(f"{api}/flows/filter", json={}).json()  # behind: a deployment's flow is there before it
            if len(deployed) == len(SCHEDULES):
                by_id = {flow["id"]: flow["name"] for flow in flows}
                return [by_id[deployment["flow_id"]] for deployment in deployed]
        time.sleep(0.3)
    raise AssertionError(process.communicate()[0] if process.poll() is not None else "no deployments in 90 s")


@pytest.mark.parametrize(
    ("change", "line"),
    [
        pytest.param({"DATABASE_URL": "postgresql://127.0.0.1:1/x"}, "database is unavailable", id="no database"),
        pytest.param({}, "another process listens there; set WATCHKEEPER_PREFECT_PORT", id="a port that is taken"),
    ],
)
def test_up_that_cannot_start_says_why_in_one_line(
    database_url: str, clean_environment: dict[str, str], tmp_path: Path, change: dict[str, str], line: str
) -> None:
    with socket.socket() as taken:
        taken.bind((prefect_server.HOST, 0))
        taken.listen()
        port = {"WATCHKEEPER_PREFECT_PORT": str(taken.getsockname()[1])}
        named = {"DATABASE_URL": database_url, "WATCHKEEPER_HOME": str(tmp_path)} | port | change
        done = subprocess.run(
            [sys.executable, "-m", "cli.main", "up"], env=clean_environment | named, cwd=tmp_path,
            capture_output=True, text=True, check=False, timeout=60,
        )  # fmt: skip
    assert done.returncode == 1
    assert line in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_up_ends_when_the_served_flows_end_by_themselves(running: tuple[subprocess.Popen[str], str]) -> None:
    process, api = running
    served = wait_for_served(process)
    served.kill()
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "the flows' process is unavailable: it ended by itself (exit -9); see" in output
    assert not prefect_server.answers(api)


def wait_for_served(process: subprocess.Popen[str]) -> psutil.Process:
    deadline = time.monotonic() + 90
    while time.monotonic() < deadline and process.poll() is None:
        for child in psutil.Process(process.pid).children():
            if "deployments.serve" in child.cmdline():
                return child
        time.sleep(0.1)
    raise AssertionError(process.communicate()[0] if process.poll() is not None else "nothing is served in 90 s")
