"""Advise on savings once a week. Reads usage_events and evaluations; writes savings_advice and the outbox."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from prefect import flow
from prefect.artifacts import create_markdown_artifact
from prefect.states import Completed

from flows.watch import skipped, watch
from tasks import advise_savings as tasks
from tasks.show_savings import headline, report_markdown


@flow(name="advise-savings", validate_parameters=False)
def advise_savings(as_of: datetime | None = None) -> Any:
    """Show what would make the bill smaller, and what came of what was switched on."""
    with watch(as_of) as w:
        advised = tasks.advise_savings(w.engine, w.settings, w.now)
        if not advised.advice.cost_usd:
            return skipped("no call of the last 30 days has a price above 0")
        tasks.keep_advice(w.engine, w.settings, advised, w.now)
    markdown = report_markdown(advised, w.now)
    create_markdown_artifact(key="savings", markdown=markdown, description="What would make the bill smaller")
    return Completed(message=headline(advised), data=advised)
