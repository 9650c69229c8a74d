"""Vectors in Watchkeeper's own Postgres: shared among processes, and warmed by `tasks/warm_cache.py`.

One statement a call, whatever the number of texts.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from contextlib import AbstractContextManager, nullcontext
from datetime import datetime
from typing import Any, LiteralString

import psycopg
from psycopg.rows import tuple_row

from watchkeeper.stores import Space

_LIVE = """
  FROM watchkeeper.embedding_cache
 WHERE tenant_id = %(tenant)s AND model = %(model)s AND dimensions = %(dimensions)s
   AND text_hash = ANY(%(hashes)s) AND expires_at > %(now)s
"""
_GET = "SELECT text_hash, vector" + _LIVE
_CONTAINS = "SELECT text_hash" + _LIVE

# In the order of the hashes, so that two writers of the same texts do not wait for each other in a circle.
_PUT = """
INSERT INTO watchkeeper.embedding_cache
       (tenant_id, model, dimensions, text_hash, vector, warmed, created_at, expires_at)
SELECT %(tenant)s, %(model)s, %(dimensions)s, text_hash, vector, %(warmed)s, %(now)s, %(expires_at)s
  FROM unnest(%(hashes)s::text[], %(vectors)s::bytea[]) AS new (text_hash, vector)
 ORDER BY text_hash
ON CONFLICT (tenant_id, model, dimensions, text_hash) DO UPDATE
   SET vector = excluded.vector, warmed = excluded.warmed,
       created_at = excluded.created_at, expires_at = excluded.expires_at
"""


class PostgresStore:
    """One tenant's vectors, over a psycopg connection that the caller opens and closes.

    Each call commits by itself, or is part of the transaction that the caller has open. In a request path open the
    connection with `autocommit=True`: it saves two round trips a call.
    """

    def __init__(self, connection: psycopg.Connection[Any], tenant: str) -> None:
        self._connection = connection
        self._tenant = tenant

    def get_many(self, space: Space, hashes: Collection[str], now: datetime) -> dict[str, bytes]:
        """Return the vectors that are there."""
        return dict(self._rows(_GET, space, {"hashes": list(hashes), "now": now}))

    def put_many(
        self,
        space: Space,
        vectors: Mapping[str, bytes],
        now: datetime,
        expires_at: datetime,
        *,
        warmed: bool = False,
    ) -> None:
        """Keep the vectors, in place of older ones."""
        values = {"hashes": list(vectors), "vectors": list(vectors.values())}
        times = {"now": now, "expires_at": expires_at, "warmed": warmed}
        with self._transaction():
            self._connection.execute(_PUT, {**self._place(space), **values, **times})

    def contains_many(self, space: Space, hashes: Collection[str], now: datetime) -> set[str]:
        """Return the hashes whose vectors are there."""
        return {key for (key,) in self._rows(_CONTAINS, space, {"hashes": list(hashes), "now": now})}

    def _rows(self, query: LiteralString, space: Space, values: dict[str, Any]) -> list[tuple[Any, ...]]:
        with self._transaction(), self._connection.cursor(binary=True, row_factory=tuple_row) as cursor:
            return cursor.execute(query, {**self._place(space), **values}).fetchall()

    def _place(self, space: Space) -> dict[str, Any]:
        return {"tenant": self._tenant, **space._asdict()}

    def _transaction(self) -> AbstractContextManager[object]:
        return nullcontext() if self._connection.autocommit else self._connection.transaction()
