"""Dividing names among workers."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ops.errors import InvalidValue
from ops.shards import Shard


@pytest.mark.parametrize(("text", "shard"), [("1/1", Shard(1, 1)), ("1/4", Shard(1, 4)), ("12/12", Shard(12, 12))])
def test_shard_is_read_as_number_and_count(text: str, shard: Shard) -> None:
    assert Shard.parse(text) == shard


@pytest.mark.parametrize("text", ["", "1", "0/4", "5/4", "1/0", "-1/4", "1/4/4", " 1/4", "1/4\n", "a/b", "1/99999"])
def test_shard_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(InvalidValue, match=r"shard: .* is not such as 1/4: the first of four"):
        Shard.parse(text)


@given(st.text(st.characters(codec="utf-8")), st.integers(1, 50))
def test_name_belongs_to_exactly_one_shard(name: str, of: int) -> None:
    assert sum(Shard(number, of).holds(name) for number in range(1, of + 1)) == 1


def test_names_spread_over_the_shards_alike_everywhere() -> None:
    names = [f"source-{number}" for number in range(1000)]
    sizes = [sum(map(Shard(number, 4).holds, names)) for number in range(1, 5)]
    # 1000 / 4 = 250, give or take 4 standard deviations of sqrt(1000 * 1/4 * 3/4) = 13.7
    assert sum(sizes) == 1000
    assert all(abs(size - 250) < 55 for size in sizes)
    # blake2b's first 8 bytes of "gateway", once more: another hash would move every source to another worker.
    assert [Shard(number, 4).holds("gateway") for number in range(1, 5)].index(True) == SHARD_OF_GATEWAY


SHARD_OF_GATEWAY = int.from_bytes(bytes.fromhex("819271823cb6dbd6")) % 4
