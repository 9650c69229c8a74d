"""Evaluations by the dozen, so that tests can show what they add up to."""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa

from ops.evaluations import FULL, Evaluation
from tasks.stores import evaluations
from tests.hand_made import NOW, TENANT


def evaluate(
    engine: sa.Engine, model: str, passed: int, items: int = 500, *, route: str = "search", variant: str = FULL,
    at: datetime = NOW,
) -> None:  # fmt: skip
    """Let a model pass the first so many of the items of a route."""
    made = [
        Evaluation(route=route, item_id=f"q{number}", model=model, judge_version="j1", passed=number < passed,
                   variant=variant, evaluated_at=at)
        for number in range(items)
    ]  # fmt: skip
    with engine.begin() as connection:
        evaluations.save(connection, TENANT, made)
