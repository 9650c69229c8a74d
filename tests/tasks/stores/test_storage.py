from __future__ import annotations

from pathlib import Path

import pytest
import sqlalchemy as sa

from tasks.stores import storage, usage
from tests.loaded_days import DAY, HOUR, NOW, TODAY, daily, event, scalar, write


@pytest.fixture
def connection(engine: sa.Engine):
    """A connection on the fresh database."""
    with engine.connect() as connection:
        yield connection


def test_bytes_of_each_day_hold_its_indexes(engine: sa.Engine, connection: sa.Connection) -> None:
    first, second = daily(engine, 2)
    write(engine, [event(second + HOUR) for _ in range(500)])
    found = storage.partition_bytes(connection)
    assert list(found) == [first.date(), second.date()]
    assert found[second.date()] > found[first.date()] > 0
    table = "watchkeeper.usage_events_20260305"
    parts = (f"pg_table_size('{table}')", f"pg_indexes_size('{table}')")
    assert found[second.date()] == sum(scalar(engine, f"SELECT {part}") for part in parts)


def test_nothing_has_no_partitions_no_events_and_no_first_hour(connection: sa.Connection) -> None:
    assert storage.partition_bytes(connection) == {}
    assert storage.first_hour(connection) is None
    assert storage.week_events(connection, TODAY) == 0
    assert storage.database_bytes(connection) > storage.rollup_bytes(connection) > 0  # their indexes' first pages


def test_rollup_bytes_are_of_both_rollups(engine: sa.Engine, connection: sa.Connection) -> None:
    before = storage.rollup_bytes(connection)
    write(engine, [event(NOW, latency_ms=None, team_id=str(number)) for number in range(300)])
    hours = storage.rollup_bytes(connection)
    assert hours > before
    write(engine, [event(NOW, latency_ms=1.1**number, service=str(number)) for number in range(150)])
    assert storage.rollup_bytes(connection) > hours


def test_week_is_of_all_tenants_the_seven_days_before_a_midnight(engine: sa.Engine, connection: sa.Connection) -> None:
    moment = HOUR / 3600
    times = [TODAY - 7 * DAY - moment, TODAY - 7 * DAY, TODAY - moment, TODAY]
    write(engine, [event(when) for when in times])
    write(engine, [event(NOW - DAY)], "other")
    assert storage.week_events(connection, TODAY) == 2 + 1
    assert storage.first_hour(connection) == TODAY - 7 * DAY - HOUR


def test_data_directory_of_a_server_behind_a_socket_is_on_this_machine(connection: sa.Connection) -> None:
    address = connection.execute(sa.text("SELECT inet_server_addr()")).scalar()
    if address is not None:
        pytest.skip("a server that is reached through TCP may be anywhere")
    found = storage.local_data_directory(connection)
    assert found == Path(connection.execute(sa.text("SHOW data_directory")).scalar_one())


def test_data_directory_is_unknown_to_who_may_not_ask(connection: sa.Connection) -> None:
    connection.execute(sa.text("CREATE ROLE stranger"))
    connection.execute(sa.text("SET LOCAL ROLE stranger"))
    assert storage.local_data_directory(connection) is None
    connection.rollback()


def test_partitions_ahead_are_empty_days(engine: sa.Engine, connection: sa.Connection) -> None:
    usage.ensure_partitions(engine, [TODAY.date()])
    [(day, size)] = storage.partition_bytes(connection).items()
    assert day == TODAY.date()
    assert size < 100_000
