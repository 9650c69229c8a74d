"""Project the month's cost once an hour. Reads usage_hourly; writes cost_projections; shows the plot as an artifact."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from prefect import flow
from prefect.artifacts import create_markdown_artifact
from prefect.states import Completed

from flows.watch import watch
from tasks import project_costs as tasks
from tasks.check_budgets import budget_standings
from tasks.show_projection import report_markdown
from tasks.tabulate_costs import summary


@flow(name="project-costs", validate_parameters=False)
def project_costs(as_of: datetime | None = None) -> Any:
    """Project what the month will cost, and how sure that is."""
    with watch(as_of) as w:
        projected = tasks.project_costs(w.engine, w.settings, w.now)
        markdown = report_markdown(projected, w.now, budget_standings(w.engine, w.settings, w.now).standings)
    create_markdown_artifact(key="cost-projection", markdown=markdown, description="Spend and projection")
    return Completed(message=summary(projected), data=projected)
