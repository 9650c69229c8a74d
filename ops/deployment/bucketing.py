"""Who sees the canary: a key (a user, a conversation) always falls into the same bucket.

Before it: `canary.py` or a flag sets the percent. After it: the application asks `assign` in its request path. The
algorithm's id is stored with every split: a new way of hashing gets a new id, so an upgrade never moves anyone.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

from ops.errors import InvalidValue, UnknownName

BUCKETS = 10_000
SHA256_10K = "sha256/10k"


def bucket(salt: str, key: str) -> int:
    """Return a number in 0..9999: the first 8 bytes, big-endian, of SHA-256 over `salt NUL key` in UTF-8, mod 10,000.

    Every salt orders the keys anew, so that two splits of 50 % share a quarter of all keys, not all or none.
    """
    digest = hashlib.sha256(f"{salt}\0{key}".encode("utf-8", "surrogatepass")).digest()
    return int.from_bytes(digest[:8], "big") % BUCKETS


_ALGORITHMS: dict[str, Callable[[str, str], int]] = {SHA256_10K: bucket}


@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """How a service's traffic is divided; without a canary release all of it is the control's."""

    service: str
    control_release: str
    canary_release: str | None = None
    canary_percent: float = 0  # in hundredths of a percent at the finest
    salt: str = ""
    algorithm: str = SHA256_10K

    def __post_init__(self) -> None:
        if not 0 <= self.canary_percent <= 100:
            raise InvalidValue("split.canary_percent", self.canary_percent, "between 0 and 100")
        if self.canary_release is None and self.canary_percent:
            raise InvalidValue("split.canary_percent", self.canary_percent, "0, as there is no canary release")
        if self.algorithm not in _ALGORITHMS:
            raise UnknownName("split.algorithm", self.algorithm, _ALGORITHMS)


def assign(split: Split, key: str) -> str:
    """Return the release that `key` sees: the canary when its bucket is below the percent, so growth moves no one out.

    `key` should be what must not change release halfway: a user, or a conversation.
    """
    if split.canary_release is None:
        return split.control_release
    is_canary = _ALGORITHMS[split.algorithm](split.salt, key) < round(split.canary_percent * BUCKETS / 100)
    return split.canary_release if is_canary else split.control_release
