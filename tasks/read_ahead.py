"""Prepare the next item of a loop while the present one is worked on: parsing waits for no database, and the reverse.

Used by `tasks/load_file.py`: most of a block's COPY is waiting for Postgres, which a thread can use.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")


def read_ahead(items: Iterator[T]) -> Iterator[T]:
    """Yield the items, none of which is None, in order; the next is made in a thread, and raises in its turn."""
    with ThreadPoolExecutor(1, thread_name_prefix="read-ahead") as thread:
        following = thread.submit(next, items, None)
        while (item := following.result()) is not None:
            following = thread.submit(next, items, None)
            yield item
