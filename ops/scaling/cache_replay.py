"""What a cache would have answered: a log played again, in its order of time, through a cache of a size and a TTL.

Before it: `tasks/stores/savings.py` streams the calls of a day. After it: `ops/cost/levers.py` counts what those cost.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from datetime import datetime, timedelta

from ops.errors import InvalidValue


class Replay:
    """A cache without contents: least recently used keys go first, and an entry serves for `ttl` from its making.

    Calls that overlap count as hits, as a cache with single flight serves them.
    """

    def __init__(self, ttl: timedelta, capacity: int) -> None:
        if capacity < 1:
            raise InvalidValue("capacity", capacity, "at least one entry")
        self._ttl, self._capacity = ttl, capacity
        self._expires: OrderedDict[Hashable, datetime] = OrderedDict()

    def asks(self, key: Hashable, at: datetime, *, storable: bool = True) -> bool:
        """Say whether the cache answers a call, and keep the vendor's answer if it does not.

        Never before an earlier call; an answer that is not storable (an error) is not kept.
        """
        entries = self._expires
        expires = entries.get(key)
        if expires is not None and at < expires:
            entries.move_to_end(key)
            return True
        if storable:
            entries[key] = at + self._ttl
            entries.move_to_end(key)
            if len(entries) > self._capacity:
                entries.popitem(last=False)
        return False

    def __len__(self) -> int:
        return len(self._expires)
