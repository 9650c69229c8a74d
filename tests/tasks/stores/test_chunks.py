"""The parts of a backfill that are done."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa

from ops.window import Window
from tasks.stores import chunks
from tasks.stores.tables import ingest_chunks

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
HOURS = [Window(NOW + k * timedelta(hours=1), NOW + (k + 1) * timedelta(hours=1)) for k in range(4)]


@pytest.fixture
def connection(engine: sa.Engine) -> Iterator[sa.Connection]:
    with engine.begin() as connection:
        yield connection


def finish(connection: sa.Connection, window: Window, place: str = "", source: str = "s", tenant: str = "t") -> None:
    chunks.finish(connection, tenant, source, place, window, 7, NOW)


def test_part_is_done_for_its_tenant_source_place_and_window(connection: sa.Connection) -> None:
    finish(connection, HOURS[0])
    finish(connection, HOURS[1], place="log")
    finish(connection, HOURS[2], source="other")
    finish(connection, HOURS[3], tenant="u")
    assert chunks.done(connection, "t", "s") == {("", HOURS[0]), ("log", HOURS[1])}


def test_part_that_is_done_again_is_remembered_as_of_then(connection: sa.Connection) -> None:
    finish(connection, HOURS[0])
    chunks.finish(connection, "t", "s", "", HOURS[0], 9, NOW + timedelta(days=1))
    rows = connection.execute(sa.select(ingest_chunks.c.rows, ingest_chunks.c.done_at)).all()
    assert [tuple(row) for row in rows] == [(9, NOW + timedelta(days=1))]


def test_parts_inside_a_span_are_forgotten(connection: sa.Connection) -> None:
    for window in HOURS:
        finish(connection, window)
    finish(connection, HOURS[1], place="log")
    finish(connection, HOURS[1], source="other")
    chunks.forget(connection, "t", "s", Window(HOURS[1].start, HOURS[2].end))
    assert chunks.done(connection, "t", "s") == {("", HOURS[0]), ("", HOURS[3])}
    assert chunks.done(connection, "t", "other") == {("", HOURS[1])}
    chunks.forget(connection, "t", "s", Window(HOURS[0].start + timedelta(minutes=1), HOURS[0].end))
    assert ("", HOURS[0]) in chunks.done(connection, "t", "s")
