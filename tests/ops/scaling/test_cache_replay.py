from __future__ import annotations

import gzip
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ops.errors import InvalidValue
from ops.scaling.cache_replay import Replay

START = datetime(2026, 3, 5, tzinfo=UTC)
HOUR = timedelta(hours=1)
FOREVER = timedelta(days=3650)


def hits(keys: str, replay: Replay, step: timedelta = timedelta(0)) -> str:
    """Ask for a key every `step`; a digit for each call: 1 is a hit."""
    return "".join(str(int(replay.asks(key, START + number * step))) for number, key in enumerate(keys))


def test_second_call_of_a_key_is_a_hit() -> None:
    assert hits("abab", Replay(HOUR, 10)) == "0011"


def test_entry_serves_for_its_time_to_live_from_its_making() -> None:
    # Made at 0:00, it serves at 0:30 and not at 1:00, where it is made again and serves at 1:30.
    assert hits("aaaa", Replay(HOUR, 10), step=HOUR / 2) == "0101"


def test_least_recently_used_key_goes_first() -> None:
    # In two places: a, b; a is used; c drives out b, b drives out a.
    assert hits("abacba", Replay(HOUR, 2)) == "001000"


def test_expired_entry_that_is_made_again_is_the_most_recent() -> None:
    replay = Replay(HOUR, 2)
    for key, at in (("a", 0), ("b", 1), ("a", 2)):
        assert not replay.asks(key, START + at * HOUR)
    replay.asks("c", START + 2 * HOUR)
    assert replay.asks("a", START + 2 * HOUR)


def test_error_is_not_kept_but_is_answered_where_the_cache_can() -> None:
    replay = Replay(HOUR, 10)
    assert not replay.asks("a", START, storable=False)
    assert not replay.asks("a", START)
    assert replay.asks("a", START, storable=False)


def test_cache_without_a_place_is_refused() -> None:
    with pytest.raises(InvalidValue, match="capacity: 0 is not at least one entry"):
        Replay(HOUR, 0)


@given(st.text("abcdef", max_size=60), st.integers(1, 4))
def test_cache_keeps_to_its_size_and_a_larger_one_answers_no_less(keys: str, capacity: int) -> None:
    small, large = Replay(HOUR, capacity), Replay(HOUR, capacity + 1)
    few, more = hits(keys, small), hits(keys, large)
    assert len(small) <= capacity
    assert all(one <= other for one, other in zip(few, more, strict=True))  # LRU is a stack algorithm


def test_real_conversations_repeat_as_often_as_counting_says(shared_data: Path) -> None:
    """The file is the first half hour of the trace: 41 of 5,606 prompts repeat (0.98 % over the whole hour), and 34.7 %
    of the tokens stand in prefixes seen before (37.4 %); within 60, 300 and 600 s of their making 9, 25 and 30 %.
    """
    with gzip.open(shared_data / "mooncake_conversation.jsonl.gz") as file:
        rows = [json.loads(line) for line in file]
    whole = Replay(FOREVER, len(rows))
    assert sum(whole.asks(tuple(row["hash_ids"]), START) for row in rows) == 41
    shares = {ttl: round(prefix_share(rows, ttl), 3) for ttl in (60, 300, 600, 1800)}
    assert shares == {60: 0.09, 300: 0.248, 600: 0.302, 1800: 0.347}


def prefix_share(rows: list[dict], ttl: int) -> float:
    """Play the blocks of every prompt; a block is a hit when all before it were (its id says what stands before)."""
    cache, cached, whole = Replay(timedelta(seconds=ttl), 10**7), 0, 0
    for row in rows:
        at, left, is_prefix = START + timedelta(milliseconds=row["timestamp"]), row["input_length"], True
        whole += left
        for block in row["hash_ids"]:
            is_prefix = cache.asks(block, at) and is_prefix
            cached += min(512, left) if is_prefix else 0
            left -= 512
    return cached / whole
