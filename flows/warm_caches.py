"""Fill the embedding cache ahead of demand, once an hour. Reads usage_events; writes embedding_cache, warm_entries."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from prefect import flow
from prefect.artifacts import create_markdown_artifact
from prefect.states import Completed

from flows.watch import skipped, watch
from ops.money import usd
from tasks.resources import open_http
from tasks.warm_cache import warm_cache


@flow(name="warm-caches", validate_parameters=False)
def warm_caches(as_of: datetime | None = None) -> Any:
    """Embed the texts that will be asked for soon, within the daily budget."""
    with watch(as_of) as w, open_http() as http:
        report = warm_cache(w.engine, http, w.settings, w.now)
    if report.reason is not None and not report.warmed:
        return skipped(str(report.reason))
    saved = "unknown" if report.saved_usd is None else usd(report.saved_usd)
    lines = [f"| {reason} | {count:,} |" for reason, count in report.skipped.items()]
    markdown = (
        f"# Embedding cache\n\n{report.warmed:,} texts warmed for {usd(report.cost_usd)}; "
        f"entries warmed before have saved {saved}.\n\n| Left out because | texts |\n|---|---:|\n" + "\n".join(lines)
    )
    create_markdown_artifact(key="warm-caches", markdown=markdown, description="What was warmed")
    return Completed(message=f"{report.warmed:,} texts warmed", data=report)
