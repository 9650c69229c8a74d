"""Load a span of a configured source's past, each part a task: by hand, on one machine or on a Dask cluster.

Reads the source; writes usage_events, their roll-ups, usage_rejects, and what is done in ingest_chunks: run again, it
goes on with what is not. Neither the cursor nor a file's position moves. `watchkeeper ingest --from --to` is the same
without Prefect.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from prefect import flow
from prefect.artifacts import create_table_artifact
from prefect.states import Completed, Failed

from flows.watch import watch
from ops.errors import in_words
from tasks.backfill import plan, source_named
from tasks.backfill_part import backfill_part, opened_for, runner_of, span_of
from tasks.settings import Settings
from tasks.write_usage import Loaded, Target


def check(
    settings: Settings, source: str = "", start: datetime | str | None = None, end: datetime | str | None = None,
    workers: int = 4, runner: str = "threads", dask_address: str | None = None, **_: Any,
) -> None:  # fmt: skip
    """Raise what the flow would raise of its parameters."""
    source_named(settings, source)
    span_of(start, end)
    runner_of(runner, workers, dask_address)


@flow(name="backfill-usage", validate_parameters=False)
def backfill_usage(
    as_of: datetime | None = None, source: str = "", start: datetime | str | None = None,
    end: datetime | str | None = None, workers: int = 4, runner: str = "threads", dask_address: str | None = None,
    again: bool = False,
) -> Any:  # fmt: skip
    """Load `source` from `start` up to `end`, with `workers` threads or, `runner` being dask, Dask workers."""
    with watch(as_of) as w:
        target = Target.of(w.engine, w.settings)
        opened = opened_for(w.settings, target, source)
        span, dividing = span_of(start, end), runner_of(runner, workers, dask_address)
        todo, before = plan(target, opened.source, span, w.now, again=again)
        fixed = {"name": source, "as_of": as_of, "sharers": workers, "opened": opened if runner == "threads" else None}
        with dividing as running:
            runs = [running.submit(backfill_part, {**fixed, "chunk": chunk}) for chunk in todo]
            outcomes = [run.result(raise_on_failure=False) for run in runs]
    done = [one for one in outcomes if isinstance(one, Loaded)]
    broken = [
        {"part": str(chunk), "error": in_words(one)}
        for chunk, one in zip(todo, outcomes, strict=True)
        if not isinstance(one, Loaded)
    ]
    message = (
        f"{sum(one.inserted for one in done):,} new events in {len(done):,} of {before.parts:,} parts, "
        f"{before.done_before:,} done before"
    )
    if not broken:
        return Completed(message=message)
    create_table_artifact(key="backfill-usage", table=broken, description=f"Parts of {source} that failed")
    return Failed(message=f"{message}; failed: {'; '.join(row['part'] for row in broken)}")
