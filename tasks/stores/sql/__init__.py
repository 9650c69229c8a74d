"""Statements that Core would make unreadable: one file each, one comment on top."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import sqlalchemy as sa
from psycopg.sql import SQL


@cache
def statement(name: str) -> sa.TextClause:
    """Return the statement in `<name>.sql`; its parameters are written `:name`."""
    return sa.text(_text(name).replace("::", "\\:\\:"))


@cache
def driver_statement(name: str) -> SQL:
    """Return the statement in `<name>.sql` for psycopg itself; `%(name)b` goes in binary: lists in half the time."""
    return SQL(_text(name))


def _text(name: str) -> str:
    return (Path(__file__).parent / f"{name}.sql").read_text(encoding="utf-8")
