"""The minute's work in one run: evaluate alerts, advance rollouts, recommend replicas, dispatch messages.

Each step is a task that also is a flow of its own for running by hand. A minute with nothing to do ends as Skipped.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from prefect import flow
from prefect.states import Completed

from flows.dispatch_alerts import dispatch
from flows.watch import skipped, watch
from tasks import find_due
from tasks.advance_rollout import advance_rollouts
from tasks.evaluate_alerts import evaluate_alerts
from tasks.recommend_scale import recommend_scale


@flow(name="keep-watch", validate_parameters=False)
def keep_watch(as_of: datetime | None = None) -> Any:
    """Do what is due as of `as_of`, and say in the state's message what that was."""
    done: list[str] = []
    with watch(as_of) as w:
        if find_due.evaluation_due(w.engine, w.settings, w.now):
            found = evaluate_alerts(w.engine, w.settings, w.now)
            done.append(f"{found.conditions} conditions judged, firing: {', '.join(found.firing) or 'none'}")
        if find_due.rollouts_due(w.engine, w.settings):
            done += advance_rollouts(w.engine, w.settings, w.now)
        if w.settings.services:
            done += recommend_scale(w.engine, w.settings, w.now)
        if find_due.messages_due(w.engine, w.settings, w.now):
            done.append(str(dispatch(w)))
    return Completed(message="; ".join(done)) if done else skipped("nothing was due")
