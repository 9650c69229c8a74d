from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import sqlalchemy as sa

from ops.evaluations import Evaluation
from ops.proportions import Pairs
from tasks.stores import evaluations as store
from tasks.stores import tables
from tests.hand_made import DAY, NOW, TENANT, rows_of

NOW_MODEL, OTHER = "openai/gpt-4o", "openai/gpt-4o-mini"


def verdict(item: str, model: str = NOW_MODEL, passed: bool = True, **fields: Any) -> Evaluation:
    usual = {"route": "search", "judge_version": "j1", "evaluated_at": NOW}
    return Evaluation(item_id=item, model=model, passed=passed, **{**usual, **fields})


def save(engine: sa.Engine, *found: Evaluation, tenant: str = TENANT) -> tuple[int, int]:
    with engine.begin() as connection:
        return store.save(connection, tenant, found)


def pairs(engine: sa.Engine) -> dict[str, store.RoutePairs]:
    with engine.connect() as connection:
        return store.pairs(connection, TENANT)


def test_verdict_saved_again_changes_nothing_and_the_later_one_stands(engine: sa.Engine) -> None:
    assert save(engine, verdict("a", score=0.5, cost_usd=Decimal("0.01")), verdict("b")) == (2, 0)
    assert save(engine, verdict("a", score=0.5, cost_usd=Decimal("0.01")), verdict("b")) == (0, 0)
    assert save(engine, verdict("a", passed=False, evaluated_at=NOW + DAY)) == (0, 1)
    assert save(engine, verdict("a", evaluated_at=NOW - DAY)) == (0, 0)
    assert [(row.item_id, row.passed) for row in rows_of(engine, tables.evaluations)] == [("a", False), ("b", True)]


def test_verdict_told_twice_at_once_is_the_later_one(engine: sa.Engine) -> None:
    later = verdict("a", passed=False, evaluated_at=NOW + timedelta(hours=1))
    assert save(engine, verdict("a"), later, verdict("a")) == (1, 0)
    assert [row.passed for row in rows_of(engine, tables.evaluations)] == [False]


def test_nothing_to_save_is_nothing(engine: sa.Engine) -> None:
    assert save(engine) == (0, 0)


def test_two_models_of_an_item_are_a_pair_both_ways(engine: sa.Engine) -> None:
    for item, (first, second) in {
        "a": (True, True),
        "b": (True, False),
        "c": (False, True),
        "d": (True, False),
    }.items():
        save(engine, verdict(item, passed=first), verdict(item, OTHER, second))
    save(engine, verdict("alone"), verdict("other-judge"), verdict("other-judge", OTHER, judge_version="j2"))
    save(engine, verdict("a", "openai/o3", route="chat"), verdict("a", "openai/o3", False), tenant="another")
    assert pairs(engine)["search"].models == {(NOW_MODEL, OTHER): Pairs(1, 2, 4), (OTHER, NOW_MODEL): Pairs(2, 1, 4)}
    assert list(pairs(engine)) == ["search"]


def test_item_that_two_judges_saw_is_one_pair_by_the_newer_one(engine: sa.Engine) -> None:
    for judge, at, passed in (("j1", NOW, True), ("j2", NOW + DAY, False)):
        more = {"judge_version": judge, "evaluated_at": at}
        save(engine, verdict("a", **more), verdict("a", OTHER, passed, **more))
    assert pairs(engine)["search"].models[NOW_MODEL, OTHER] == Pairs(0, 1, 1)


def test_less_context_is_paired_with_the_full_one_of_the_same_model(engine: sa.Engine) -> None:
    for item, (full, less) in {"a": (True, True), "b": (True, False), "c": (False, True)}.items():
        save(engine, verdict(item, passed=full), verdict(item, passed=less, variant="trimmed-4000"))
    save(engine, verdict("a", variant="trimmed-2000"), verdict("a", OTHER, variant="trimmed-2000"))
    found = pairs(engine)["search"]
    assert found.contexts == {NOW_MODEL: {4000: Pairs(1, 1, 3), 2000: Pairs(0, 0, 1)}}
    assert found.models == {}
