"""A reconciler to kill: for each time on standard input, a child process that advances the rollouts once.

Arguments: the database's URL. It prints each child's process id, and `gone` once that ended. The plans are those of
the started rollouts, so it needs no settings beyond the default ones.
"""

from __future__ import annotations

import os
import sys
from datetime import datetime

import sqlalchemy as sa

from tasks.advance_rollout import advance_rollouts
from tasks.settings import Settings


def main(database_url: str) -> None:
    for line in sys.stdin:
        now = datetime.fromisoformat(line.strip())
        child = os.fork()
        if child == 0:
            engine = sa.create_engine(database_url)
            advance_rollouts.fn(engine, Settings(), now)
            os._exit(0)
        print(child, flush=True)
        os.waitpid(child, 0)
        print("gone", flush=True)


main(*sys.argv[1:])
