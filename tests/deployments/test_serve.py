"""What the served deployments promise: one run of a flow at a time, in a process of its own."""

from __future__ import annotations

import pytest
from prefect.client.schemas.objects import ConcurrencyLimitStrategy
from prefect.deployments.runner import RunnerDeployment

from deployments.serve import NAME, deployments

SERVED = deployments()


@pytest.mark.parametrize("served", SERVED, ids=lambda served: str(served.flow_name))
def test_deployment(served: RunnerDeployment) -> None:
    function = str(served.flow_name).replace("-", "_")
    assert served.name == NAME
    assert served.entrypoint == f"flows.{function}.{function}"  # found by name, wherever the process starts
    assert served.concurrency_limit == 1
    assert served.concurrency_options is not None
    # A run that is late does not pile up behind itself.
    assert served.concurrency_options.collision_strategy is ConcurrencyLimitStrategy.CANCEL_NEW
    assert served.tags == ["watchkeeper"]
    assert served.description
