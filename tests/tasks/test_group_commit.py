from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa

from ops.errors import InvalidValue
from ops.usage import Status, UsageEvent
from tasks.group_commit import MOST_ROWS, GroupCommit, Outcome, Post, is_away
from tasks.refuse_rows import Origin
from tasks.resources import administration
from tasks.sources.interface import Batch, Reject
from tasks.stores.tables import ingest_sources, usage_events, usage_rejects
from tasks.write_usage import Target
from tests.receiver import NOW
from tests.recount import differences

LITELLM = Origin("receive-litellm", "litellm", "receive:/litellm")
OTEL = Origin("receive-otel", "otel", "receive:/v1/traces")


class Told(list[tuple[str, Outcome]]):
    """What each sender was told, in order."""

    def by(self, name: str) -> Callable[[Outcome], None]:
        return lambda outcome: self.append((name, outcome))


def event(event_id: str, **fields: Any) -> UsageEvent:
    usual = {"occurred_at": NOW - timedelta(hours=1), "vendor": "openai", "model": "gpt-4o", "operation": "chat"}
    return UsageEvent(**{"event_id": event_id, "status": Status.SUCCESS, **usual, **fields})


def run(engine: sa.Engine, *posts: Post, clock: Callable[[], datetime] = lambda: NOW) -> None:
    """Store posts that all wait when the thread begins."""
    commits = GroupCommit(Target(engine, "default"), clock)
    for post in posts:
        commits.submit(post)
    commits.start()
    commits.close()


def stored(engine: sa.Engine) -> dict[str, str]:
    """Return which transaction wrote each event."""
    with engine.connect() as connection:
        rows = connection.execute(sa.select(usage_events.c.event_id, sa.literal_column("xmin::text")))
        return {row[0]: row[1] for row in rows}


def test_posts_that_wait_are_one_transaction_and_each_is_told(engine: sa.Engine) -> None:
    told = Told()
    run(engine, *(Post(Batch([event(name)]), LITELLM, told.by(name)) for name in "abc"))
    assert told == [(name, Outcome.STORED) for name in "abc"]
    assert sorted(stored(engine)) == ["a", "b", "c"]
    assert len(set(stored(engine).values())) == 1
    assert differences(engine) == []


def test_transaction_takes_no_more_posts_than_its_rows(engine: sa.Engine) -> None:
    told = Told()
    many = [event(f"m{number}") for number in range(MOST_ROWS)]
    run(engine, Post(Batch(many), LITELLM, told.by("many")), Post(Batch([event("one")]), LITELLM, told.by("one")))
    found = stored(engine)
    assert len(found) == MOST_ROWS + 1
    assert found["one"] != found["m0"]


def test_post_that_is_sent_again_is_stored_once(engine: sa.Engine) -> None:
    told = Told()
    for _ in range(3):  # in one group, and in later ones
        run(engine, *(Post(Batch([event("a"), event("b")]), LITELLM, told.by("again")) for _ in range(2)))
    assert told == [("again", Outcome.STORED)] * 6
    assert sorted(stored(engine)) == ["a", "b"]
    assert differences(engine) == []


def test_post_that_the_database_refuses_fails_alone(engine: sa.Engine) -> None:
    with engine.begin() as connection:
        connection.execute(sa.text("ALTER TABLE watchkeeper.usage_events ADD CHECK (user_id <> 'poison')"))
    told = Told()
    bad = Post(Batch([event("c"), event("bad", user_id="poison")]), LITELLM, told.by("bad"))
    run(engine, Post(Batch([event("a")]), LITELLM, told.by("a")), bad, Post(Batch([event("b")]), LITELLM, told.by("b")))
    assert told == [("a", Outcome.STORED), ("bad", Outcome.REFUSED), ("b", Outcome.STORED)]
    assert sorted(stored(engine)) == ["a", "b"]
    assert differences(engine) == []


def test_partition_that_was_dropped_in_between_is_made_anew(engine: sa.Engine) -> None:
    told = Told()
    commits = GroupCommit(Target(engine, "default"), lambda: NOW)
    commits.start()
    for name in ("a", "b"):
        is_told = Signal()
        commits.submit(Post(Batch([event(name)]), LITELLM, is_told))
        told.append((name, is_told.wait()))
        with engine.begin() as connection:
            connection.execute(sa.text("DROP TABLE watchkeeper.usage_events_20260302"))
    commits.close()
    assert told == [("a", Outcome.STORED), ("b", Outcome.STORED)]


class Signal:
    """Waits until it is called."""

    def __init__(self) -> None:
        import queue

        self._outcomes: queue.SimpleQueue[Outcome] = queue.SimpleQueue()

    def __call__(self, outcome: Outcome) -> None:
        self._outcomes.put(outcome)

    def wait(self) -> Outcome:
        return self._outcomes.get(timeout=60)


def test_without_a_database_everybody_is_told_and_later_posts_are_stored(engine: sa.Engine) -> None:
    told = Told()
    commits = GroupCommit(Target(engine, "default"), lambda: NOW)
    commits.start()
    url, name = engine.url.render_as_string(hide_password=False), engine.url.database
    with administration(url.replace(f"/{name}", "/postgres")) as other:
        other.execute(sa.text(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false"))
        for number in range(2):
            is_told = Signal()
            commits.submit(Post(Batch([event(f"a{number}")]), LITELLM, is_told))
            told.append(("away", is_told.wait()))
        assert commits.is_away
        other.execute(sa.text(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true"))
    commits.submit(Post(Batch([event("b")]), LITELLM, told.by("back")))
    commits.close()
    assert told == [("away", Outcome.AWAY), ("away", Outcome.AWAY), ("back", Outcome.STORED)]
    assert not commits.is_away
    assert list(stored(engine)) == ["b"]


def test_rejects_are_kept_with_the_route_as_their_place(engine: sa.Engine) -> None:
    told = Told()
    reject = Reject.of(InvalidValue("model", "", "a non-empty text"), 2, b'{"id":"x"}')
    run(engine, *(Post(Batch(rejects=[reject]), LITELLM, told.by("x")) for _ in range(2)))
    with engine.connect() as connection:
        (row,) = connection.execute(sa.select(usage_rejects))
    assert (row.source, row.kind, row.place, row.position, row.field, row.raw) == (
        "receive-litellm", "litellm", "receive:/litellm", 2, "model", '{"id":"x"}',
    )  # fmt: skip


def sources(engine: sa.Engine) -> dict[str, tuple[datetime | None, datetime | None]]:
    columns = ingest_sources.c
    with engine.connect() as connection:
        rows = connection.execute(sa.select(columns.source, columns.last_success_at, columns.last_new_at))
        return {source: (success, new) for source, success, new in rows}


def test_success_of_each_source_is_recorded(engine: sa.Engine) -> None:
    told = Told()
    run(engine, Post(Batch([event("a")]), LITELLM, told.by("a")), Post(Batch(), OTEL, told.by("b")))
    assert sources(engine) == {"receive-litellm": (NOW, NOW), "receive-otel": (NOW, None)}


def test_success_is_recorded_at_most_every_few_seconds(engine: sa.Engine) -> None:
    now = NOW
    commits = GroupCommit(Target(engine, "default"), lambda: now)
    seen: list[datetime | None] = []
    for seconds in (0, 2, 4, 5, 6):
        now = NOW + timedelta(seconds=seconds)
        commits._store([Post(Batch([event(f"e{seconds}")]), LITELLM, Told().by("a"))])
        commits._record(at_once=False)
        seen.append(sources(engine)["receive-litellm"][0])
    assert seen == [NOW] * 3 + [NOW + timedelta(seconds=5)] * 2
    commits._record(at_once=True)
    assert sources(engine)["receive-litellm"][0] == now


def failing(engine: sa.Engine, statement: str) -> Exception:
    with engine.connect() as connection, pytest.raises(sa.exc.DBAPIError) as caught:
        connection.execute(sa.text(statement))
    return caught.value


@pytest.mark.parametrize(
    ("statement", "away"),
    [
        pytest.param("SELECT 1 / 0", False, id="a wrong value is not"),
        pytest.param("SELECT * FROM nothing", False, id="a missing table is not"),
        pytest.param("SELECT pg_terminate_backend(pg_backend_pid())", True, id="a connection that is cut is"),
        pytest.param("SET statement_timeout = 1; SELECT pg_sleep(9)", True, id="a statement that takes too long is"),
        pytest.param("SET TRANSACTION READ ONLY; CREATE TABLE t ()", True, id="a replica, where none writes, is"),
    ],
)
def test_database_counts_as_away(statement: str, away: bool, engine: sa.Engine) -> None:
    assert is_away(failing(engine, statement)) is away


def test_database_that_refuses_connections_counts_as_away() -> None:
    with pytest.raises(psycopg.OperationalError) as caught:
        psycopg.connect("host=127.0.0.1 port=1 dbname=x")
    assert is_away(caught.value)
