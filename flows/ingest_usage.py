"""Load what is new in every configured source, some at once; one that fails does not stop the others.

Reads files and APIs; writes usage_events, their roll-ups, usage_rejects, and how each source is doing in
ingest_sources. Before `keep-watch`, which tells of a source that is silent, and everything that judges usage.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from prefect import flow
from prefect.artifacts import create_table_artifact
from prefect.states import Completed, Failed
from prefect.task_runners import ThreadPoolTaskRunner

from flows.watch import skipped, watch
from tasks.ingest_usage import AT_ONCE, choose, ingest_source, report, watch_sources
from tasks.settings import Settings

_RUNNER: Any = ThreadPoolTaskRunner(max_workers=AT_ONCE)


def check(settings: Settings, sources: list[str] | None = None, shard: str | None = None) -> None:
    """Raise what the flow would raise of its parameters."""
    choose(settings.sources, sources, shard)


@flow(name="ingest-usage", validate_parameters=False, task_runner=_RUNNER)
def ingest_usage(as_of: datetime | None = None, sources: list[str] | None = None, shard: str | None = None) -> Any:
    """Load new usage of every source, or of these; of a shard such as `1/4` when several workers divide them."""
    with watch(as_of) as w:
        watch_sources(w.engine, w.settings, w.now)
        chosen = choose(w.settings.sources, sources, shard)
        if not chosen:
            return skipped(f"no source is in shard {shard}" if w.settings.sources else "no sources are configured")
        runs = {one.name: ingest_source.submit(w.engine, w.settings, one, w.now, w.clock) for one in chosen}
        outcomes = {name: run.result(raise_on_failure=False) for name, run in runs.items()}
        rows = report(w.engine, w.settings.tenant, outcomes, w.now)
    create_table_artifact(key="ingest-usage", table=rows, description="What every source brought, and how it is doing")
    inserted, rejected = (sum(row[name] or 0 for row in rows) for name in ("inserted", "rejected"))
    message = f"{inserted:,} new events, {rejected:,} lines rejected"
    broken = [f"{row['source']}: {row['error']}" for row in rows if row["error"] is not None]
    return Failed(message=f"{message}; failed: {'; '.join(broken)}") if broken else Completed(message=message)
