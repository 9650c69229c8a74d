"""What a distributed Postgres would ask of the keys, held now, while it costs nothing."""

from __future__ import annotations

from collections import defaultdict
from datetime import date, timedelta

import pytest
import sqlalchemy as sa

from tasks.stores import usage
from tests.loaded_days import TODAY, event, write

# Rate cards are the same for all tenants: a reference table in Citus. Alembic's is one row.
SHARED = {"rate_cards", "alembic_version"}
_KEYS = """
SELECT c.relname AS table, i.relname AS key,
       array_agg(a.attname::text ORDER BY k.position) AS columns
  FROM pg_index AS x
  JOIN pg_class AS c ON c.oid = x.indrelid
  JOIN pg_class AS i ON i.oid = x.indexrelid
  JOIN unnest(x.indkey) WITH ORDINALITY AS k (number, position) ON true
  JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum = k.number
 WHERE c.relnamespace = 'watchkeeper'::regnamespace AND x.indisunique
 GROUP BY 1, 2
"""
_TABLES = """
SELECT relname FROM pg_class
 WHERE relnamespace = 'watchkeeper'::regnamespace AND relkind IN ('r', 'p') ORDER BY 1
"""
_INDEXES = """
SELECT c.relname AS table, regexp_replace(pg_get_indexdef(x.indexrelid), ' INDEX \\S+ ON (ONLY )?\\S+ ', ' ') AS index
  FROM pg_index AS x
  JOIN pg_class AS c ON c.oid = x.indrelid
 WHERE c.oid = 'watchkeeper.usage_events'::regclass
    OR c.oid IN (SELECT inhrelid FROM pg_inherits WHERE inhparent = 'watchkeeper.usage_events'::regclass)
"""
_ATTACHED = """
SELECT count(*) FROM pg_index AS x JOIN pg_inherits AS h ON h.inhrelid = x.indexrelid
 WHERE x.indrelid = CAST(:name AS regclass) AND x.indisvalid
"""


def rows(engine: sa.Engine, query: str, **values: str) -> list[sa.Row]:
    with engine.connect() as connection:
        return list(connection.execute(sa.text(query.replace("::", "\\:\\:")), values))


@pytest.fixture
def partitioned(engine: sa.Engine) -> sa.Engine:
    """A database with days made ahead and days made by a loader."""
    usage.ensure_partitions(engine, [date(2026, 3, 1), date(2026, 3, 2)])
    write(engine, [event(TODAY + timedelta(hours=hour)) for hour in range(0, 72, 8)])
    return engine


def test_every_unique_key_begins_with_the_tenant(partitioned: sa.Engine) -> None:
    keys = rows(partitioned, _KEYS)
    assert {row.key: row.columns for row in keys if row.table not in SHARED and row.columns[0] != "tenant_id"} == {}
    assert {row.table for row in keys} >= {name for (name,) in rows(partitioned, _TABLES)}  # each has one


def test_shared_tables_are_those_without_a_tenant(engine: sa.Engine) -> None:
    tenant = "SELECT table_name FROM information_schema.columns WHERE table_schema = 'watchkeeper' AND column_name = :n"
    with_tenant = {name for (name,) in rows(engine, tenant, n="tenant_id")}
    assert {name for (name,) in rows(engine, _TABLES)} - with_tenant == SHARED


def test_no_unique_key_is_of_expressions(partitioned: sa.Engine) -> None:
    """One would be missing from the keys above; Citus and partitions refuse them too."""
    query = """SELECT indexrelid::regclass::text FROM pg_index JOIN pg_class ON oid = indrelid
                WHERE relnamespace = 'watchkeeper'::regnamespace AND indisunique AND indexprs IS NOT NULL"""
    assert rows(partitioned, query) == []


def test_no_foreign_key_leads_to_or_from_anything(partitioned: sa.Engine) -> None:
    query = "SELECT conname FROM pg_constraint WHERE contype = 'f' AND connamespace = 'watchkeeper'::regnamespace"
    assert rows(partitioned, query) == []


def test_key_of_the_events_holds_the_time_that_they_are_partitioned_by(partitioned: sa.Engine) -> None:
    keys = {row.table: row.columns for row in rows(partitioned, _KEYS)}
    events = {name for name in keys if name.startswith("usage_events")}
    assert len(events) == 1 + 2 + 3  # the parent, the days ahead, the loader's
    assert {tuple(keys[name]) for name in events} == {("tenant_id", "event_id", "occurred_at")}


def test_every_partition_has_the_same_indexes(partitioned: sa.Engine) -> None:
    found: dict[str, set[str]] = defaultdict(set)
    for row in rows(partitioned, _INDEXES):
        found[row.table].add(row.index)
    parent = found.pop("usage_events")
    assert parent == {
        "CREATE UNIQUE USING btree (tenant_id, event_id, occurred_at)",
        "CREATE USING brin (occurred_at) WITH (pages_per_range='16')",
    }
    assert len(found) == 2 + 3
    assert all(indexes == parent for indexes in found.values()), found


def test_every_index_of_a_partition_belongs_to_one_of_the_parent(partitioned: sa.Engine) -> None:
    for name in ("usage_events_20260301", "usage_events_20260305"):
        [(attached,)] = rows(partitioned, _ATTACHED, name=f"watchkeeper.{name}")
        assert attached == 2


def test_there_is_no_default_partition(partitioned: sa.Engine) -> None:
    [(default,)] = rows(partitioned, "SELECT partdefid::bigint FROM pg_partitioned_table "
                                     "WHERE partrelid = 'watchkeeper.usage_events'::regclass")  # fmt: skip
    assert default == 0


def test_same_event_of_two_tenants_is_two_events(engine: sa.Engine) -> None:
    same = event(TODAY, event_id="same")
    assert [write(engine, [same], tenant).inserted for tenant in ("a", "b", "a")] == [1, 1, 0]
