"""A dispatcher to kill: for each time on standard input, a child process that dispatches once.

Arguments: the database's URL, the Slack server's URL. It prints each child's process id, and `gone` once that ended.
"""

from __future__ import annotations

import os
import sys
from datetime import datetime

import httpx
import sqlalchemy as sa

from tasks.channels.slack import SlackChannel
from tasks.dispatch_outbox import dispatch_due
from tasks.slack_client import SlackClient


def main(database_url: str, base_url: str) -> None:
    for line in sys.stdin:
        now = datetime.fromisoformat(line.strip())
        child = os.fork()
        if child == 0:
            engine = sa.create_engine(database_url)
            with httpx.Client(verify=False) as http:  # noqa: S501  to read the authorities takes as long as the rest
                channels = {"ops": SlackChannel(SlackClient(http, "xoxb-test", base_url), "C1")}
                dispatch_due(engine, "t", channels, lambda now=now: now)  # type: ignore[misc]
            os._exit(0)
        print(child, flush=True)
        os.waitpid(child, 0)
        print("gone", flush=True)


main(*sys.argv[1:])
