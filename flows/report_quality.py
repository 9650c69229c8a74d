"""Show quality once a day. Reads scores, baselines and roll-ups; writes a plot; shows the page as an artifact."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from prefect import flow
from prefect.artifacts import create_markdown_artifact
from prefect.states import Completed

from flows.watch import skipped, watch
from tasks import report_quality as tasks
from tasks.draw_quality import plot_png
from tasks.show_quality import report_markdown, save_plot, summary


@flow(name="report-quality", validate_parameters=False)
def report_quality(as_of: datetime | None = None, show_texts: bool = False) -> Any:
    """Show how good the answers are, where they are worst, and since when; texts only when they are asked for."""
    with watch(as_of) as w:
        report = tasks.report_quality(w.engine, w.settings, w.now, show_texts=show_texts)
    if report.is_empty:
        return skipped("neither a score nor a request in 90 days")
    image = plot_png(report)
    path = save_plot(image, w.now, w.settings.home / "plots")
    markdown = report_markdown(report, image)
    create_markdown_artifact(key="quality", markdown=markdown, description="Quality, latency and errors")
    return Completed(message=f"{summary(report)}; {path}", data=report)
