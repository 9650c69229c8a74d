"""Move every running rollout by its gate, by hand; `keep-watch` does it every minute. Writes rollouts and splits."""

from __future__ import annotations

from datetime import datetime

from prefect import flow

from flows.watch import watch
from tasks import advance_rollout as tasks


@flow(name="advance-rollouts", validate_parameters=False)
def advance_rollouts(as_of: datetime | None = None) -> list[str]:
    """Decide the next move of every running rollout."""
    with watch(as_of) as w:
        return tasks.advance_rollouts(w.engine, w.settings, w.now)
