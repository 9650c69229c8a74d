"""How evaluation runs went, as tables: marks with their number, failures by their kind, and what it cost.

Before it: `tasks/run_evaluations.py`. After it: the flow's artifact, and `watchkeeper evaluations`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from ops.money import usd
from ops.monitoring.evaluation_calls import Outcome, Step
from ops.plain_text import markdown_cell
from tasks.run_evaluations import Ran
from tasks.settings import PROBE_SET

RUN_COLUMNS = ("Run", "State", "Scored", "Cost")
NEWEST = 20  # runs that are shown
_SAID = (
    "A failed call says nothing of quality: it is counted by its kind, and has no score. Assumed is the reserved price "
    "of calls whose answer never came, or does not tell what it took, or what nobody believes; no call is made twice.\n"
)


def as_document(run: sa.Row[Any]) -> dict[str, Any]:
    """Return a run as JSON has it."""
    told = {name: value for name, value in run._mapping.items() if name not in ("tenant_id", "fingerprint")}
    return {**told, "not_asked": not_asked(run)}


def run_row(run: sa.Row[Any]) -> tuple[str, ...]:
    """Write a run as a line of a table: few columns, so that a narrow terminal breaks no name."""
    marks = [f"{metric} {told['mean']:.3f} (n = {told['n']:,})" for metric, told in (run.results or {}).items()]
    scored = "; ".join(marks) or ("unknown: nothing was scored" if run.results is not None else "")
    return run.run_id, "; ".join([_state(run), *failures(run)]), scored, _cost(run)


def _state(run: sa.Row[Any]) -> str:
    items = f"{run.items:,}" if run.begun is None else f"{run.begun:,} of {run.items:,}"
    resumes = ", resumes at the next run" if run.state == "interrupted" else ""
    return f"{run.state}, {items} items{resumes}"


def failures(run: sa.Row[Any]) -> list[str]:
    """Name the calls that failed, by step and kind, and the items that the budget had no room for."""
    found = [f"{step}: {n:,} {outcome}" for step, counts in (run.outcomes or {}).items()
             for outcome, n in sorted(counts.items()) if outcome != Outcome.OK]  # fmt: skip
    left = not_asked(run)
    return [*found, f"{left:,} not asked"] if left else found


def not_asked(run: sa.Row[Any]) -> int | None:
    """Return how many items were never begun; None while it runs."""
    if run.outcomes is None:
        return None
    first = Step.ANSWER if run.name != PROBE_SET else Step.JUDGE
    begun: int = sum(run.outcomes.get(first, {}).values())
    return int(run.items) - begun


def _cost(run: sa.Row[Any]) -> str:
    assumed = f", {usd(run.assumed_usd)} of it assumed" if run.assumed_usd else ""
    claims = f"; usage of {run.claims:,} calls is not believed" if run.claims else ""
    return f"{usd(run.spent_usd)} of {usd(run.budget_usd)}{assumed}{claims}"


def headline(runs: Sequence[sa.Row[Any]]) -> str:
    """Say in one line how the runs went."""
    scored = sum(told["n"] for run in runs for told in (run.results or {}).values())
    failed = sum(n for run in runs for counts in (run.outcomes or {}).values()
                 for outcome, n in counts.items() if outcome != Outcome.OK)  # fmt: skip
    spent = usd(sum((run.spent_usd for run in runs), start=0))
    return f"{len(runs)} sets run: {scored:,} scores, {failed:,} failed calls, {spent}"


def report_markdown(done: Ran) -> str:
    """Write the artifact."""
    head = "| " + " | ".join(RUN_COLUMNS) + " |\n|" + "---|" * len(RUN_COLUMNS) + "\n"
    rows = "".join(f"| {' | '.join(map(markdown_cell, run_row(run)))} |\n" for run in done.runs)
    wrong = "".join(f"\nNot run: {markdown_cell(str(failure))}\n" for failure in done.failures)
    return f"# Evaluation runs\n\n{head}{rows}{wrong}\n{_SAID}"
