from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime, timedelta

import psycopg
import pytest
from psycopg.rows import dict_row

from ops.errors import UnknownName
from watchkeeper.stores import STORES, Space, open_store
from watchkeeper.stores.memory import MemoryStore
from watchkeeper.stores.postgres import PostgresStore

NOW = datetime(2026, 3, 5, 12, tzinfo=UTC)
LATER = NOW + timedelta(hours=1)
SPACE = Space("small", 2)
A, B = b"\x00<\x00<", b"\x00\xbc\x00<"


@pytest.fixture
def plain_url(database_url):
    return database_url.replace("+psycopg", "", 1)


@pytest.fixture
def connection(plain_url):
    with psycopg.connect(plain_url, autocommit=True) as connection:
        yield connection


@pytest.fixture(params=sorted(STORES))
def store(request):
    if request.param == "memory":
        return open_store("memory")
    return open_store("postgres", connection=request.getfixturevalue("connection"), tenant="acme")


def test_store_returns_what_was_put_and_nothing_else(store):
    store.put_many(SPACE, {"a": A, "b": B}, NOW, LATER)
    assert store.get_many(SPACE, ["b", "missing", "a"], NOW) == {"a": A, "b": B}
    assert store.contains_many(SPACE, ["b", "missing"], NOW) == {"b"}


def test_store_takes_empty_calls(store):
    store.put_many(SPACE, {}, NOW, LATER)
    assert store.get_many(SPACE, [], NOW) == {}
    assert store.contains_many(SPACE, [], NOW) == set()


@pytest.mark.parametrize(
    ("after", "there"),
    [(timedelta(minutes=59), {"a"}), (timedelta(hours=1), set()), (timedelta(hours=2), set())],
    ids=["there before it expires", "gone at the moment it expires", "gone afterwards"],
)
def test_store_entry_expires(store, after, there):
    store.put_many(SPACE, {"a": A}, NOW, LATER)
    assert store.contains_many(SPACE, ["a"], NOW + after) == there
    assert set(store.get_many(SPACE, ["a"], NOW + after)) == there


def test_store_put_replaces_an_expired_entry(store):
    store.put_many(SPACE, {"a": A}, NOW, LATER)
    store.put_many(SPACE, {"a": B}, LATER, LATER + timedelta(hours=1))
    assert store.get_many(SPACE, ["a"], LATER) == {"a": B}


@pytest.mark.parametrize("other", [Space("large", 2), Space("small", 3)], ids=["another model", "other dimensions"])
def test_store_keeps_spaces_apart(store, other):
    store.put_many(SPACE, {"a": A}, NOW, LATER)
    assert store.get_many(other, ["a"], NOW) == {}


def test_memory_store_drops_the_least_recently_used():
    store = MemoryStore(max_entries=2)
    store.put_many(SPACE, {"a": A, "b": B}, NOW, LATER)
    store.get_many(SPACE, ["a"], NOW)
    store.contains_many(SPACE, ["b"], NOW)  # asking whether it is there is no use
    store.put_many(SPACE, {"c": A}, NOW, LATER)
    assert store.contains_many(SPACE, ["a", "b", "c"], NOW) == {"a", "c"}


def test_postgres_store_keeps_tenants_apart(connection):
    PostgresStore(connection, "acme").put_many(SPACE, {"a": A}, NOW, LATER)
    assert PostgresStore(connection, "rival").get_many(SPACE, ["a"], NOW) == {}


def test_postgres_store_records_what_was_warmed(connection):
    store = PostgresStore(connection, "acme")
    store.put_many(SPACE, {"a": A}, NOW, LATER, warmed=True)
    store.put_many(SPACE, {"b": A}, NOW, LATER)
    rows = connection.execute(
        "SELECT text_hash, warmed, created_at, expires_at FROM watchkeeper.embedding_cache ORDER BY 1"
    ).fetchall()
    assert rows == [("a", True, NOW, LATER), ("b", False, NOW, LATER)]


def test_postgres_store_commits_by_itself_on_a_plain_connection(plain_url, connection):
    with psycopg.connect(plain_url, row_factory=dict_row) as plain:
        store = PostgresStore(plain, "acme")
        store.put_many(SPACE, {"a": A}, NOW, LATER)
        assert store.get_many(SPACE, ["a"], NOW) == {"a": A}
        assert plain.info.transaction_status == psycopg.pq.TransactionStatus.IDLE
        assert PostgresStore(connection, "acme").contains_many(SPACE, ["a"], NOW) == {"a"}


def test_postgres_store_is_part_of_the_callers_transaction(plain_url, connection):
    with psycopg.connect(plain_url) as plain:
        with plain.transaction(force_rollback=True):
            PostgresStore(plain, "acme").put_many(SPACE, {"a": A}, NOW, LATER)
        assert PostgresStore(connection, "acme").contains_many(SPACE, ["a"], NOW) == set()


def test_open_store_lists_the_known_names():
    with pytest.raises(UnknownName, match="store: 'redis' is not one of memory, postgres"):
        open_store("redis")


def test_library_imports_without_a_database_driver():
    script = "import sys, watchkeeper; watchkeeper.open_store('memory'); print(sorted(sys.modules))"
    loaded = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    assert "watchkeeper.stores.memory" in loaded
    assert "'psycopg'" not in loaded
    assert "'sqlalchemy'" not in loaded
