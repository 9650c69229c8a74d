from __future__ import annotations

import doctest
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from math import inf, nan, sqrt

import pytest
from hypothesis import given
from hypothesis import strategies as st

import watchkeeper
from ops.errors import InvalidValue
from watchkeeper import EmbeddingCache, Stats
from watchkeeper.embedding_cache import pack, text_hash, unpack
from watchkeeper.stores.memory import MemoryStore

TTL = timedelta(hours=1)


class Clock:
    def __init__(self) -> None:
        self.now = datetime(2026, 3, 5, 12, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now


class Vendor:
    """Embeds a text as (its length, 1) and remembers what it was asked for."""

    def __init__(self) -> None:
        self.asked: list[list[str]] = []

    def __call__(self, texts: list[str]) -> list[list[float]]:
        self.asked.append(texts)
        return [[float(len(text)), 1.0] for text in texts]


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def vendor():
    return Vendor()


@pytest.fixture
def cache(clock):
    return EmbeddingCache(MemoryStore(), "small", 2, TTL, clock)


def test_cache_asks_only_for_the_distinct_misses_and_restores_the_order(cache, vendor):
    cache.embed(["bb"], vendor)
    assert cache.embed(["ccc", "bb", "a", "ccc"], vendor) == [[3, 1], [2, 1], [1, 1], [3, 1]]
    assert vendor.asked == [["bb"], ["ccc", "a"]]
    assert cache.stats == Stats(hits=2, misses=1 + 2)


def test_cache_with_every_text_stored_does_not_ask(cache, vendor):
    cache.embed(["a", "bb"], vendor)
    cache.embed(["bb", "a"], vendor)
    assert vendor.asked == [["a", "bb"]]


def test_cache_of_no_texts_does_nothing(cache, vendor):
    assert cache.embed([], vendor) == []
    assert vendor.asked == []


def test_cache_asks_again_when_an_entry_expired(cache, vendor, clock):
    cache.embed(["a"], vendor)
    clock.now += TTL
    cache.embed(["a"], vendor)
    assert vendor.asked == [["a"], ["a"]]


def test_cache_entry_lives_from_the_answer_on(cache, vendor, clock):
    def slow(texts):
        clock.now += TTL
        return vendor(texts)

    cache.embed(["a"], slow)
    cache.embed(["a"], slow)
    assert vendor.asked == [["a"]]


def test_cache_keeps_nothing_of_a_call_that_raised(cache, vendor):
    def fail(texts):
        raise TimeoutError

    with pytest.raises(TimeoutError):
        cache.embed(["a"], fail)
    assert cache.stats == Stats()
    cache.embed(["a"], vendor)
    assert vendor.asked == [["a"]]


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ([], "fetch: '0 vectors' is not one for each of 2 texts"),
        ([[1, 2], [1, 2], [1, 2]], "fetch: '3 vectors' is not one for each of 2 texts"),
        ([[1, 2], [1]], "embedding: '1 numbers' is not of 2 dimensions"),
        ([[1, 2], [1, nan]], "embedding: nan is not a finite number"),
        ([[1, 2], [-inf, 1]], "embedding: -inf is not a finite number"),
        ([[1, 2], [1, 65_505]], "embedding: 65505 is not a finite number between -65504 and 65504"),
    ],
    ids=["no vectors", "a vector too many", "a short vector", "not a number", "infinite", "beyond 16 bits"],
)
def test_cache_refuses_and_keeps_nothing_of_a_wrong_answer(cache, vendor, answer, message):
    with pytest.raises(InvalidValue, match=message):
        cache.embed(["a", "bb"], lambda _texts: answer)
    cache.embed(["a", "bb"], vendor)
    assert vendor.asked == [["a", "bb"]]


def test_cache_returns_the_same_vector_fetched_and_stored(cache):
    fetched = cache.embed(["a"], lambda _texts: [[0.1, 1 / 3]])
    stored = cache.embed(["a"], lambda _texts: [])
    assert fetched == stored
    assert fetched[0] == pytest.approx([0.1, 1 / 3], rel=2**-11)  # half of the last of 11 significant bits


@given(
    st.lists(st.sampled_from(["a", "bb", "ccc", "dddd", "eeeee"])),
    st.lists(st.sampled_from(["a", "bb", "ccc", "dddd", "eeeee"])),
)
def test_cache_answers_as_the_vendor_would_whatever_is_stored(first, then):
    cache, vendor = EmbeddingCache(MemoryStore(max_entries=3), "small", 2, TTL, Clock()), Vendor()
    for texts in (first, then):
        assert cache.embed(texts, vendor) == [[len(text), 1] for text in texts]
    assert cache.stats.hits + cache.stats.misses == len(first) + len(then)
    assert cache.stats.misses == sum(map(len, vendor.asked))


numbers = st.floats(min_value=-65_504, max_value=65_504)


@given(st.lists(numbers, min_size=1))
def test_pack_takes_two_bytes_a_number_and_is_exact_the_second_time(vector):
    packed = pack(vector, len(vector))
    assert len(packed) == 2 * len(vector)
    assert pack(unpack(packed), len(vector)) == packed


@given(st.lists(st.floats(-1, 1), min_size=8, max_size=64).filter(lambda v: sum(x * x for x in v) > 0.01))
def test_pack_moves_the_cosine_by_less_than_a_thousandth(vector):
    rounded = unpack(pack(vector, len(vector)))
    dot = sum(a * b for a, b in zip(vector, rounded, strict=True))
    norms = sqrt(sum(a * a for a in vector) * sum(b * b for b in rounded))
    assert dot / norms == pytest.approx(1, abs=0.001)


@pytest.mark.parametrize("text", ["tea", "Grüße", "", "\ud83d"], ids=["plain", "accents", "empty", "half an emoji"])
def test_text_hash_is_sha256_of_utf8(text):
    assert text_hash(text) == sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def test_library_example_runs_as_shown():
    outcome = doctest.testmod(watchkeeper)
    assert outcome.attempted > 5
    assert outcome.failed == 0
