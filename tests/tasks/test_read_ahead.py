from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from tasks.read_ahead import read_ahead


def test_items_come_in_their_order() -> None:
    assert list(read_ahead(iter(range(1, 100)))) == list(range(1, 100))
    assert list(read_ahead(iter(()))) == []


def test_next_item_is_made_while_the_present_one_is_worked_on() -> None:
    made = threading.Event()

    def items() -> Iterator[int]:
        yield 1
        made.set()
        yield 2

    ahead = read_ahead(items())
    assert next(ahead) == 1
    assert made.wait(10)
    assert list(ahead) == [2]


def test_error_comes_after_the_items_before_it() -> None:
    def items() -> Iterator[int]:
        yield 1
        yield 2
        raise ValueError("damaged")

    ahead = read_ahead(items())
    assert [next(ahead), next(ahead)] == [1, 2]
    with pytest.raises(ValueError, match="damaged"):
        next(ahead)


def test_reader_that_goes_away_ends_the_thread() -> None:
    before = threading.active_count()
    ahead = read_ahead(iter(range(1, 1000)))
    assert next(ahead) == 1
    ahead.close()  # type: ignore[attr-defined]  a generator
    assert threading.active_count() == before
