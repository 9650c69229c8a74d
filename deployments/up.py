"""Run the whole watch on one machine: Postgres, Prefect's server and the served flows, each tied to this process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from types import FrameType

from ops.errors import Unavailable
from tasks import prefect_server, tethered
from tasks.load_settings import load_settings
from tasks.resources import libpq_url, open_database, running_server
from tasks.settings import Settings

Say = Callable[[str], object]


def run(say: Say) -> None:
    """Start everything, say where the UI is, and stop everything at Ctrl-C or SIGTERM.

    Raises:
        Unavailable: something did not start, or ended by itself.
    """
    settings = load_settings()
    for number in (signal.SIGTERM, signal.SIGINT):  # SIGINT too: a shell's background job starts with it ignored
        signal.signal(number, _interrupt)
    try:
        with ExitStack() as stack:
            _start(settings, stack, say)
    except KeyboardInterrupt:
        say("stopped")


def _start(settings: Settings, stack: ExitStack, say: Say) -> None:
    settings.home.mkdir(parents=True, exist_ok=True)
    stack.enter_context(running_server(settings))
    with open_database(settings) as engine:  # the schema is up to date before the first flow runs
        say(f"Postgres   {libpq_url(engine.url)}")
    url = stack.enter_context(prefect_server.server(settings, settings.prefect_port))
    served = _serve(settings, url)
    stack.callback(tethered.stop, served)
    say(f"Prefect UI {url.removesuffix('/api')}")
    say(f"Logs       {settings.home}/prefect-server.log")
    say(f"           {settings.home}/flows.log (and what the console channel says)")
    say("Ctrl-C stops everything.")
    while served.poll() is None:
        time.sleep(0.5)
    raise Unavailable(
        "the flows' process", f"it ended by itself (exit {served.returncode}); see {settings.home}/flows.log"
    )


def _serve(settings: Settings, url: str) -> subprocess.Popen[bytes]:
    found = os.environ | prefect_server.environment(settings, log_level="INFO") | {"PREFECT_API_URL": url}
    with (settings.home / "flows.log").open("ab") as log:
        return tethered.start([sys.executable, "-m", "deployments.serve"], env=found, log=log.fileno())


def _interrupt(number: int, frame: FrameType | None) -> None:  # noqa: ARG001  a signal handler's signature
    raise KeyboardInterrupt
