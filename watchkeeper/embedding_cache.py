"""Embeddings are asked for again and again: keep them, and ask the vendor only for what is missing.

Before it: the application has texts. After it: a store of `watchkeeper/stores` holds the vectors; `tasks/warm_cache.py`
fills the same store ahead of demand.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256

from ops.errors import InvalidValue
from watchkeeper.stores import Space, Store

_LARGEST = 65_504  # of a 16-bit float (IEEE 754 binary16)

Fetch = Callable[[list[str]], Sequence[Sequence[float]]]


@dataclass(frozen=True, slots=True)
class Stats:
    """How many texts were answered from the store, and how many were fetched; a repeat within one call is a hit."""

    hits: int = 0
    misses: int = 0


class EmbeddingCache:
    """The embeddings of one model at one size, each kept for `ttl`; `clock` returns the time with its zone."""

    def __init__(
        self, store: Store, model: str, dimensions: int, ttl: timedelta, clock: Callable[[], datetime]
    ) -> None:
        self._store = store
        self._space = Space(model, dimensions)
        self._ttl = ttl
        self._clock = clock
        self.stats = Stats()

    def embed(self, texts: Sequence[str], fetch: Fetch) -> list[list[float]]:
        """Return one vector for each text, in order; `fetch` is called once, with the distinct texts not stored.

        Vectors are rounded to 16-bit floats, fetched or stored alike, so that a text always has the same one. Whatever
        `fetch` raises passes through, and nothing is stored.

        Raises:
            InvalidValue: `fetch` returned too few or too many vectors, or one that `pack` refuses.
        """
        hashes = [text_hash(text) for text in texts]
        by_hash = dict(zip(hashes, texts, strict=True))
        vectors = self._store.get_many(self._space, list(by_hash), self._clock())
        missing = {key: text for key, text in by_hash.items() if key not in vectors}
        if missing:
            vectors |= self._fetch(missing, fetch)
        self.stats = Stats(self.stats.hits + len(texts) - len(missing), self.stats.misses + len(missing))
        return [unpack(vectors[key]) for key in hashes]

    def _fetch(self, missing: dict[str, str], fetch: Fetch) -> dict[str, bytes]:
        fetched = fetch(list(missing.values()))
        if len(fetched) != len(missing):
            raise InvalidValue("fetch", f"{len(fetched)} vectors", f"one for each of {len(missing)} texts")
        packed = [pack(vector, self._space.dimensions) for vector in fetched]
        vectors = dict(zip(missing, packed, strict=True))
        now = self._clock()
        self._store.put_many(self._space, vectors, now, now + self._ttl)
        return vectors


def text_hash(text: str) -> str:
    """Name a text as usage events do (`prompt_hash`): hexadecimal SHA-256 of its UTF-8."""
    return sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def pack(vector: Sequence[float], dimensions: int) -> bytes:
    """Write a vector as little-endian 16-bit floats: half of what float32 takes, and cosines move by less than 0.001.

    Raises:
        InvalidValue: not as many numbers as dimensions, or one that is not finite or too large.
    """
    if len(vector) != dimensions:
        raise InvalidValue("embedding", f"{len(vector)} numbers", f"of {dimensions} dimensions")
    for number in vector:
        if not abs(number) <= _LARGEST:  # also true of NaN
            raise InvalidValue("embedding", number, f"a finite number between -{_LARGEST} and {_LARGEST}")
    return struct.pack(f"<{dimensions}e", *vector)


def unpack(packed: bytes) -> list[float]:
    """Read what `pack` wrote."""
    return list(struct.unpack(f"<{len(packed) // 2}e", packed))
