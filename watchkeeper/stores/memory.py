"""Vectors within one process: for tests, scripts and single-process services."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection, Mapping
from datetime import datetime
from threading import Lock

from watchkeeper.stores import Space


class MemoryStore:
    """Holds at most `max_entries` vectors; the least recently used goes first. Safe among threads."""

    def __init__(self, max_entries: int = 100_000) -> None:
        self._max_entries = max_entries
        self._entries: OrderedDict[tuple[Space, str], tuple[bytes, datetime]] = OrderedDict()
        self._lock = Lock()

    def get_many(self, space: Space, hashes: Collection[str], now: datetime) -> dict[str, bytes]:
        """Return the vectors that are there."""
        with self._lock:
            found = self._live(space, hashes, now)
            for key in found:
                self._entries.move_to_end((space, key))
        return found

    def put_many(
        self,
        space: Space,
        vectors: Mapping[str, bytes],
        now: datetime,  # noqa: ARG002  the interface of stores that record it
        expires_at: datetime,
        *,
        warmed: bool = False,  # noqa: ARG002
    ) -> None:
        """Keep the vectors, in place of older ones."""
        with self._lock:
            for key, vector in vectors.items():
                self._entries[space, key] = (vector, expires_at)
                self._entries.move_to_end((space, key))
            while len(self._entries) > self._max_entries:
                self._entries.popitem(last=False)

    def contains_many(self, space: Space, hashes: Collection[str], now: datetime) -> set[str]:
        """Return the hashes whose vectors are there; asking so is no use."""
        with self._lock:
            return set(self._live(space, hashes, now))

    def _live(self, space: Space, hashes: Collection[str], now: datetime) -> dict[str, bytes]:
        entries = ((key, self._entries.get((space, key))) for key in hashes)
        return {key: entry[0] for key, entry in entries if entry and now < entry[1]}
