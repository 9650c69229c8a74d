"""What every flow opens first: settings, the clock (read once), and the database."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from prefect.context import FlowRunContext
from prefect.states import Completed

from tasks.load_settings import load_settings
from tasks.resources import open_database
from tasks.settings import Settings
from tasks.stores import ingest


@dataclass(frozen=True, slots=True)
class Watch:
    """What a flow passes to its tasks."""

    engine: sa.Engine
    settings: Settings
    now: datetime
    clock: Callable[[], datetime]  # stands still when a day is replayed


@contextmanager
def watch(as_of: datetime | None) -> Iterator[Watch]:
    """Open everything as of `as_of`, now by default; a time without a zone is UTC.

    A flow of now that comes to the end of it has run: `watchkeeper status` tells when.
    """
    settings = load_settings()
    now = _utc(as_of or datetime.now(UTC))
    with open_database(settings) as engine:
        yield Watch(engine, settings, now, (lambda: now) if as_of else _real_clock)
        run = FlowRunContext.get()
        if as_of is None and run is not None and run.flow is not None:
            with engine.begin() as connection:
                ingest.set_watermark(connection, settings.tenant, run.flow.name, now)


def _utc(when: datetime) -> datetime:
    return when.replace(tzinfo=UTC) if when.tzinfo is None else when.astimezone(UTC)


def _real_clock() -> datetime:
    return datetime.now(UTC)


def skipped(message: str) -> Any:
    """Return the state of a run that had nothing to do."""
    return Completed(name="Skipped", message=message)
