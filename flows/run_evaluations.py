"""Ask the golden sets once a day. Reads their files and asks the endpoints; writes evaluation_runs and scores.

Before `keep-watch`, which holds the scores to their baselines.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from prefect import flow
from prefect.artifacts import create_markdown_artifact
from prefect.states import Completed, Failed

from flows.watch import skipped, watch
from tasks import run_evaluations as tasks
from tasks.plan_evaluations import plans
from tasks.resources import open_http
from tasks.settings import Settings
from tasks.show_evaluations import headline, report_markdown


def check(settings: Settings, sets: list[str] | None = None) -> None:
    """Raise what the flow would raise of its parameters."""
    plans(settings.evaluation, sets or ())


@flow(name="run-evaluations", validate_parameters=False)
def run_evaluations(as_of: datetime | None = None, sets: list[str] | None = None) -> Any:
    """Run every golden set and the judge's probes, or these."""
    with watch(as_of) as w, open_http() as http:
        chosen = plans(w.settings.evaluation, sets or ())
        if not chosen:
            return skipped("no evaluation is configured")
        done = tasks.run_all(chosen, lambda plan: tasks.run_evaluation(w.engine, http, w.settings, plan, w.clock))
    markdown = report_markdown(done)
    create_markdown_artifact(key="evaluations", markdown=markdown, description="How golden sets were answered")
    message = headline(done.runs)
    return Failed(message=f"{message}; {done.failure}") if done.failure else Completed(message=message)
