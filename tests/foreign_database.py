"""A second Postgres database on the test cluster, as if it were somebody else's: LiteLLM's, or an application's."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import sqlalchemy as sa
from pydantic import SecretStr

from tasks.resources import administration, drop_database
from tests.litellm_proxy import Row

# As LiteLLM's Prisma schema makes it: times to the millisecond, without a zone, in UTC.
SPEND_LOGS = """
CREATE TABLE "LiteLLM_SpendLogs" (
    request_id text PRIMARY KEY, call_type text NOT NULL, api_key text NOT NULL DEFAULT '',
    spend double precision NOT NULL DEFAULT 0, total_tokens int NOT NULL DEFAULT 0,
    prompt_tokens int NOT NULL DEFAULT 0, completion_tokens int NOT NULL DEFAULT 0,
    "startTime" timestamp(3) NOT NULL, "endTime" timestamp(3) NOT NULL, "completionStartTime" timestamp(3),
    model text NOT NULL DEFAULT '', custom_llm_provider text DEFAULT '', "user" text DEFAULT '',
    metadata jsonb DEFAULT '{}', cache_hit text DEFAULT '', request_tags jsonb DEFAULT '[]', team_id text,
    end_user text, messages jsonb DEFAULT '{}', response jsonb DEFAULT '{}', status text, litellm_call_id text
);
CREATE INDEX ON "LiteLLM_SpendLogs" ("startTime", request_id);
"""


class ForeignDatabase:
    """What a test holds: a URL for the source, and the owner's own hands on the tables."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.engine = sa.create_engine(url, poolclass=sa.NullPool)

    @property
    def secret(self) -> SecretStr:
        """The URL as an owner writes it, without our driver in it."""
        return SecretStr(self.url.replace("postgresql+psycopg://", "postgresql://"))

    def run(self, statement: str, **values: Any) -> None:
        """Run SQL."""
        with self.engine.begin() as connection:
            connection.execute(sa.text(statement), values)

    def add_rows(self, rows: Iterable[Row]) -> None:
        """Write rows into `LiteLLM_SpendLogs`, as the proxy does: one that is there is replaced."""
        for row in rows:
            values = {
                name: json.dumps(value) if isinstance(value, dict | list) else value for name, value in row.items()
            }
            for name in ("startTime", "endTime", "completionStartTime"):
                values[name] = datetime.fromisoformat(row[name]).astimezone(UTC).replace(tzinfo=None)
            columns = ", ".join(f'"{name}"' for name in values)
            fresh = ", ".join(f'"{name}" = excluded."{name}"' for name in values)
            self.run(
                f'INSERT INTO "LiteLLM_SpendLogs" ({columns}) VALUES ({", ".join(f":{name}" for name in values)}) '  # noqa: S608
                f"ON CONFLICT (request_id) DO UPDATE SET {fresh}",
                **values,
            )


@contextmanager
def foreign_database(server_url: str) -> Iterator[ForeignDatabase]:
    """Make an empty database beside the test's own, until the block ends."""
    name = f"wk_foreign_{uuid4().hex[:12]}"
    with administration(server_url) as connection:
        connection.execute(sa.text(f"CREATE DATABASE {name}"))
    try:
        yield ForeignDatabase(sa.make_url(server_url).set(database=name).render_as_string(hide_password=False))
    finally:
        drop_database(server_url, name)
