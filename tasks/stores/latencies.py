"""Latencies and times to first token of a window, counted by bin: by a dimension or of everything (key None).

Before it: `tasks/stores/rollups.py` keeps the hourly histogram, which has no features. After it: `metrics.py`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import sqlalchemy as sa

from ops.monitoring.histogram import Histogram
from ops.monitoring.readings import Dimension
from ops.window import Window, whole_hours
from tasks.stores.sql import statement


def values_of(tenant: str, window: Window, by: Dimension | None) -> dict[str, Any]:
    """Return what statements about a window are given."""
    return {"tenant": tenant, "start": window.start, "end": window.end, "by": by}


def latency(
    connection: sa.Connection, tenant: str, window: Window, by: Dimension | None
) -> dict[str | None, Histogram]:
    """Count latencies: whole hours from the roll-up, what is left at the ends of the window from events."""
    hours, rest = whole_hours(window) if by is not Dimension.FEATURE else (Window(window.start, window.start), [window])
    found: dict[str | None, Histogram] = {}
    for part in (_of_hours(connection, tenant, hours, by), *(_of_events(connection, tenant, end, by) for end in rest)):
        for key, histogram in part.items():
            found[key] = found.get(key, Histogram()).plus(histogram)
    return found


def _of_hours(
    connection: sa.Connection, tenant: str, hours: Window, by: Dimension | None
) -> dict[str | None, Histogram]:
    if not hours.length:
        return {}
    rows = connection.execute(statement("metric_largest"), values_of(tenant, hours, by))
    largest = {row.key: row.largest for row in rows}
    bins = bins_of_hours(connection, tenant, hours, by)
    return {key: Histogram(counts, largest.get(key)) for key, counts in bins.items()}


def bins_of_hours(
    connection: sa.Connection, tenant: str, hours: Window, by: Dimension | None
) -> dict[str | None, dict[int, int]]:
    """Count latencies of whole hours by bin, from the roll-up alone; it has no features."""
    return _bins(connection.execute(statement("metric_hours"), values_of(tenant, hours, by)))


def first_token(
    connection: sa.Connection, tenant: str, window: Window, by: Dimension | None
) -> dict[str | None, Histogram]:
    """Count times to first token."""
    return _of_events(connection, tenant, window, by, "ttft_ms")


def _of_events(
    connection: sa.Connection, tenant: str, window: Window, by: Dimension | None, duration: str = "latency_ms"
) -> dict[str | None, Histogram]:
    values = {**values_of(tenant, window, by), "duration": duration}
    rows = connection.execute(statement("metric_bins"), values).all()
    largest: dict[str | None, float] = {}
    for row in rows:
        largest[row.key] = max(row.largest, largest.get(row.key, 0.0))
    return {key: Histogram(counts, largest[key]) for key, counts in _bins(rows).items()}


def _bins(rows: Iterable[Any]) -> dict[str | None, dict[int, int]]:
    found: dict[str | None, dict[int, int]] = {}
    for row in rows:
        found.setdefault(row.key, {})[row.bin] = row.n
    return found
