"""Three weeks of two sources, loaded by the way of real ones, in a database that lets faults in: for data checks.

Each source brings five events an hour, day and night: 120 a day, 20 in four hours.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

import sqlalchemy as sa

from ops.monitoring.data_quality.checks import Outcome
from ops.usage import UsageEvent
from tasks.check_quality import check_quality
from tasks.resources import administration, drop_database
from tasks.settings import Settings, Source
from tasks.sources.interface import Batch
from tasks.stores import source_states
from tasks.validate_suites import Checked
from tasks.write_usage import Origin, Target, Writer
from tests.hand_made import DAY, MIDNIGHT, MINUTE, NOW, event

SOURCES = ("gateway", "batch")
EVERY = 12 * MINUTE
LATELY = MIDNIGHT - 3 * DAY  # from here on the tests load, with their fault
When = Callable[[str, datetime], bool]


def bring(engine: sa.Engine, source: str, events: list[UsageEvent], **target: Any) -> None:
    """Load events of a source."""
    writer = Writer(Target(engine, "default", **target))
    writer.write(Batch(events=events), Origin(source, "jsonl", "by hand"), NOW)


def steady(source: str, start: datetime, end: datetime, every: timedelta = EVERY) -> list[UsageEvent]:
    """Make an event of a source every so often in [start, end)."""
    return [event(NOW - (start + k * every), feature=source) for k in range(int((end - start) / every))]


def bring_lately(engine: sa.Engine, brings: When = lambda *_: True) -> None:
    """Load what came lately, as far as it did come."""
    for source in SOURCES:
        made = steady(source, LATELY, NOW)
        bring(engine, source, [each for each in made if brings(source, each.occurred_at)])


@contextmanager
def copied(server_url: str, template: str) -> Iterator[sa.Engine]:
    """Yield a database that is a copy of another."""
    name = f"wk_{uuid4().hex[:12]}"
    with administration(server_url) as connection:
        connection.execute(sa.text(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY file_copy"))
    engine = sa.create_engine(sa.make_url(server_url).set(database=name), connect_args={"options": "-c timezone=UTC"})
    try:
        yield engine
    finally:
        engine.dispose()
        drop_database(server_url, name)


def let_faults_in(engine: sa.Engine) -> None:
    """Drop what `usage_events` refuses by itself: as if an earlier version had let it in."""
    constraints = "SELECT conname FROM pg_constraint WHERE conrelid = 'watchkeeper.usage_events'::regclass"
    with engine.begin() as connection:
        names = connection.execute(sa.text(constraints + " AND contype IN ('c', 'p')")).scalars()
        drops = [f"DROP CONSTRAINT {name}" for name in names]
        drops += [f"ALTER {column} DROP NOT NULL" for column in ("event_id", "vendor", "model", "status")]
        connection.execute(sa.text(f"ALTER TABLE watchkeeper.usage_events {', '.join(drops)}"))


def fill(engine: sa.Engine) -> None:
    """Load what came before LATELY, and watch both sources."""
    with engine.begin() as connection:
        sources = [Source(name=name, kind="jsonl", path="x") for name in SOURCES]
        source_states.watch(connection, "default", sources, NOW)
    for source in SOURCES:
        bring(engine, source, steady(source, MIDNIGHT - 21 * DAY, LATELY))


def outcomes(results: list[Checked]) -> dict[str, str]:
    """Return what failed or could not be evaluated."""
    fine = (Outcome.PASSED, Outcome.NO_DATA)
    return {f"{result.suite}: {result.name}": result.outcome for result in results if result.outcome not in fine}


def unknown(results: list[Checked]) -> dict[str, str | None]:
    """Return why some checks had no data."""
    return {f"{r.suite}: {r.name}": r.detail for r in results if r.outcome is Outcome.NO_DATA}


def check(engine: sa.Engine, *suites: str, now: datetime = NOW, tenant: str = "default") -> list[Checked]:
    """Check the day that ends at `now`, by these suites or all."""
    return check_quality.fn(engine, Settings(tenant=tenant), now, suites or None)
