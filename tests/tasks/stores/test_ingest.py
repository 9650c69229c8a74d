from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
import sqlalchemy as sa

from ops.scores import Score
from tasks.stores import ingest
from tasks.stores.tables import ingest_files, scores
from tests.waiting import are_waiting

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
KEY = {"tenant_id": "t", "source": "gateway", "file_id": "f", "head": "h"}


@pytest.fixture
def connection(engine: sa.Engine):
    with engine.begin() as connection:
        yield connection


def at(offset: int, lines: int, **changes: Any) -> dict[str, Any]:
    row = {**KEY, "path": "log", "byte_offset": offset, "lines": lines, "updated_at": NOW}
    return {**row, "chain": f"{offset:08x}", "tail": "0:", **changes}


def found(connection: sa.Connection, **key: str) -> list[tuple[int, int, str, int | None]]:
    named = {"tenant": "t", "source": "gateway", "head": "h", **key}
    rows = ingest.known_files(connection, **named)
    return [(row.byte_offset, row.lines, row.file_id, row.file_size) for row in rows]


def move(connection: sa.Connection, offset: int, lines: int, **changes: Any) -> None:
    ingest.set_position(connection, at(offset, lines, **changes))


def test_new_file_is_not_known(connection: sa.Connection) -> None:
    assert found(connection) == []


def test_position_moves_forwards_only(connection: sa.Connection) -> None:
    for offset, lines in ((10, 1), (30, 3), (20, 2)):
        move(connection, offset, lines, path=f"log.{lines}")
    assert found(connection) == [(30, 3, "f", None)]
    row = connection.execute(sa.select(ingest_files.c.path, ingest_files.c.chain)).one()
    assert tuple(row) == ("log.3", f"{30:08x}")


def test_files_that_begin_alike_are_known_the_furthest_read_first(connection: sa.Connection) -> None:
    for name, offset in (("f", 10), ("g", 30), ("k", 20)):
        move(connection, offset, 1, file_id=name)
    assert [row[2] for row in found(connection)] == ["g", "k", "f"]


@pytest.mark.parametrize(("field", "name"), [("tenant_id", "tenant"), ("source", "source"), ("head", "head")])
def test_position_belongs_to_one_tenant_source_and_head(field: str, name: str, connection: sa.Connection) -> None:
    move(connection, 10, 1, **{field: "another"})
    assert found(connection) == []
    assert found(connection, **{name: "another"}) == [(10, 1, "f", None)]


def test_size_of_a_file_read_to_its_end_is_remembered_for_that_file_alone(connection: sa.Connection) -> None:
    for name in ("f", "g"):
        move(connection, 10, 1, file_id=name)
    ingest.set_read_to_end(connection, "t", "gateway", "f", 10)
    assert found(connection) == [(10, 1, "f", 10), (10, 1, "g", None)]


def test_no_scores_write_nothing(connection: sa.Connection) -> None:
    assert ingest.add_scores(connection, "t", []) == 0


def mark(number: int) -> Score:
    return Score(score_id=f"s-{number:03}", occurred_at=NOW, metric="thumb", value=1.0, source="user")


def test_score_counts_once_per_tenant(connection: sa.Connection) -> None:
    assert ingest.add_scores(connection, "t", [mark(2), mark(1), mark(2)]) == 2
    assert ingest.add_scores(connection, "t", [mark(1), mark(3)]) == 1
    assert ingest.add_scores(connection, "u", [mark(1)]) == 1
    assert connection.execute(sa.select(sa.func.count()).select_from(scores)).scalar() == 4


def test_score_whose_tags_change_is_corrected_once(connection: sa.Connection) -> None:
    first, other = (msgspec.structs.replace(mark(1), tags=tags) for tags in ({"language": "de"}, None))
    assert ingest.correct_scores(connection, "t", [first]) == (1, 0)
    assert ingest.correct_scores(connection, "t", [first]) == (0, 0)
    assert ingest.correct_scores(connection, "t", [other]) == (0, 1)
    assert ingest.correct_scores(connection, "t", [other]) == (0, 0)
    assert connection.execute(sa.select(scores.c.tags.is_(None))).scalar_one()


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
