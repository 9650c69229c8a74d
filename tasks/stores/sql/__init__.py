"""Statements that Core would make unreadable: one file each, one comment on top."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import sqlalchemy as sa


@cache
def statement(name: str) -> sa.TextClause:
    """Return the statement in `<name>.sql`; its parameters are written `:name`."""
    text = (Path(__file__).parent / f"{name}.sql").read_text(encoding="utf-8")
    return sa.text(text.replace("::", "\\:\\:"))
