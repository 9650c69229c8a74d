"""`watchkeeper up`, as a user starts and stops it."""

from __future__ import annotations

import os
import signal
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
            flows = httpx.post(f"{api}/flows/filter", json={}).json()
            deployed = httpx.post(f"{api}/deployments/filter", json={}).json()
            if len(deployed) == len(SCHEDULES):
                by_id = {flow["id"]: flow["name"] for flow in flows}
                return [by_id[deployment["flow_id"]] for deployment in deployed]
        time.sleep(0.3)
    raise AssertionError(process.communicate()[0] if process.poll() is not None else "no deployments in 90 s")
