"""Read the status pages of the configured vendors; one that fails does not stop the others, nor fail the run.

Reads their pages and usage_events; writes vendor_statuses. After it `keep-watch` judges each vendor by our own errors
and by its page, and tells of one that could not be read for long.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from prefect import flow
from prefect.artifacts import create_table_artifact
from prefect.states import Completed, Failed
from prefect.task_runners import ThreadPoolTaskRunner

from flows.watch import skipped, watch
from tasks import read_vendor_status as tasks
from tasks.resources import open_http

_RUNNER: Any = ThreadPoolTaskRunner(max_workers=tasks.AT_ONCE)


@flow(name="read-vendor-status", validate_parameters=False, task_runner=_RUNNER)
def read_vendor_status(as_of: datetime | None = None) -> Any:
    """Show how every vendor is: by our own requests to it, and by what it says."""
    with watch(as_of) as w, open_http(tasks.TIMEOUT_S) as http:
        tasks.watch_vendors(w.engine, w.settings)
        if not w.settings.vendors:
            return skipped("no vendors are configured")
        courier = tasks.courier_of(http)
        runs = {
            vendor.name: tasks.read_vendor_status.submit(w.engine, courier, w.settings.tenant, vendor, w.clock)
            for vendor in w.settings.vendors
            if vendor.status_url is not None
        }
        outcomes = {name: run.result(raise_on_failure=False) for name, run in runs.items()}
        rows = tasks.judge_vendors(w.engine, w.settings, w.now)
    create_table_artifact(key="vendor-status", table=rows, description="How every vendor is, by us and by itself")
    message, broken = tasks.summary(outcomes), tasks.failures(outcomes)
    if not broken:
        return Completed(message=message)
    message = f"{message}; not read: {'; '.join(broken)}"
    return Failed(message=message) if len(broken) == len(outcomes) else Completed(name="Incomplete", message=message)
