"""Serve every flow with its schedule from one process: `python -m deployments.serve`, with PREFECT_API_URL set.

`watchkeeper up` starts it. Each run is a process of its own; a run that is late does not pile up behind itself.
"""

from __future__ import annotations

import importlib
from typing import Any

from prefect import serve
from prefect.client.schemas.objects import ConcurrencyLimitConfig, ConcurrencyLimitStrategy
from prefect.deployments.runner import RunnerDeployment
from prefect.types.entrypoint import EntrypointType

from deployments.schedules import SCHEDULES

NAME = "local"
LIMIT = 4


def deployments() -> list[RunnerDeployment]:
    """Return a deployment of every flow."""
    return [_deployment(name, cron) for name, cron in SCHEDULES.items()]


def _deployment(name: str, cron: str | None) -> RunnerDeployment:
    function = name.replace("-", "_")
    flow: Any = getattr(importlib.import_module(f"flows.{function}"), function)
    deployment: RunnerDeployment = flow.to_deployment(
        name=NAME,
        cron=cron,
        description=flow.description,
        tags=["watchkeeper"],
        entrypoint_type=EntrypointType.MODULE_PATH,
        concurrency_limit=ConcurrencyLimitConfig(limit=1, collision_strategy=ConcurrencyLimitStrategy.CANCEL_NEW),
    )
    return deployment


if __name__ == "__main__":
    serve(*deployments(), limit=LIMIT, print_starting_message=False)
