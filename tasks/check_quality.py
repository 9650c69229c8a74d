"""Check the data in suites with Great Expectations, and keep every outcome.

Before it: `ops.monitoring.data_quality` holds the suites as data. Between: `tasks/validate_suites.py` has them
validated. After it: `rules/data_quality.py` tells of what failed, and what rests on it is held.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from prefect import task
from prefect.cache_policies import NO_CACHE

from ops.monitoring.data_quality import SUITES, find
from ops.monitoring.data_quality.checks import Outcome
from ops.monitoring.data_quality.prices import PRICE_FACTOR
from ops.monitoring.data_quality.projections import FRESH_HOURS, MOVE_FACTOR
from ops.monitoring.data_quality.traffic import (
    FEWEST_DUE,
    FRESH,
    HISTORY,
    SILENT,
    daily,
    dead,
    dues,
    heard,
    told_by,
    volumes,
)
from ops.plain_text import markdown_cell
from ops.window import Window, floor_day, floor_hour
from tasks.settings import Settings
from tasks.stores import measures, profiles, quality_checks
from tasks.validate_suites import Checked, validate

_HOUR, _DAY = timedelta(hours=1), timedelta(days=1)
_MARKS = {Outcome.FAILED: "❌", Outcome.ERRORED: "⚠️", Outcome.NO_DATA: "❔", Outcome.PASSED: "✅"}  # the worst first
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
        values = _values(connection, settings, now)
    results = [_told_once(result, values["dead"]) for result in validate(engine, suites, values, docs)]
    rows = [{"tenant_id": settings.tenant, "as_of": now, **asdict(result)} for result in results]
    with engine.begin() as connection:
        quality_checks.save(connection, rows)
    return results


def _told_once(result: Checked, dead_sources: Sequence[str]) -> Checked:
    """Leave what fails because sources are silent to the alert on their silence: it fails, and tells nobody again.

    That alert is critical then, as the check is (`quality_checks.missed`).
    """
    if not dead_sources or result.name not in (FRESH, SILENT) or result.outcome is not Outcome.FAILED:
        return result
    cause = told_by(dead_sources)
    return replace(result, told_by=cause, detail=f"{result.detail}; told as {cause}")


def _values(connection: sa.Connection, settings: Settings, now: datetime) -> dict[str, Any]:
    """Return what the statements ask for: the window, the limits, and what is usual at the time."""
    tenant, history = settings.tenant, floor_day(now - HISTORY)
    sources = profiles.watched_hours(connection, tenant, Window(history, now))
    due, volume = dues(sources, now), volumes(sources, now)
    by_source = [each for each in due if each.source is not None]
    first_hour = floor_hour(now - _DAY)
    whole_since = [str(each.since) for each in due if each.source is None]
    silent = [each.source for each in measures.silence(connection, tenant, now, settings.alerting) if each.tier]
    return {
        "tenant": tenant, "start": now - _DAY, "now": now, "history": history, "today": floor_day(now),
        "first_hour": first_hour, "end_hour": floor_hour(now) + _HOUR,
        "price_factor": PRICE_FACTOR, "fresh_hours": FRESH_HOURS, "move_factor": MOVE_FACTOR, "fewest_due": FEWEST_DUE,
        "watched": list(sources), "whole_since": whole_since, "heard_or_due": whole_since or heard(sources, now),
        "due_sources": [each.source for each in by_source], "due_since": [str(each.since) for each in by_source],
        "dead": dead(sources, due, silent), "daily_sources": daily(sources, now),
        "volume_sources": [each.source for each in volume],
        "sized_sources": profiles.sized(connection, tenant, Window(history, first_hour), now),
        **{f"volume_{name}": [str(getattr(each, name)) for each in volume]
           for name in ("since", "until", "least", "most")},
    }  # fmt: skip


def summary(results: Sequence[Checked]) -> str:
    """Say in one line how the checks came out, naming those that failed or could not be evaluated."""
    counts = Counter(result.outcome for result in results)
    said_nothing = f", {counts[Outcome.NO_DATA]} had no data" if counts[Outcome.NO_DATA] else ""
    fine = (Outcome.PASSED, Outcome.NO_DATA)
    broken = [f"{result.suite}: {result.name} ({result.outcome})" for result in results if result.outcome not in fine]
    named = f"; not: {', '.join(broken)}" if broken else ""
    return f"{counts[Outcome.PASSED]} of {len(results)} checks passed{said_nothing}{named}"


def as_rows(results: Sequence[Checked]) -> list[tuple[str, ...]]:
    """Return a table's rows: one per check, what failed first."""
    order = list(_MARKS)
    return [
        (r.outcome.words, r.severity, r.suite, r.name, r.observed or "", r.detail or "")
        for r in sorted(results, key=lambda result: order.index(result.outcome))
    ]


def report_markdown(results: Sequence[Checked], now: datetime) -> str:
    """Write the artifact."""
    marks = {outcome.words: mark for outcome, mark in _MARKS.items()}
    lines = [f"| {marks[row[0]]} {' | '.join(map(markdown_cell, row))} |" for row in as_rows(results)]
    head = f"| {' | '.join(COLUMNS)} |\n|{'---|' * len(COLUMNS)}\n"
    return f"# Data quality, as of {now:%Y-%m-%d %H:%M} UTC\n\n{head}" + "\n".join(lines) + "\n"
