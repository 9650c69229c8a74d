"""Check the data in suites once an hour. Reads what was loaded and projected; writes quality_checks; shows a table."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from prefect import flow
from prefect.artifacts import create_markdown_artifact
from prefect.states import Completed

from flows.watch import watch
from tasks import check_quality as tasks


@flow(name="check-quality", validate_parameters=False)
def check_quality(as_of: datetime | None = None) -> Any:
    """Run every suite on the day before `as_of`."""
    with watch(as_of) as w:
        results = tasks.check_quality(w.engine, w.settings, w.now)
        markdown = tasks.report_markdown(results, w.now)
    create_markdown_artifact(key="data-quality", markdown=markdown, description="Data checks")
    return Completed(message=tasks.summary(results), data=results)
