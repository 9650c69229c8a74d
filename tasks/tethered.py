"""Run a command that must not outlive its starter: `python -m tasks.tethered COMMAND …`, standard input a pipe from it.

The kernel closes the pipe when the starter ends, however it ends, kill -9 included; then the command is interrupted.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from contextlib import suppress

import psutil


def start(command: list[str], *, env: dict[str, str], log: int) -> subprocess.Popen[bytes]:
    """Start `command`, tied to this process; what it prints goes to the open file `log`."""
    line = [sys.executable, "-m", "tasks.tethered", *command]
    return subprocess.Popen(line, env=env, stdin=subprocess.PIPE, stdout=log, stderr=log)  # noqa: S603  our own words


def stop(process: subprocess.Popen[bytes], grace_s: float = 20) -> None:
    """End what `start` started: politely, then for certain."""
    if process.stdin:
        process.stdin.close()
    try:
        process.wait(grace_s)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def main(grace_s: float = 15) -> int:
    """Run the command until it ends or the pipe does; it stays in the starter's process group.

    After the pipe's end the command may take `grace_s` for its own end, which must be less than `stop` allows.
    """
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # background jobs of a shell inherit it ignored
    child = subprocess.Popen(sys.argv[1:], stdin=subprocess.DEVNULL)  # noqa: S603  from `start`
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the child by itself; we stay to see it end
    killing = threading.Lock()
    threading.Thread(target=_watch_pipe, args=(child, grace_s, killing), daemon=True).start()
    code = child.wait()
    with killing:  # the thread ends with us, and some of the family might be left
        return code


def _watch_pipe(child: subprocess.Popen[bytes], grace_s: float, killing: threading.Lock) -> None:
    while os.read(0, 4096):
        pass
    child.send_signal(signal.SIGINT)
    try:
        child.wait(grace_s)
    except subprocess.TimeoutExpired:
        with killing:
            family = psutil.Process(child.pid).children(recursive=True)
            child.kill()  # first: it might otherwise end well when its children are gone
            for process in family:
                with suppress(psutil.NoSuchProcess):
                    process.kill()


if __name__ == "__main__":
    sys.exit(main())
