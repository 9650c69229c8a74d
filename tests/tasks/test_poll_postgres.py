"""Somebody else's Postgres, polled from end to end: LiteLLM's table, and an application's own."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
import sqlalchemy as sa
from pydantic import SecretStr

from ops.errors import Refused, Unavailable
from tasks.load_file import load_file
from tasks.load_window import poll
from tasks.log_file import LogFile
from tasks.settings import Source
from tasks.stores.tables import usage_hourly
from tasks.write_usage import Loaded, Target
from tests.api_server import api_server
from tests.foreign_database import SPEND_LOGS, ForeignDatabase, foreign_database
from tests.litellm_proxy import KEY, NOON, Proxy, row_of, spend_row
from tests.recount import differences
from tests.stored import stored

MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
REAL_DAY = datetime(2026, 11, 23, 8, tzinfo=UTC)
CALLS = "CREATE TABLE calls (id bigint PRIMARY KEY, began timestamptz, model text, tokens int, written timestamptz)"
Rows = list[dict[str, Any]]


@pytest.fixture
def theirs(server_url: str) -> Iterator[ForeignDatabase]:
    with foreign_database(server_url) as database:
        database.run(SPEND_LOGS)
        database.run(CALLS)
        yield database


def table(theirs: ForeignDatabase, **changes: Any) -> Source:
    usual = {"database_url": theirs.secret, "page_size": 7, "since": NOON}
    return Source(name="proxy", kind="litellm_table", **{**usual, **changes})


def ledger(theirs: ForeignDatabase, **changes: Any) -> Source:
    usual = {
        "database_url": theirs.secret, "since": NOON, "page_size": 7, "values": {"vendor": "openai"},
        "columns": {"event_id": "id", "occurred_at": "began", "input_tokens": "tokens"},
        "query": "SELECT * FROM calls WHERE written >= :start AND written < :end ORDER BY written, id",
    }  # fmt: skip
    return Source(name="ledger", kind="postgres", **{**usual, **changes})


def load(engine: sa.Engine, source: Source, tenant: str = "calm", now: datetime = NOON + 3 * HOUR) -> Loaded:
    return poll(Target(engine, tenant), source, now, lambda: datetime.now(UTC))


def rows(count: int) -> Rows:
    return [spend_row(f"r{number}", NOON + number * timedelta(seconds=90)) for number in range(count)]


def call(theirs: ForeignDatabase, number: int, **fields: Any) -> None:
    began = NOON + number * MINUTE
    row = {"id": number, "began": began, "model": "gpt-4o-mini", "tokens": 10, "written": began, **fields}
    fresh = ", ".join(f"{name} = excluded.{name}" for name in row)
    names, values = ", ".join(row), ", ".join(f":{name}" for name in row)
    theirs.run(f"INSERT INTO calls ({names}) VALUES ({values}) ON CONFLICT (id) DO UPDATE SET {fresh}", **row)  # noqa: S608


def test_table_is_loaded_once(engine: sa.Engine, theirs: ForeignDatabase) -> None:
    theirs.add_rows(rows(60))
    first, second = load(engine, table(theirs)), load(engine, table(theirs))
    assert (first.inserted, first.rejected) == (60, 0)
    assert (second.inserted, second.corrected) == (0, 0)
    assert differences(engine) == []


def test_table_and_api_of_one_proxy_leave_the_same(engine: sa.Engine, theirs: ForeignDatabase) -> None:
    made = rows(40)
    theirs.add_rows(made)
    load(engine, table(theirs), "table")
    with api_server(Proxy(made).answer) as server:
        api = Source(name="api", kind="litellm_api", url=server.url, api_key=SecretStr(KEY), since=NOON,
                     requests_per_minute=100_000)  # fmt: skip
        load(engine, api, "api")
        assert load(engine, api, "table").inserted == 0  # both ways for one tenant: counted once
    assert stored(engine, "table") == stored(engine, "api")
    assert differences(engine) == []


def test_rows_that_come_late_and_change_leave_what_a_calm_run_does(engine: sa.Engine, theirs: ForeignDatabase) -> None:
    """A row turns up at most 50 minutes late, and one changes after it was read."""
    made = rows(30)
    for step in range(10, 121, 10):
        now = NOON + step * MINUTE
        theirs.add_rows(row for number, row in enumerate(made) if number * 1.5 + number * 37 % 50 <= step)
        if step == 60:
            theirs.add_rows([{**made[29], "spend": 0.5}])
        load(engine, table(theirs), "storm", now)
    made[29]["spend"] = 0.25
    theirs.add_rows(made)
    load(engine, table(theirs, look_back_minutes=300), "storm")
    load(engine, table(theirs), "calm")
    assert stored(engine, "storm") == stored(engine, "calm")
    assert len(stored(engine, "calm")["usage_events"]) == 30
    assert differences(engine) == []


def test_poll_that_found_no_table_is_taken_up_again(engine: sa.Engine, theirs: ForeignDatabase) -> None:
    theirs.add_rows(rows(30))
    load(engine, table(theirs), "calm")
    theirs.run('ALTER TABLE "LiteLLM_SpendLogs" RENAME TO gone')
    with pytest.raises(Refused, match='there is no table "LiteLLM_SpendLogs"'):
        load(engine, table(theirs), "storm")
    theirs.run('ALTER TABLE gone RENAME TO "LiteLLM_SpendLogs"')
    load(engine, table(theirs), "storm")
    assert stored(engine, "storm") == stored(engine, "calm")


def test_connection_cut_between_pages_leaves_whole_pages_and_the_rest_to_the_next_poll(
    engine: sa.Engine, theirs: ForeignDatabase
) -> None:
    for number in range(30):
        call(theirs, number)
    load(engine, ledger(theirs), "calm")
    cuts = iter([None, "cut", None, None, None, None, None, None])

    def cut_in_the_second_page() -> datetime:
        if next(cuts):
            theirs.run("SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                       "WHERE application_name = 'watchkeeper' AND datname = current_database()")  # fmt: skip
        return datetime.now(UTC)

    with pytest.raises(Unavailable, match="Postgres of source ledger"):
        poll(Target(engine, "storm"), ledger(theirs), NOON + 3 * HOUR, cut_in_the_second_page)
    assert len(stored(engine, "storm")["usage_events"]) == 7
    load(engine, ledger(theirs), "storm")
    assert stored(engine, "storm") == stored(engine, "calm")
    assert differences(engine) == []


def test_query_is_loaded_once_and_corrected(engine: sa.Engine, theirs: ForeignDatabase) -> None:
    for number in range(20):
        call(theirs, number)
    assert load(engine, ledger(theirs)).inserted == 20
    call(theirs, 3, tokens=500, written=NOON + 170 * MINUTE)
    again = load(engine, ledger(theirs))
    assert (again.inserted, again.corrected) == (0, 1)
    hour = usage_hourly.c
    with engine.connect() as connection:
        assert connection.execute(sa.select(sa.func.sum(hour.input_tokens))).scalar() == 19 * 10 + 500
    assert differences(engine) == []


def test_query_by_the_time_of_writing_finds_what_began_long_before(engine: sa.Engine, theirs: ForeignDatabase) -> None:
    call(theirs, 0)
    load(engine, ledger(theirs))
    call(theirs, 1, written=NOON + 24 * HOUR)
    assert load(engine, ledger(theirs), now=NOON + 25 * HOUR).inserted == 1


def test_bad_rows_of_a_query_are_kept_with_their_reason_and_once(engine: sa.Engine, theirs: ForeignDatabase) -> None:
    for number in range(5):
        call(theirs, number, tokens=-1 if number == 2 else 10)
    source = ledger(theirs, look_back_minutes=300)
    first, second = load(engine, source), load(engine, source)
    assert (first.inserted, first.rejected, second.inserted) == (4, 1, 0)
    assert (first.first_reject or "").startswith("row 3: input_tokens: '-1' is not of the right type")
    assert len(stored(engine, "calm")["usage_rejects"]) == 1


def test_request_that_is_read_from_a_file_and_from_the_table_counts_once(
    engine: sa.Engine, theirs: ForeignDatabase, shared_data: Path
) -> None:
    path = shared_data / "litellm" / "standard_logging_payload.jsonl"
    theirs.add_rows(row_of(msgspec.json.decode(line)) for line in path.read_bytes().splitlines())
    file = Source(name="log", kind="litellm", path=str(path))
    first = load_file(Target(engine, "calm"), file, LogFile(str(path)), REAL_DAY)
    second = load(engine, table(theirs, since=REAL_DAY - 2 * HOUR), now=REAL_DAY)
    assert (first.inserted, second.read, second.inserted, second.corrected) == (8, 8, 0, 0)
    assert differences(engine) == []
