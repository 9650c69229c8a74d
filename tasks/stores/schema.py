"""Bring a database to the newest schema; safe to run twice and from two processes at once."""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

_LOCK = 0x57A7C4  # any constant of ours: advisory locks are numbers


def upgrade(engine: sa.Engine) -> str:
    """Apply the missing migrations in one transaction and return the revision reached."""
    if current(engine) == head():
        return head()
    config = _config()
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
    return MigrationContext.configure(connection, opts={"version_table_schema": "watchkeeper"}).get_current_revision()


def head() -> str:
    """Return the newest revision that this version of Watchkeeper knows."""
    return str(ScriptDirectory.from_config(_config()).get_current_head())


def _config() -> Config:
    import migrations

    config = Config()
    config.set_main_option("script_location", str(Path(str(migrations.__file__)).parent).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return config
