"""Waits without sleeping: asks Postgres again and again whether others have come so far."""

from __future__ import annotations

from time import monotonic
from typing import Any

import psycopg

_SECONDS = 60


def are_waiting(url: str, count: int) -> bool:
    """Return once `count` connections to this database wait for a lock; False when they never do."""
    waiting = """SELECT count(*) >= %s FROM pg_stat_activity
                  WHERE wait_event_type = 'Lock' AND datname = current_database()"""
    return comes_true(url, waiting, count)


def comes_true(url: str, query: str, *values: Any) -> bool:
    """Return once `query` gives true; False when it never does."""
    deadline = monotonic() + _SECONDS
    with psycopg.connect(url.replace("+psycopg", "", 1), autocommit=True) as connection:
        while monotonic() < deadline:
            row = connection.execute(query, values).fetchone()
            if row and row[0]:
                return True
    return False
