from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from ops.scores import Score
from tasks.stores import ingest
from tasks.stores.ingest import Position
from tasks.stores.tables import ingest_files, scores, usage_rejects
from tests.waiting import are_waiting

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
KEY = {"tenant_id": "t", "source": "gateway", "fingerprint": "f"}


@pytest.fixture
def connection(engine: sa.Engine):
    with engine.begin() as connection:
        yield connection


def at(offset: int, lines: int, **changes: Any) -> dict[str, Any]:
    return {**KEY, "path": "log", "byte_offset": offset, "lines": lines, "updated_at": NOW, **changes}


def found(connection: sa.Connection) -> Position:
    return ingest.position(connection, "t", "gateway", "f")


def test_new_file_begins_at_its_start(connection: sa.Connection) -> None:
    assert found(connection) == Position(0, 0, None)


def test_position_moves_forwards_only(connection: sa.Connection) -> None:
    for offset, lines in ((10, 1), (30, 3), (20, 2)):
        ingest.set_position(connection, at(offset, lines, path=f"log.{lines}"))
    assert found(connection) == Position(30, 3, None)
    assert connection.execute(sa.select(ingest_files.c.path)).scalars().all() == ["log.2"]


@pytest.mark.parametrize("field", KEY)
def test_position_belongs_to_one_tenant_source_and_file(field: str, connection: sa.Connection) -> None:
    ingest.set_position(connection, at(10, 1, **{field: "another"}))
    assert found(connection) == Position()


def test_size_of_a_file_read_to_its_end_is_remembered_for_that_file_alone(connection: sa.Connection) -> None:
    for changes in ({}, {"fingerprint": "g"}):
        ingest.set_position(connection, at(10, 1, **changes))
    ingest.set_read_to_end(connection, "t", "gateway", "f", 10)
    assert found(connection) == Position(10, 1, 10)
    assert ingest.position(connection, "t", "gateway", "g") == Position(10, 1, None)


def test_line_rejected_before_is_kept_once(connection: sa.Connection) -> None:
    first, again = ({**KEY, "line": 7, "field": "line", "reason": reason, "raw": "x"} for reason in ("first", "again"))
    ingest.add_rejects(connection, [first])
    ingest.add_rejects(connection, [again, {**again, "line": 8}])
    rows = connection.execute(sa.select(usage_rejects.c.line, usage_rejects.c.reason).order_by(usage_rejects.c.line))
    assert [tuple(row) for row in rows] == [(7, "first"), (8, "again")]


def test_no_rejects_and_no_scores_write_nothing(connection: sa.Connection) -> None:
    ingest.add_rejects(connection, [])
    assert ingest.add_scores(connection, "t", []) == 0


def mark(number: int) -> Score:
    return Score(score_id=f"s-{number:03}", occurred_at=NOW, metric="thumb", value=1.0, source="user")


def test_score_counts_once_per_tenant(connection: sa.Connection) -> None:
    assert ingest.add_scores(connection, "t", [mark(2), mark(1), mark(2)]) == 2
    assert ingest.add_scores(connection, "t", [mark(1), mark(3)]) == 1
    assert ingest.add_scores(connection, "u", [mark(1)]) == 1
    assert connection.execute(sa.select(sa.func.count()).select_from(scores)).scalar() == 4


def test_two_loaders_of_the_same_scores_wait_instead_of_deadlocking(engine: sa.Engine, database_url: str) -> None:
    marks = [mark(number) for number in range(100)]

    def add(order: list[Score]) -> int:
        with engine.begin() as connection:
            return ingest.add_scores(connection, "t", order)

    with ThreadPoolExecutor(2) as threads, engine.connect() as holder:
        # Both come as far as the score in the middle, each from its own end if they keep their orders.
        ingest.add_scores(holder, "t", [marks[50]])
        both = [threads.submit(add, order) for order in (marks, marks[::-1])]
        assert are_waiting(database_url, 2)
        holder.rollback()
        assert sorted(one.result() for one in both) == [0, 100]


def test_watermark_is_unknown_then_the_last_one_set(connection: sa.Connection) -> None:
    assert ingest.watermark(connection, "t", "load") is None
    for when in (NOW, NOW + timedelta(hours=1)):
        ingest.set_watermark(connection, "t", "load", when)
    assert ingest.watermark(connection, "t", "load") == NOW + timedelta(hours=1)
    assert ingest.watermark(connection, "u", "load") is None
    assert ingest.watermark(connection, "t", "alerts") is None
