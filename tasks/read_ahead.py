"""Prepare the next item of a loop while the present one is worked on: parsing waits for no database, and the reverse.

Used by `tasks/load_file.py`: most of a block's COPY is waiting for Postgres, which a thread can use.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")
_HAND_OVER_S = 0.0001  # COPY sends in small pieces, and would wait 5 ms for the interpreter behind each of them


def read_ahead(items: Iterator[T]) -> Iterator[T]:
    """Yield the items, none of which is None, in order; the next is made in a thread, and raises in its turn."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(_HAND_OVER_S)
    try:
        with ThreadPoolExecutor(1, thread_name_prefix="read-ahead") as thread:
            following = thread.submit(next, items, None)
            while (item := following.result()) is not None:
                following = thread.submit(next, items, None)
                yield item
    finally:
        sys.setswitchinterval(before)
