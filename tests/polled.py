"""Poll a source into a tenant of its own, and say what its tables hold then."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from ops.window import Window
from tasks.http import Courier, Turnstile
from tasks.load_window import poll
from tasks.refuse_rows import Origin
from tasks.resources import open_http
from tasks.settings import Source
from tasks.sources import polled_kind_of
from tasks.sources.interface import ApiKind
from tasks.stores import ingest
from tasks.stores.tables import latency_hourly, scores, usage_daily_users, usage_events, usage_hourly, usage_rejects
from tasks.write_usage import Loaded, Target, Writer
from tests.api_server import ApiServer, Fault

NO_WAIT = {"retry-after": "0"}
_OUR_OWN = {"tenant_id", "ingested_at", "rejected_at"}


@dataclass
class Clock:
    """A second passes whenever somebody looks."""

    now: datetime

    def __call__(self) -> datetime:
        self.now += timedelta(seconds=1)
        return self.now


def polled(engine: sa.Engine, source: Source, now: datetime, tenant: str = "default") -> Loaded:
    """Poll a source once."""
    return poll(Target(engine, tenant), source, now, Clock(now))


def carried(
    engine: sa.Engine, source: Source, window: Window, tenant: str = "default", timeout_s: float = 30
) -> tuple[Loaded, list[float]]:
    """Load one window by a courier that never sleeps; return what it slept for in between too."""
    kind = polled_kind_of(source)
    assert isinstance(kind, ApiKind)
    slept: list[float] = []
    total, clock = Loaded(), Clock(window.end)
    writer = Writer(Target(engine, tenant), corrects=kind.corrects)
    with open_http(timeout_s) as client:
        courier = Courier(client, Turnstile(1e9), slept.append)
        for page in courier.run(kind.pages(source, window)):
            total = total.plus(writer.write(page, Origin(source.name, source.kind, "window"), clock()))
    return total, [seconds for seconds in slept if seconds > 0.001]


def held(engine: sa.Engine, tenant: str = "default") -> dict[str, list[dict[str, Any]]]:
    """Return all that a tenant's tables hold, but for when it came there."""
    tables = (usage_events, usage_hourly, latency_hourly, usage_daily_users, scores, usage_rejects)
    with engine.connect() as connection:
        return {table.name: _rows(connection, table, tenant) for table in tables}


def _rows(connection: sa.Connection, table: sa.Table, tenant: str) -> list[dict[str, Any]]:
    rows = connection.execute(sa.select(table).where(table.c.tenant_id == tenant)).mappings()
    return sorted(({name: row[name] for name in row if name not in _OUR_OWN} for row in rows), key=repr)


def cursor_of(engine: sa.Engine, source: Source, tenant: str = "default") -> datetime | None:
    """Return how far a source was read."""
    with engine.connect() as connection:
        return ingest.cursor(connection, tenant, source.name)


def after(server: ApiServer, answers: int, *faults: Fault) -> None:
    """Let some requests be answered first, then these faults come."""
    undisturbed: Sequence[Fault | None] = [None] * answers
    server.faults.extend([*undisturbed, *faults])
