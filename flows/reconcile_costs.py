"""Compare our logs with the vendors' bills once a day. Reads vendor reports and events; writes reconciliations."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from prefect import flow
from prefect.artifacts import create_markdown_artifact
from prefect.states import Completed

from flows.watch import skipped, watch
from tasks import reconcile_costs as tasks


@flow(name="reconcile-costs", validate_parameters=False)
def reconcile_costs(as_of: datetime | None = None) -> Any:
    """Show where our logs and the vendors' own reports differ, by day and model."""
    with watch(as_of) as w:
        done = tasks.reconcile_costs(w.engine, w.settings, w.now)
        markdown = tasks.report_markdown(done, w.now)
    if not done.lines:
        return skipped(tasks.summary(done))
    create_markdown_artifact(key="reconciliation", markdown=markdown, description="Our logs against the vendors' bills")
    return Completed(message=tasks.summary(done), data=done)
