"""Check the data in suites with Great Expectations, and keep every outcome.

Before it: `ops.monitoring.data_quality` holds the suites as data. Between: `tasks/validate_suites.py` has them
validated. After it: `rules/data_quality.py` tells of what failed, and what rests on it is held.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from prefect import task
from prefect.cache_policies import NO_CACHE

from ops.monitoring.data_quality import SUITES, find
from ops.monitoring.data_quality.prices import PRICE_FACTOR
from ops.monitoring.data_quality.projections import FRESH_HOURS, MOVE_FACTOR
from ops.monitoring.data_quality.traffic import FEWEST_DUE, HISTORY, dues, volumes
from ops.plain_text import markdown_cell
from ops.window import Window, floor_day, floor_hour
from tasks.settings import Settings
from tasks.stores import profiles, quality_checks
from tasks.validate_suites import Checked, validate

_HOUR, _DAY = timedelta(hours=1), timedelta(days=1)
COLUMNS = ("Outcome", "Severity", "Suite", "Check", "Observed", "What")


@task(cache_policy=NO_CACHE, persist_result=False)
def check_quality(
    engine: sa.Engine, settings: Settings, now: datetime, names: Sequence[str] | None = None, docs: Path | None = None
) -> list[Checked]:
    """Check the day that ends at `now`, by these suites or all; with `docs`, write Data Docs into that folder.

    Raises:
        UnknownName: no such suite.
    """
    suites = [find(name) for name in names or SUITES]
    with engine.begin() as connection:
        profiles.refresh(connection, settings.tenant, now)
        values = _values(connection, settings.tenant, now)
    results = validate(engine, suites, values, docs)
    rows = [{"tenant_id": settings.tenant, "as_of": now, **asdict(result)} for result in results]
    with engine.begin() as connection:
        quality_checks.save(connection, rows)
    return results


def _values(connection: sa.Connection, tenant: str, now: datetime) -> dict[str, Any]:
    """Return what the statements ask for: the window, the limits, and what is usual at the time."""
    history = floor_day(now - HISTORY)
    sources = profiles.watched_hours(connection, tenant, Window(history, now))
    due, volume = dues(sources, now), volumes(sources, now)
    by_source = [each for each in due if each.source is not None]
    return {
        "tenant": tenant, "start": now - _DAY, "now": now, "history": history, "today": floor_day(now),
        "first_hour": floor_hour(now - _DAY), "end_hour": floor_hour(now) + _HOUR,
        "price_factor": PRICE_FACTOR, "fresh_hours": FRESH_HOURS, "move_factor": MOVE_FACTOR, "fewest_due": FEWEST_DUE,
        "watched": list(sources), "whole_since": [str(each.since) for each in due if each.source is None],
        "due_sources": [each.source for each in by_source], "due_since": [str(each.since) for each in by_source],
        "volume_sources": [each.source for each in volume],
        **{f"volume_{name}": [str(getattr(each, name)) for each in volume]
           for name in ("since", "until", "least", "most")},
    }  # fmt: skip


def summary(results: Sequence[Checked]) -> str:
    """Say in one line how the checks came out, naming those that did not pass."""
    counts = Counter(result.outcome for result in results)
    broken = [f"{result.suite}: {result.name} ({result.outcome})" for result in results if result.outcome != "passed"]
    return f"{counts['passed']} of {len(results)} checks passed" + (f"; not: {', '.join(broken)}" if broken else "")


def as_rows(results: Sequence[Checked]) -> list[tuple[str, ...]]:
    """Return a table's rows: one per check, what failed first."""
    order = ("failed", "errored", "passed")
    return [
        (r.outcome, r.severity, r.suite, r.name, r.observed or "", r.detail or "")
        for r in sorted(results, key=lambda result: order.index(result.outcome))
    ]


def report_markdown(results: Sequence[Checked], now: datetime) -> str:
    """Write the artifact."""
    marks = {"failed": "❌", "errored": "⚠️", "passed": "✅"}
    lines = [f"| {marks[row[0]]} {' | '.join(map(markdown_cell, row))} |" for row in as_rows(results)]
    head = f"| {' | '.join(COLUMNS)} |\n|{'---|' * len(COLUMNS)}\n"
    return f"# Data quality, as of {now:%Y-%m-%d %H:%M} UTC\n\n{head}" + "\n".join(lines) + "\n"
