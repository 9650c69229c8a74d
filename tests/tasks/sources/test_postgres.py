from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
import sqlalchemy as sa
from pydantic import SecretStr

from ops.errors import InvalidValue, Refused, Unavailable, UnknownName, WatchkeeperError
from ops.usage import UsageEvent
from ops.window import Window
from tasks.settings import Source
from tasks.sources import kind_of
from tasks.sources.interface import Batch
from tasks.sources.postgres import KIND, batches
from tests.foreign_database import ForeignDatabase, foreign_database

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
WINDOW = Window(NOON, NOON + timedelta(hours=1))
CALLS = """
CREATE TABLE calls (
    id bigint PRIMARY KEY, began timestamptz NOT NULL, naive timestamp, model text, tokens_in int, tokens_out numeric,
    cost float8, was_hit bool, customer uuid, note text, seconds interval
)
"""
QUERY = "SELECT * FROM calls WHERE began >= :start AND began < :end ORDER BY began, id"
COLUMNS = {"event_id": "id", "occurred_at": "began", "input_tokens": "tokens_in", "output_tokens": "tokens_out"}
LEAST = {"event_id": "id", "occurred_at": "began"}
VALUES = {"vendor": "openai"}


@pytest.fixture
def theirs(server_url: str) -> Iterator[ForeignDatabase]:
    with foreign_database(server_url) as database:
        database.run(CALLS)
        yield database


def source(theirs: ForeignDatabase, **changes: Any) -> Source:
    usual = {"query": QUERY, "columns": COLUMNS, "values": VALUES, "database_url": theirs.secret}
    return Source(name="ledger", kind="postgres", **{**usual, **changes})


def add(theirs: ForeignDatabase, number: int, **fields: Any) -> None:
    row = {"id": number, "began": NOON + timedelta(minutes=number), "model": "gpt-4o-mini", **fields}
    names = ", ".join(row)
    theirs.run(f"INSERT INTO calls ({names}) VALUES ({', '.join(f':{name}' for name in row)})", **row)  # noqa: S608


def read(found: Source, window: Window = WINDOW) -> list[Batch]:
    return list(batches(found, window))


def events(found: Source, window: Window = WINDOW) -> list[UsageEvent]:
    return [event for batch in read(found, window) for event in batch.events]


def test_kind_needs_an_address_and_a_query(theirs: ForeignDatabase) -> None:
    assert kind_of(source(theirs)) is KIND
    with pytest.raises(InvalidValue, match=r"sources\.ledger\.query: '' is not set"):
        kind_of(source(theirs, query=""))
    with pytest.raises(InvalidValue, match=r"sources\.ledger\.database_url: '' is not set"):
        kind_of(source(theirs, database_url=SecretStr("")))


def test_row_becomes_an_event(theirs: ForeignDatabase) -> None:
    add(theirs, 7, tokens_in=374, tokens_out=44, cost=1.35e-05, was_hit=False,
        customer="11111111-2222-3333-4444-555555555555")  # fmt: skip
    columns = {**COLUMNS, "reported_cost_usd": "cost", "cache_hit": "was_hit", "user_id": "customer"}
    assert events(source(theirs, columns=columns)) == [
        UsageEvent(
            event_id="7", occurred_at=NOON + timedelta(minutes=7), vendor="openai", model="gpt-4o-mini",
            operation="chat", status="success", input_tokens=374, output_tokens=44, cache_hit=False,
            reported_cost_usd=Decimal("0.0000135"), user_id="11111111-2222-3333-4444-555555555555",
        )
    ]  # fmt: skip


CELLS: dict[str, tuple[dict[str, Any], dict[str, str], dict[str, Any]]] = {
    "NULL as unknown": ({"tokens_in": None}, {}, {"input_tokens": None}),
    "zero as known": ({"tokens_in": 0}, {}, {"input_tokens": 0}),
    "an empty text as unknown": ({"note": ""}, {"user_id": "note"}, {"user_id": None}),
    "the standard tier as none": ({"note": "default"}, {"tier": "note"}, {"tier": None}),
    "a hit": ({"was_hit": True}, {"cache_hit": "was_hit"}, {"cache_hit": True}),
    "a large numeric that is whole": ({"tokens_out": Decimal("1000000")}, {}, {"output_tokens": 1_000_000}),
    "a number for a text": ({"tokens_in": 5}, {"user_id": "tokens_in"}, {"user_id": "5"}),
    "microseconds": (
        {"began": NOON + timedelta(microseconds=123_456)},
        {},
        {"occurred_at": NOON + timedelta(microseconds=123_456)},
    ),
}


@pytest.mark.parametrize(("fields", "columns", "expected"), CELLS.values(), ids=CELLS)
def test_cell_is_read(
    theirs: ForeignDatabase, fields: dict[str, Any], columns: dict[str, str], expected: dict[str, Any]
) -> None:
    add(theirs, 1, **fields)
    [found] = events(source(theirs, columns={**COLUMNS, **columns}))
    assert {name: getattr(found, name) for name in expected} == expected


def test_naive_time_needs_a_zone(theirs: ForeignDatabase) -> None:
    add(theirs, 1, naive=datetime(2026, 3, 2, 13))  # noqa: DTZ001
    columns = {**COLUMNS, "occurred_at": "naive"}
    [batch] = read(source(theirs, columns=columns))
    assert "a time with a zone" in batch.rejects[0].reason
    assert [event.occurred_at for event in events(source(theirs, columns=columns, timezone="Europe/Berlin"))] == [NOON]


@pytest.mark.parametrize("zone", ["America/New_York", "Asia/Kolkata"])
def test_times_do_not_depend_on_the_servers_zone_or_style(theirs: ForeignDatabase, zone: str) -> None:
    name = sa.make_url(theirs.url).database
    theirs.run(f"ALTER DATABASE {name} SET timezone = '{zone}'")
    theirs.run(f"ALTER DATABASE {name} SET datestyle = 'SQL, DMY'")
    add(theirs, 3)
    assert [event.occurred_at for event in events(source(theirs))] == [NOON + timedelta(minutes=3)]


def test_window_holds_its_start_and_not_its_end(theirs: ForeignDatabase) -> None:
    for number in (-1, 0, 59, 60):
        add(theirs, number)
    assert [event.event_id for event in events(source(theirs))] == ["0", "59"]


@pytest.mark.parametrize(("size", "sizes"), [(2, [2, 2, 1]), (5, [5]), (None, [5])])
def test_rows_come_page_by_page(theirs: ForeignDatabase, size: int | None, sizes: list[int]) -> None:
    for number in range(5):
        add(theirs, number)
    assert [len(batch.events) for batch in read(source(theirs, page_size=size))] == sizes


def test_query_without_rows_gives_no_batch(theirs: ForeignDatabase) -> None:
    assert read(source(theirs)) == []


SPOILT: dict[str, tuple[dict[str, Any], str, str]] = {
    "a time that no calendar has": ({"began": "infinity"}, "occurred_at", "'infinity' is not an ISO 8601 time"),
    "a time before Christ": ({"began": "0044-03-15 00:00:00+00 BC"}, "occurred_at", "is not an ISO 8601 time"),
    "a time beyond Python's": ({"began": "20000-01-01 00:00:00+00"}, "occurred_at", "is not an ISO 8601 time"),
    "tokens with a fraction": ({"tokens_out": Decimal("1.5")}, "output_tokens", "of the right type"),
    "tokens that are no number": ({"tokens_out": Decimal("NaN")}, "output_tokens", "of the right type"),
    "tokens below none": ({"tokens_in": -1}, "input_tokens", "of the right type (Expected `int` >= 0"),
    "no model": ({"model": None}, "model", "in the row: column 'model' is missing or empty there"),
    "an endless text": ({"model": "x" * 10_000}, "model", "of length <= 512"),
}


@pytest.mark.parametrize(("fields", "field", "reason"), SPOILT.values(), ids=SPOILT)
def test_bad_row_is_rejected_and_the_others_go_on(
    theirs: ForeignDatabase, fields: dict[str, Any], field: str, reason: str
) -> None:
    add(theirs, 1, **fields)
    add(theirs, 2)
    [batch] = read(source(theirs, query="SELECT * FROM calls WHERE :start < :end ORDER BY id"))
    assert [event.event_id for event in batch.events] == ["2"]
    assert [(reject.position, reject.field) for reject in batch.rejects] == [(1, field)]
    assert reason in batch.rejects[0].reason
    assert b'"id":"1"' in batch.rejects[0].raw


def test_row_without_an_id_is_rejected(theirs: ForeignDatabase) -> None:
    add(theirs, 1)
    [batch] = read(source(theirs, columns={**COLUMNS, "event_id": "note"}))
    assert [reject.field for reject in batch.rejects] == ["event_id"]


MISTAKES: dict[str, tuple[dict[str, Any], type[WatchkeeperError], str]] = {
    "no column for the id": (
        {"columns": {"occurred_at": "began"}, "query": "SELECT began, model FROM calls WHERE :start < :end"},
        InvalidValue,
        r"sources\.ledger\.query: 'a query of began, model' is not with a column for event_id",
    ),
    "one id for all rows": (
        {"columns": {"occurred_at": "began"}, "values": {**VALUES, "event_id": "same"}},
        InvalidValue,
        "a column for event_id",
    ),
    "a column that the query has not": (
        {"columns": {**COLUMNS, "user_id": "customer_id"}},
        UnknownName,
        "column of user_id: 'customer_id' is not one of began, cost",
    ),
    "no start": ({"query": "SELECT * FROM calls WHERE began < :end"}, InvalidValue, "the parameters :start and :end"),
    "no parameters": ({"query": "SELECT * FROM calls"}, InvalidValue, "the parameters :start and :end"),
    "another parameter": ({"query": QUERY.replace("id", ":id")}, InvalidValue, "and no others"),
    "wrong SQL": (
        {"query": "SELEKT :start, :end"},
        Refused,
        r'^Postgres of source ledger refused: syntax error at or near "SELEKT"$',
    ),
    "a table that is not there": (
        {"query": "SELECT * FROM gone WHERE :start < :end"},
        Refused,
        '^Postgres of source ledger refused: relation "gone" does not exist$',
    ),
    "a write": (
        {"query": "DELETE FROM calls WHERE began > :start AND began < :end RETURNING *"},
        Refused,
        "^Postgres of source ledger refused: ",
    ),
    "a write by a function": (
        {"query": "SELECT nextval('s') AS id, :start AS began, :end AS model", "columns": LEAST},
        Refused,
        r"cannot execute nextval\(\) in a read-only transaction",
    ),
    "two statements": (
        {"query": "SELECT :start, :end; DROP TABLE calls"},
        Refused,
        "^Postgres of source ledger refused: ",
    ),
    "a setting that Postgres does not know": (
        {"database_url": SecretStr("postgresql://watch:hunter2@127.0.0.1/db?connection_limit=10")},
        Refused,
        'refused: invalid URI query parameter|invalid connection option "connection_limit"',
    ),
    "no URL": (
        {"database_url": SecretStr("watch:hunter2@db")},
        InvalidValue,
        r"sources\.ledger\.database_url: '\(hidden\)' is not postgresql://",
    ),
    "nobody there": (
        {"database_url": SecretStr("postgresql://watch:hunter2@127.0.0.1:1/db")},
        Unavailable,
        "^Postgres of source ledger is unavailable: connection failed: .*refused",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("changes", "error", "text"), MISTAKES.values(), ids=MISTAKES)
def test_mistake_is_told_in_one_line_without_the_password(
    theirs: ForeignDatabase, changes: dict[str, Any], error: type[WatchkeeperError], text: str
) -> None:
    theirs.run("CREATE SEQUENCE s")
    add(theirs, 1)
    with pytest.raises(error, match=text) as caught:
        read(source(theirs, **changes))
    assert "hunter2" not in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(events(source(theirs))) == 1  # nothing was written


def test_colon_within_a_text_and_a_cast_and_a_percent_are_no_parameters(theirs: ForeignDatabase) -> None:
    add(theirs, 1)
    query = QUERY.replace("*", r"id::text AS id, began, model, 'a \:b 50%' AS note").replace(
        "ORDER", "AND 7 % 4 = 3 ORDER"
    )
    [found] = events(source(theirs, query=query, columns={**LEAST, "user_id": "note"}))
    assert found.user_id == "a :b 50%"


def test_statement_that_takes_too_long_is_unavailable(theirs: ForeignDatabase, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tasks.sources.postgres._SETTINGS", ("statement_timeout = '20ms'",))
    with pytest.raises(Unavailable, match="canceling statement due to statement timeout"):
        read(source(theirs, columns=LEAST, query="SELECT pg_sleep(60)::text AS id, :start AS began, :end AS model"))


def test_connection_that_is_lost_within_a_window_is_unavailable(theirs: ForeignDatabase) -> None:
    for number in range(4):
        add(theirs, number)
    pages = batches(source(theirs, page_size=2), WINDOW)
    assert len(next(pages).events) == 2
    theirs.run("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'watchkeeper' "
               "AND datname = current_database()")  # fmt: skip
    with pytest.raises(Unavailable, match="Postgres of source ledger is unavailable"):
        list(pages)


def test_connection_ends_with_the_reading(theirs: ForeignDatabase) -> None:
    add(theirs, 1)
    read(source(theirs))
    count = sa.text("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'watchkeeper' "
                    "AND datname = current_database() AND state <> 'idle'")  # fmt: skip
    with theirs.engine.connect() as connection:
        assert connection.execute(count).scalar() == 0
