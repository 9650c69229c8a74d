"""Check every budget. Reads the roll-ups; writes budget_events and the outbox: what is told is told once a period."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from prefect import flow
from prefect.states import Completed

from flows.watch import skipped, watch
from tasks import check_budgets as tasks


@flow(name="check-budgets", validate_parameters=False)
def check_budgets(as_of: datetime | None = None) -> Any:
    """Tell what became of the budgets of the settings."""
    with watch(as_of) as w:
        if not w.settings.budgets:
            return skipped("no budgets are configured")
        done = tasks.check_budgets(w.engine, w.settings, w.now)
    held = f"; nothing is foretold: {done.held}" if done.held else ""
    return Completed(
        message=f"{len(done.standings):,} budgets, told: {'; '.join(done.told) or 'nothing new'}{held}", data=done
    )
