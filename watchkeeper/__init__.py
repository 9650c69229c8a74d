"""The library that a GenAI application imports in its request path; the base install suffices.

A cache that asks the vendor only for the texts it does not hold:

>>> from datetime import UTC, datetime, timedelta
>>> from watchkeeper import EmbeddingCache, open_store
>>> def fetch(texts):  # your call of the vendor: one vector for each text, in order
...     print("asked for", texts)
...     return [[len(text) / 8, -0.5] for text in texts]
>>> cache = EmbeddingCache(
...     open_store("memory"), model="text-embedding-3-small", dimensions=2, ttl=timedelta(hours=24),
...     clock=lambda: datetime.now(UTC),
... )
>>> cache.embed(["tea", "coffee", "tea"], fetch)
asked for ['tea', 'coffee']
[[0.375, -0.5], [0.75, -0.5], [0.375, -0.5]]
>>> cache.embed(["milk", "tea"], fetch)
asked for ['milk']
[[0.5, -0.5], [0.375, -0.5]]
>>> cache.stats
Stats(hits=2, misses=3)

To share it among processes, and to find in it what the `warm_cache` task computed ahead of demand, give it the Postgres
of Watchkeeper: `open_store("postgres", connection=psycopg.connect(url, autocommit=True), tenant="default")`, with the
tenant, model and dimensions of Watchkeeper's settings.
"""

from __future__ import annotations

from watchkeeper.embedding_cache import EmbeddingCache, Stats
from watchkeeper.stores import open_store

__all__ = ["EmbeddingCache", "Stats", "open_store"]
