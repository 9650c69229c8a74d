from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import msgspec
import pytest
import sqlalchemy as sa
from pydantic import SecretStr

from ops.errors import InvalidValue, Refused, Unavailable
from ops.window import Window
from tasks.settings import Source
from tasks.sources import kind_of
from tasks.sources.interface import Batch
from tasks.sources.litellm_rows import parse
from tasks.sources.litellm_table import KIND, batches
from tasks.sources.postgres import reading
from tests.foreign_database import SPEND_LOGS, ForeignDatabase, foreign_database
from tests.litellm_proxy import NOON, spend_row

HOUR = timedelta(hours=1)
WINDOW = Window(NOON, NOON + HOUR)


@pytest.fixture
def theirs(server_url: str) -> Iterator[ForeignDatabase]:
    with foreign_database(server_url) as database:
        database.run(SPEND_LOGS)
        yield database


def source(theirs: ForeignDatabase, **changes: Any) -> Source:
    return Source(name="proxy", kind="litellm_table", **{"database_url": theirs.secret, **changes})


def row(name: str, seconds: float, **fields: Any) -> dict[str, Any]:
    return spend_row(name, NOON + timedelta(seconds=seconds), **fields)


def names(found: list[Batch]) -> list[str]:
    return [event.event_id for batch in found for event in batch.events]


def test_kind_needs_an_address_alone(theirs: ForeignDatabase) -> None:
    assert kind_of(source(theirs)) is KIND
    with pytest.raises(InvalidValue, match=r"sources\.proxy\.database_url: '' is not set"):
        kind_of(source(theirs, database_url=SecretStr("")))


def test_row_of_the_table_gives_the_event_of_the_apis(theirs: ForeignDatabase) -> None:
    usage = {
        "usage_object": {"cache_read_input_tokens": 4, "service_tier": "flex"},
        "spend_logs_metadata": {"release": "v2"},
    }
    made = row("a", 1.25, metadata=usage, spend=1.35e-05, cache_hit="False", team_id="team-1")
    theirs.add_rows([made])
    [batch] = list(batches(source(theirs), WINDOW))
    assert batch.events == list(parse(msgspec.json.encode(made)))
    assert batch.events[0].cached_tokens == 4


READ = {
    "nothing": ([], 2),
    "a page to its last row": ([0, 1], 2),
    "a row more than a page": ([0, 1, 2], 2),
    "rows of one instant over many pages": ([0, *[7.5] * 9, 8], 2),
    "a row a page": ([0, 0, 1, 1.5, 2], 1),
}


@pytest.mark.parametrize(("seconds", "size"), READ.values(), ids=READ)
def test_every_row_is_read_once(theirs: ForeignDatabase, seconds: list[float], size: int) -> None:
    theirs.add_rows([row(f"r{number}", second) for number, second in enumerate(seconds)])
    found = list(batches(source(theirs, page_size=size), WINDOW))
    assert sorted(names(found)) == sorted(f"r{number}" for number in range(len(seconds)))
    assert all(len(batch.events) <= size for batch in found)


def test_window_holds_its_start_and_not_its_end(theirs: ForeignDatabase) -> None:
    theirs.add_rows([row("before", -0.001), row("first", 0), row("last", 3599.999), row("end", 3600)])
    assert names(list(batches(source(theirs), WINDOW))) == ["first", "last"]
    assert names(list(batches(source(theirs), Window(NOON + HOUR, NOON + 2 * HOUR)))) == ["end"]


def test_zone_of_the_server_moves_no_time(theirs: ForeignDatabase) -> None:
    theirs.run(
        "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET timezone = ''Asia/Kolkata''', current_database()); END $$"
    )
    theirs.add_rows([row("a", 0)])
    [batch] = list(batches(source(theirs), WINDOW))
    assert batch.events[0].occurred_at == NOON


def test_rows_that_come_while_paging_cost_no_other(theirs: ForeignDatabase) -> None:
    theirs.add_rows([row(f"r{number}", 10 * number) for number in range(6)])
    found = []
    for number, batch in enumerate(batches(source(theirs, page_size=2), WINDOW)):
        found.append(batch)
        theirs.add_rows([row(f"late{number}", 1), row(f"new{number}", 100 + number)])
    assert names(found)[:6] == [f"r{number}" for number in range(6)]
    assert not [name for name in names(found) if name.startswith("late")]  # for the next poll's look-back


def test_row_that_is_none_is_rejected_and_the_others_go_on(theirs: ForeignDatabase) -> None:
    theirs.add_rows([row("a", 0), row("odd", 1, metadata=[7]), row("b", 2)])
    [batch] = list(batches(source(theirs), WINDOW))
    assert names([batch]) == ["a", "b"]
    assert [(reject.position, reject.field) for reject in batch.rejects] == [(2, "line")]
    assert b'"request_id":"odd"' in batch.rejects[0].raw


def test_heavy_columns_are_not_asked_for(theirs: ForeignDatabase) -> None:
    theirs.add_rows([row("a", 0, prompt_tokens=-1, messages=[{"role": "user", "content": "a secret"}])])
    [batch] = list(batches(source(theirs), WINDOW))
    assert b"a secret" not in batch.rejects[0].raw


def test_table_of_an_older_proxy_may_lack_columns(theirs: ForeignDatabase) -> None:
    theirs.add_rows([row("a", 0)])
    theirs.run('ALTER TABLE "LiteLLM_SpendLogs" DROP COLUMN status, DROP COLUMN litellm_call_id, DROP COLUMN end_user')
    [batch] = list(batches(source(theirs), WINDOW))
    assert [(event.status, event.user_id) for event in batch.events] == [("success", "default_user_id")]


def test_database_without_the_table_is_refused(theirs: ForeignDatabase) -> None:
    theirs.run('DROP TABLE "LiteLLM_SpendLogs"')
    with pytest.raises(Refused, match='Postgres of source proxy refused: there is no table "LiteLLM_SpendLogs"'):
        list(batches(source(theirs), WINDOW))


def test_nothing_can_be_written_through_the_connection(theirs: ForeignDatabase) -> None:
    with (
        pytest.raises(Refused, match="cannot execute DELETE in a read-only transaction"),
        reading(source(theirs)) as connection,
    ):
        connection.execute(sa.text('DELETE FROM "LiteLLM_SpendLogs"'))


def test_database_that_is_not_there_is_unavailable(theirs: ForeignDatabase) -> None:
    gone = SecretStr("postgresql://watch:hunter2@127.0.0.1:1/litellm")
    with pytest.raises(Unavailable, match="Postgres of source proxy is unavailable") as caught:
        list(batches(source(theirs, database_url=gone), WINDOW))
    assert "hunter2" not in str(caught.value)
