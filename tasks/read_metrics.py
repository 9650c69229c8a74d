"""Read metrics of a window: the sums of each source once, and a reading of every metric and key.

Before it: `tasks/stores/metrics.py` reads the sums. Between: `ops.monitoring.metrics` is the catalogue. After it:
`watchkeeper metrics show`.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import sqlalchemy as sa

from ops.monitoring.metrics import METRICS, find
from ops.monitoring.readings import Dimension, Metric, Reading, span_of
from ops.window import Window
from tasks.settings import Settings
from tasks.stores import metrics as store


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What is asked for: one metric, or all that can be told apart by the dimension."""

    window: Window
    metric: str | None = None
    by: Dimension | None = None

    def metrics(self) -> list[Metric]:
        """Return the metrics.

        Raises:
            UnknownName: no metric has that name.
            InvalidValue: it cannot be told apart by the dimension.
        """
        if self.metric is None:
            return [metric for metric in METRICS.values() if self.by is None or self.by in metric.dimensions]
        metric = find(self.metric)
        if self.by is not None:
            metric.check_dimension(self.by)
        return [metric]


def read_metrics(engine: sa.Engine, settings: Settings, asked: Asked) -> list[Reading]:
    """Read one snapshot; a key that any of the sources has gets a reading of each metric, sufficient or not."""
    metrics = asked.metrics()
    with engine.connect().execution_options(isolation_level="REPEATABLE READ") as connection, connection.begin():
        sums = {
            source: store.read(connection, settings.tenant, source, span_of(source, asked.window), asked.by)
            for source in dict.fromkeys(metric.source for metric in metrics)
        }
    keys = set().union(*sums.values()) if asked.by else set()
    return [reading for metric in metrics for reading in _readings(metric, sums[metric.source], keys, asked.window)]


def _readings(metric: Metric, sums: store.ByKey, keys: Collection[str | None], window: Window) -> list[Reading]:
    """Read a metric of every key, what rests on the most first; without any key of everything."""
    found = [reading for key in keys or (None,) for reading in metric.readings(key, sums.get(key), window)]
    return sorted(found, key=_place)


def _place(reading: Reading) -> tuple[int, bool, str, str]:
    return -reading.n, reading.key is None, reading.key or "", str(reading.scorer)
