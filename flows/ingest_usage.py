"""Load what is new in every configured source; a source that fails does not stop the others.

Reads files; writes usage_events, their roll-ups, usage_rejects. Before `keep-watch` and everything that judges usage.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from prefect import flow
from prefect.artifacts import create_table_artifact
from prefect.states import Completed, Failed

from flows.watch import skipped, watch
from tasks.ingest_usage import ingest_source
from tasks.write_usage import Loaded


@flow(name="ingest-usage", validate_parameters=False)
def ingest_usage(as_of: datetime | None = None) -> Any:
    """Load new usage of every source, and show rows and rejects per source."""
    with watch(as_of) as w:
        if not w.settings.sources:
            return skipped("no sources are configured")
        rows = []
        for source in w.settings.sources:
            state = ingest_source(w.engine, w.settings, source, w.now, return_state=True)
            loaded = state.result(raise_on_failure=False)
            outcome = loaded.as_json() if isinstance(loaded, Loaded) else {"error": str(loaded)}
            rows.append({"source": source.name, "state": state.name, **outcome})
    create_table_artifact(key="ingest-usage", table=rows, description="What every source brought")
    inserted, rejected = (sum(row.get(name, 0) for row in rows) for name in ("inserted", "rejected"))
    message = f"{inserted:,} new events, {rejected:,} lines rejected"
    broken = [f"{row['source']}: {row['error']}" for row in rows if "error" in row]
    if broken:
        return Failed(message=f"{message}; failed: {'; '.join(broken)}")
    return Completed(message=message)
