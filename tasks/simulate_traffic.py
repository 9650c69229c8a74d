"""Let the simulated system run for a while: it obeys the traffic splits of the database and writes its logs as files.

After it: `flows/ingest_usage.py` reads the files like any gateway's.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import sqlalchemy as sa

from ops.deployment.bucketing import assign
from ops.window import Window
from tasks.simulator import Scenario, Traffic, generate
from tasks.simulator.feedback import write_feedback
from tasks.simulator.litellm_log import write_log
from tasks.stores import rollouts

Assign = Callable[[str], str]


@dataclass(frozen=True, slots=True)
class Written:
    """The files of one window."""

    usage: Path
    scores: Path
    requests: int


def splits_of(engine: sa.Engine, tenant: str) -> dict[str, Assign]:
    """Return, per service, the function that says which release a user sees now."""
    with engine.connect() as connection:
        found = rollouts.splits(connection, tenant)
    return {service: partial(assign, split) for service, split in found.items()}


def simulate(
    traffic: Traffic, window: Window, folder: Path, *, scenarios: Sequence[Scenario] = (),
    splits: Mapping[str, Assign] | None = None, warmed: Container[str] = (),
) -> Written:  # fmt: skip
    """Write the window's usage and scores; the same window and seed give the same bytes."""
    folder.mkdir(parents=True, exist_ok=True)
    stamp = f"{window.start:%Y%m%dT%H%M%S}"
    usage, scores = folder / f"usage-{stamp}.jsonl.gz", folder / f"scores-{stamp}.jsonl.gz"
    requests = list(generate(traffic, window, splits, scenarios, warmed))
    count = write_log(requests, usage)
    write_feedback(requests, scores)
    return Written(usage, scores, count)
