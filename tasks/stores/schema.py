"""Bring a database to the newest schema; safe to run twice and from two processes at once.

Alembic is imported when there is something to migrate: every command asks for the revision, and few change it.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import sqlalchemy as sa

import migrations

if TYPE_CHECKING:
    from alembic.config import Config

_LOCK = 0x57A7C4  # any constant of ours: advisory locks are numbers
_FOLDER = Path(str(migrations.__file__)).parent


def upgrade(engine: sa.Engine) -> str:
    """Apply the missing migrations in one transaction and return the revision reached."""
    if current(engine) == head():
        return head()
    from alembic import command

    config = alembic_config()
    with engine.begin() as connection:
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_LOCK)))
        connection.execute(sa.text("CREATE SCHEMA IF NOT EXISTS watchkeeper"))
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
    return head()


def current(engine: sa.Engine) -> str | None:
    """Return the database's revision; None when it was never upgraded."""
    with engine.connect() as connection:
        return current_of(connection)


def current_of(connection: sa.Connection) -> str | None:
    """Return the revision as this connection sees it."""
    if connection.execute(sa.text("SELECT to_regclass('watchkeeper.alembic_version')")).scalar() is None:
        return None
    found: str | None = connection.execute(sa.text("SELECT version_num FROM watchkeeper.alembic_version")).scalar()
    return found


def head() -> str:
    """Return the newest revision that this version of Watchkeeper knows: a migration's file begins with its number."""
    return max(file.name[1:5] for file in (_FOLDER / "versions").glob("v[0-9]*.py"))


def alembic_config() -> Config:
    """Return where Alembic finds the migrations."""
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(_FOLDER).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return config
