from __future__ import annotations

import threading

import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from tasks.stores import schema, tables


def test_schema_upgrade_reaches_the_head_and_is_idempotent(engine: sa.Engine) -> None:
    assert schema.current(engine) == schema.head()
    assert schema.upgrade(engine) == schema.head()


def test_schema_of_a_new_database_is_not_there_yet(server_url: str) -> None:
    engine = sa.create_engine(server_url)
    assert schema.current(engine) is None
    engine.dispose()


def test_schema_upgrade_from_two_sides_at_once_is_applied_once(engine: sa.Engine) -> None:
    with engine.begin() as connection:
        connection.execute(sa.text("DROP SCHEMA watchkeeper CASCADE"))
    reached: list[str] = []
    threads = [threading.Thread(target=lambda: reached.append(schema.upgrade(engine))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert reached == [schema.head()] * 2
    with engine.connect() as connection:
        assert connection.execute(sa.text("SELECT count(*) FROM watchkeeper.alembic_version")).scalar() == 1


def test_tables_in_code_equal_the_tables_that_the_migrations_make(engine: sa.Engine) -> None:
    def ours(obj: object, name: str | None, kind: str, reflected: bool, compare_to: object) -> bool:
        return kind in {"table", "column"} and name != "alembic_version" and not str(name).startswith("usage_events_")

    options = {"include_schemas": True, "include_object": ours, "include_name": _our_schema, "compare_type": True}
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts=options)
        assert compare_metadata(context, tables.metadata) == []


def _our_schema(name: str | None, kind: str, parents: object) -> bool:
    return kind != "schema" or name == "watchkeeper"
