"""Run golden sets: open a run or go on with one, evaluate its items, and close it.

Before it: `tasks/plan_evaluations.py`. After it: rows of `scores`, which rules and baselines judge, and of
`evaluation_runs`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import httpx
import sqlalchemy as sa
from prefect import task
from prefect.cache_policies import NO_CACHE

from ops.errors import Incomplete, Unavailable, WatchkeeperError
from tasks.evaluate_items import Evaluator, callees
from tasks.plan_evaluations import Plan
from tasks.settings import Settings
from tasks.stores import evaluation_runs as store


def run_set(
    engine: sa.Engine, http: httpx.Client, settings: Settings, plan: Plan, clock: Callable[[], datetime]
) -> sa.Row[Any]:
    """Run a plan, or go on with it, and return its row of `evaluation_runs`.

    Raises:
        Incomplete, InvalidValue, NotFound, Unavailable: the golden set.
        InvalidValue: nothing says what a call costs.
        Unavailable: another process runs it.
    """
    items, now = plan.items(), clock()
    asked = callees(http, settings, plan, now)
    row = {
        "name": plan.name, "fingerprint": plan.fingerprint(items), "started_at": now, "items": len(items),
        "model": plan.model, "judge_version": plan.judge_version, "budget_usd": plan.budget_usd,
    }  # fmt: skip
    with store.held(engine, settings.tenant, plan.name) as is_ours:
        if not is_ours:
            raise Unavailable(f"evaluation set {plan.name}", "another process runs it")
        with engine.begin() as connection:
            run = store.open_run(connection, settings.tenant, row)
        if run.is_open:
            state = Evaluator(engine, plan, run, asked).all(items)
            with engine.begin() as connection:
                store.finish(connection, settings.tenant, run.run_id, state, clock())
        with engine.connect() as connection:
            return store.one_run(connection, settings.tenant, run.run_id, clock())


@task(name="run_evaluation", cache_policy=NO_CACHE, persist_result=False)
def run_evaluation(
    engine: sa.Engine, http: httpx.Client, settings: Settings, plan: Plan, clock: Callable[[], datetime]
) -> sa.Row[Any]:
    """Run `run_set`."""
    return run_set(engine, http, settings, plan, clock)


@dataclass(slots=True)
class Ran:
    """What became of several plans."""

    runs: list[sa.Row[Any]] = field(default_factory=list)
    failures: list[WatchkeeperError] = field(default_factory=list)

    @property
    def failure(self) -> Incomplete | None:
        """Say which plans could not be run."""
        count = len(self.runs) + len(self.failures)
        return Incomplete("evaluation", count, self.failures) if self.failures else None


def run_all(plans: Iterable[Plan], run: Callable[[Plan], Any]) -> Ran:
    """Run one plan after the other; one that fails does not stop the others."""
    done = Ran()
    for plan in plans:
        try:
            done.runs.append(run(plan))
        except WatchkeeperError as error:
            done.failures.append(error)
    return done
