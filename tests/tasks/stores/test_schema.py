from __future__ import annotations

import threading
from itertools import pairwise
from typing import Any

import sqlalchemy as sa
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from tasks.stores import schema, tables


def test_schema_upgrade_reaches_the_head_and_is_idempotent(engine: sa.Engine) -> None:
    assert schema.current(engine) == schema.head()
    assert schema.upgrade(engine) == schema.head()


def test_head_is_that_of_alembic() -> None:
    assert schema.head() == ScriptDirectory.from_config(schema.alembic_config()).get_current_head()


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


def test_each_migration_can_be_taken_back_and_applied_again(engine: sa.Engine) -> None:
    config = schema.alembic_config()
    newest_first = [found.revision for found in ScriptDirectory.from_config(config).walk_revisions()]
    downwards = {}
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        for revision, before in pairwise([*newest_first, "base"]):
            downwards[revision] = _catalogue(connection)
            command.downgrade(config, before)
        assert {named for _, named, *_ in _catalogue(connection)} == {"watchkeeper.alembic_version"}
        for revision in reversed(newest_first):
            command.upgrade(config, revision)
            assert _catalogue(connection) == downwards[revision]


def test_open_alerts_about_vendors_change_their_rule_with_the_schema(engine: sa.Engine) -> None:
    config = schema.alembic_config()
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.downgrade(config, "0005")
        for key, state in (("vendor:openai", "firing"), ("vendor:google", "resolved"), ("assistant", "firing")):
            connection.execute(sa.text(
                "INSERT INTO watchkeeper.alerts VALUES ('t', :key, 'availability', :key, 'critical', :state, now(),"
                " now(), NULL, 1, '{}')"), {"key": key, "state": state})  # fmt: skip
        rules = {"assistant": "availability", "vendor:google": "availability", "vendor:openai": "availability"}
        command.upgrade(config, "head")
        assert _rules(connection) == {**rules, "vendor:openai": "vendor"}
        command.downgrade(config, "0005")
        assert _rules(connection) == rules
        command.upgrade(config, "head")


def _rules(connection: sa.Connection) -> dict[str, str]:
    return {row.key: row.rule for row in connection.execute(sa.text("SELECT key, rule FROM watchkeeper.alerts"))}


_PIN = """
INSERT INTO watchkeeper.quality_baselines (tenant_id, metric, mean, sigma, n, accepted_at, reason)
VALUES ('default', 'thumb', .9, .3, 200, '2026-03-05', 'first 7 days of scores'),
       ('default', 'judge', .8, .2, 300, '2026-03-05', 'by hand')
"""
_ANEW = """
INSERT INTO watchkeeper.quality_baselines (tenant_id, metric, model, mean, sigma, n, accepted_at, reason, accepted_by,
                                           starts_at, ends_at, days, day_sigma, weekdays)
VALUES ('default', 'judge', 'gpt-4o', .7, .2, 300, '2026-03-06', 'again', 'ann',
        '2026-02-20', '2026-03-06', 14, 0, '{}')
"""


def test_baselines_of_all_models_are_pinned_anew_unless_somebody_accepted_them(engine: sa.Engine) -> None:
    config = schema.alembic_config()
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.downgrade(config, "0005")
        connection.execute(sa.text(_PIN))
        command.upgrade(config, "head")
        rows = connection.execute(sa.text("SELECT metric, model, mean, days FROM watchkeeper.quality_baselines")).all()
        assert rows == [("judge", None, 0.8, 1)]
        connection.execute(sa.text(_ANEW))
        command.downgrade(config, "0005")
        rows = connection.execute(sa.text("SELECT metric, mean FROM watchkeeper.quality_baselines")).all()
        assert rows == [("judge", 0.7)]  # the newest


def test_tables_in_code_equal_the_tables_that_the_migrations_make(engine: sa.Engine) -> None:
    def ours(obj: object, name: str | None, kind: str, reflected: bool, compare_to: object) -> bool:
        return kind in {"table", "column"} and name != "alembic_version" and not str(name).startswith("usage_events_")

    options = {"include_schemas": True, "include_object": ours, "include_name": _our_schema, "compare_type": True}
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts=options)
        assert compare_metadata(context, tables.metadata) == []


_CATALOGUE = """
SELECT 'column', attrelid::regclass::text, attname::text, format_type(atttypid, atttypmod), attnotnull::text,
       pg_get_expr(adbin, adrelid)
  FROM pg_attribute JOIN pg_class ON pg_class.oid = attrelid
       LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
 WHERE relnamespace = 'watchkeeper'::regnamespace AND relkind IN ('r', 'p') AND attnum > 0 AND NOT attisdropped
UNION ALL
SELECT 'constraint', conrelid::regclass::text, conname::text, pg_get_constraintdef(oid), NULL, NULL
  FROM pg_constraint WHERE connamespace = 'watchkeeper'::regnamespace
UNION ALL
SELECT 'index', indrelid::regclass::text, indexrelid::regclass::text, pg_get_indexdef(indexrelid), NULL, NULL
  FROM pg_index JOIN pg_class ON pg_class.oid = indrelid WHERE relnamespace = 'watchkeeper'::regnamespace
UNION ALL
SELECT 'function', oid::regprocedure::text, prosrc, NULL, NULL, NULL
  FROM pg_proc WHERE pronamespace = 'watchkeeper'::regnamespace
"""


def _catalogue(connection: sa.Connection) -> set[tuple[Any, ...]]:
    """Return every column, constraint, index and function of ours, as the database has them."""
    return {tuple(row) for row in connection.execute(sa.text(_CATALOGUE.replace("::", r"\:\:")))}


def _our_schema(name: str | None, kind: str, parents: object) -> bool:
    return kind != "schema" or name == "watchkeeper"
