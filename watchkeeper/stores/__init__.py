"""Where cached vectors are kept: one file per kind, one registry. To add one: a file and a line in `STORES`.

Before it: `watchkeeper/embedding_cache.py` packs vectors. A kind is imported when it is opened, so that the base
install needs no database driver.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime
from pkgutil import resolve_name
from typing import Any, NamedTuple, Protocol, cast

from ops.errors import UnknownName

STORES: Mapping[str, str] = {
    "memory": "watchkeeper.stores.memory:MemoryStore",
    "postgres": "watchkeeper.stores.postgres:PostgresStore",
}


class Space(NamedTuple):
    """An embedding space: vectors of another model or size cannot be compared, so they are other entries."""

    model: str
    dimensions: int


class Store(Protocol):
    """Keeps packed vectors by space and text hash; from `expires_at` on an entry is a miss."""

    def get_many(self, space: Space, hashes: Collection[str], now: datetime) -> dict[str, bytes]:
        """Return the vectors that are there."""
        ...

    def put_many(
        self,
        space: Space,
        vectors: Mapping[str, bytes],
        now: datetime,
        expires_at: datetime,
        *,
        warmed: bool = False,
    ) -> None:
        """Keep the vectors, in place of older ones; `warmed` tells what was computed ahead of demand."""
        ...

    def contains_many(self, space: Space, hashes: Collection[str], now: datetime) -> set[str]:
        """Return the hashes whose vectors are there."""
        ...


def open_store(name: str, **options: Any) -> Store:
    """Open a store by its name; `options` are those of its class.

    Raises:
        UnknownName: naming the known ones.
    """
    if name not in STORES:
        raise UnknownName("store", name, STORES)
    return cast("Store", resolve_name(STORES[name])(**options))
