"""Look after the tables, once a day. Makes and drops partitions of usage_events; deletes what expired; shows the sizes.

No other flow needs it on time: loaders make a partition that is missing themselves.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from prefect import flow
from prefect.artifacts import create_markdown_artifact
from prefect.states import Completed, Failed

from flows.watch import watch
from tasks import maintain_storage as tasks
from tasks.show_storage import measure_storage, storage_markdown


@flow(name="maintain-storage", validate_parameters=False)
def maintain_storage(as_of: datetime | None = None) -> Any:
    """Keep what the settings say as of `as_of`; days that cannot be dropped now do not stop the rest."""
    with watch(as_of) as w:
        tasks.make_partitions(w.engine, w.settings, w.now)
        dropping = tasks.drop_old_days(w.engine, w.settings, w.now, return_state=True)
        tasks.abandon_evaluations(w.engine, w.settings, w.now)
        deleted = tasks.delete_expired(w.engine, w.settings, w.now)
        tasks.analyze_yesterday(w.engine, w.now)
        found = measure_storage(w.engine, w.settings, w.now)
    create_markdown_artifact(key="storage", markdown=storage_markdown(found, w.now), description="Room on the disk")
    dropped = dropping.result(raise_on_failure=False)
    if not isinstance(dropped, tasks.Dropped):
        return Failed(message=f"{tasks.summary(tasks.Dropped(), deleted)}; days not dropped: {dropped}")
    return Completed(message=tasks.summary(dropped, deleted), data=found)
