"""Which of several workers takes what: every name belongs to exactly one shard, on every machine and in every run."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import Self

from ops.errors import InvalidValue

_WRITTEN = re.compile(r"([1-9]\d{0,3})/([1-9]\d{0,3})")


@dataclass(frozen=True, slots=True)
class Shard:
    """One of `of` shards, counted from 1."""

    number: int
    of: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `1/4`, the first of four.

        Raises:
            InvalidValue: nothing of this kind.
        """
        match = _WRITTEN.fullmatch(text)
        if not match or int(match[1]) > int(match[2]):
            raise InvalidValue("shard", text, "such as 1/4: the first of four")
        return cls(int(match[1]), int(match[2]))

    def holds(self, name: str) -> bool:
        """Whether a name belongs here."""
        digest = hashlib.blake2b(name.encode(), digest_size=8).digest()
        return int.from_bytes(digest) % self.of == self.number - 1
