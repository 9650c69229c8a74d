"""Evaluate every alert rule, by hand; `keep-watch` does it every minute. Writes alerts and the outbox."""

from __future__ import annotations

from datetime import datetime

from prefect import flow

from flows.watch import watch
from tasks import evaluate_alerts as tasks


@flow(name="evaluate-alerts", validate_parameters=False)
def evaluate_alerts(as_of: datetime | None = None) -> tasks.Evaluated:
    """Judge every rule as of `as_of`."""
    with watch(as_of) as w:
        return tasks.evaluate_alerts(w.engine, w.settings, w.now)
