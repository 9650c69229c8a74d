"""Evaluation runs to kill: for each line on standard input, a child process that runs the configured set once.

It prints each child's process id, and `gone` once that ended.
"""

from __future__ import annotations

import os
import sys
from datetime import UTC, datetime

import sqlalchemy as sa

from tasks.load_settings import load_settings
from tasks.plan_evaluations import plans
from tasks.resources import database_url, open_http
from tasks.run_evaluations import run_set


def main() -> None:
    settings = load_settings()
    (plan,) = plans(settings.evaluation)
    for _ in sys.stdin:
        child = os.fork()
        if child == 0:
            engine = sa.create_engine(database_url(settings))
            with open_http() as http:
                run_set(engine, http, settings, plan, lambda: datetime.now(UTC))
            os._exit(0)
        print(child, flush=True)
        os.waitpid(child, 0)
        print("gone", flush=True)


main()
