"""Read the state of everything, section by section.

Before it: everything that writes. Between: `tasks/read_sections.py`. After it: `cli/status.py` prints it. A look
changes nothing: the schema stays as it is, and a section that cannot be read says why. Neither Prefect nor an HTTP
client is imported: each takes longer than all of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from ops.errors import Unavailable, in_words
from ops.status import Level, Row, Section, counts, told_once
from tasks.embedded_postgres import Cluster
from tasks.read_sections import SECTIONS, UPGRADE, Look, Schedules
from tasks.resources import first_line, open_database
from tasks.settings import Settings
from tasks.stores import schema

# Of one query, and of its waiting for a lock: whoever locks one table mostly locks others too. To compile a query takes
# longer than to run it.
_PATIENCE = sa.text(
    "SELECT set_config('statement_timeout', '5s', true), set_config('lock_timeout', '150ms', true),"
    " set_config('jit', 'off', true)"
)


@dataclass(frozen=True, slots=True)
class Page:
    """The state of everything at one time."""

    tenant: str
    now: datetime
    sections: tuple[Section, ...]

    @property
    def levels(self) -> list[Level]:
        """How each row stands; what an alert says too counts once."""
        return [row.level for section in told_once(self.sections) for row in section.rows]

    @property
    def level(self) -> Level:
        """The gravest of them."""
        return Level.gravest(self.levels)

    def as_json(self) -> dict[str, Any]:
        """Return what `--json` prints."""
        return {
            "tenant": self.tenant, "as_of": self.now, "level": self.level,
            "counts": counts(self.levels),
            "sections": [
                {"section": section.name, "level": section.level, "rows": [row.as_json() for row in section.rows]}
                for section in self.sections
            ],
        }  # fmt: skip


def read_status(settings: Settings, now: datetime, schedules: Schedules) -> Page:
    """Read every section as of `now`; without a database, or a schema in it, that is all there is to say."""
    return Page(settings.tenant, now, tuple(_sections(settings, now, schedules)))


def _sections(settings: Settings, now: datetime, schedules: Schedules) -> list[Section]:
    if settings.database_url is None and not Cluster(settings.home).exists:
        return [_database(Level.UNREADABLE, "there is none yet: `watchkeeper up` makes one")]
    try:
        with open_database(settings, upgrade=False) as engine, engine.connect() as connection:
            connection.execution_options(postgresql_readonly=True).execute(_PATIENCE)
            if schema.current_of(connection) is None:
                return [_database(Level.UNREADABLE, f"it has no schema yet: {UPGRADE} makes it")]
            look = Look(connection, settings, now, schedules)
            return [_section(look, name) for name in SECTIONS]
    except Unavailable as error:
        return [_database(Level.CRITICAL, str(error))]


def _database(level: Level, text: str) -> Section:
    return Section("database", (Row(level, "", text),))


def _section(look: Look, name: str) -> Section:
    """Read a section; what fails in it is taken back, so that the connection serves the next."""
    try:
        with look.connection.begin_nested():
            return Section(name, tuple(SECTIONS[name](look)))
    except sa.exc.DBAPIError as error:
        return Section(name, (Row(Level.UNREADABLE, "", first_line(error)),))
    except Exception as error:  # noqa: BLE001  rows of another version: the other sections are read
        return Section(name, (Row(Level.UNREADABLE, "", in_words(error)),))
