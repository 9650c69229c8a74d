from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from tasks import tethered

CHILD = """
import os, sys, time
try:
    print(os.getpid(), flush=True)
    time.sleep(60)
except KeyboardInterrupt:
    print("interrupted", flush=True)
    sys.exit(7)
"""
STARTER = """
import os, sys
from tasks import tethered
with open(sys.argv[1], "wb") as log:
    process = tethered.start(sys.argv[2:], env=dict(os.environ), log=log.fileno())
try:
    process.wait()
except KeyboardInterrupt:
    print(process.wait())
"""
IMPATIENT = "import sys; from tasks import tethered; sys.exit(tethered.main(grace_s=0.1))"
STUBBORN = "trap '' INT; sleep 60 & echo $! > {0}.new; mv {0}.new {0}; wait"


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "log"


def started(command: list[str], log: Path) -> subprocess.Popen[bytes]:
    with log.open("wb") as output:
        return tethered.start(command, env=dict(os.environ), log=output.fileno())


def first_pid(file: Path) -> psutil.Process:
    """Wait for a child to say its number."""
    deadline = time.monotonic() + 30
    while not (file.exists() and file.read_text().endswith("\n")):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return psutil.Process(int(file.read_text()))


def until_over(process: psutil.Process) -> None:
    """Wait for an end; a zombie that nobody collects has ended too."""
    deadline = time.monotonic() + 30
    with suppress(psutil.NoSuchProcess):
        while process.status() != psutil.STATUS_ZOMBIE:
            assert time.monotonic() < deadline
            time.sleep(0.01)


def test_tethered_command_passes_on_its_exit_code_and_what_it_prints(log: Path) -> None:
    process = started(["sh", "-c", "echo out; echo err >&2; exit 3"], log)
    assert process.wait(30) == 3
    assert log.read_text() == "out\nerr\n"
    tethered.stop(process)


def test_tethered_command_is_interrupted_by_stop_and_ends_by_itself(log: Path) -> None:
    process = started([sys.executable, "-c", CHILD], log)
    child = first_pid(log)
    tethered.stop(process)
    assert process.returncode == 7
    assert not child.is_running()
    assert log.read_text() == f"{child.pid}\ninterrupted\n"


def test_tethered_command_ends_when_its_starter_is_killed(log: Path) -> None:
    words = [sys.executable, "-c", STARTER, str(log), sys.executable, "-c", CHILD]
    with subprocess.Popen(words) as starter:
        child = first_pid(log)
        tether = child.parent()
        assert tether
        starter.kill()
    until_over(child)
    until_over(tether)
    assert log.read_text().endswith("\ninterrupted\n")


def test_tethered_command_gets_ctrl_c_by_itself_and_its_tether_stays_to_see_it_end(log: Path) -> None:
    words = [sys.executable, "-c", STARTER, str(log), sys.executable, "-c", CHILD]
    with subprocess.Popen(words, stdout=subprocess.PIPE, start_new_session=True) as starter:
        first_pid(log)
        os.killpg(starter.pid, signal.SIGINT)  # as a terminal does
        assert starter.communicate(timeout=30)[0] == b"7\n"


def test_tethered_command_that_ignores_the_interrupt_is_killed_with_its_children(tmp_path: Path) -> None:
    file = tmp_path / "pid"
    words = [sys.executable, "-c", IMPATIENT, "sh", "-c", STUBBORN.format(file)]
    process = subprocess.Popen(words, stdin=subprocess.PIPE)
    grandchild = first_pid(file)
    tethered.stop(process)
    assert process.returncode == 256 - signal.SIGKILL
    until_over(grandchild)


def test_stop_kills_what_does_not_end_in_time() -> None:
    process = subprocess.Popen(["sleep", "60"])
    tethered.stop(process, grace_s=0.01)
    assert process.returncode == -signal.SIGKILL
