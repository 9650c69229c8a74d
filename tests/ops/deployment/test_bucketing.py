from dataclasses import replace
from math import sqrt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ops.deployment.bucketing import BUCKETS, SHA256_10K, Split, assign, bucket
from ops.errors import InvalidValue, UnknownName

SPLIT = Split(service="answers", control_release="old", canary_release="new", salt="rollout-1")


def canaries(percent, count, salt="rollout-1"):
    split = replace(SPLIT, canary_percent=percent, salt=salt)
    return {number for number in range(count) if assign(split, f"conversation-{number}") == "new"}


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        pytest.param("user-1", 0xE5CAC582237E9A6C % 10_000, id="an ordinary key"),
        pytest.param("", 0x10722B6F674A2425 % 10_000, id="an empty key"),
        pytest.param("ü", 0xB0DF167ED6DF5BB1 % 10_000, id="a key beyond ASCII"),
    ],
)
def test_bucket_is_pinned_to_sha256sum(key, expected):
    # printf 'rollout-1\0user-1' | sha256sum: a change here re-buckets every user of every stored split
    assert bucket("rollout-1", key) == expected


@given(st.text(), st.text())
def test_bucket_is_in_range_for_any_text(salt, key):
    assert 0 <= bucket(salt, key) < BUCKETS


def test_bucket_takes_text_that_utf_8_cannot_hold():
    assert 0 <= bucket("salt", "\ud800") < BUCKETS


def test_bucket_tells_salt_and_key_apart():
    assert bucket("ab", "c") != bucket("a", "bc")


@pytest.mark.uncounted
def test_assign_never_moves_a_conversation_out_of_a_growing_canary():
    count = 100_000
    before = set()
    for percent in (5, 25, 50, 100):
        now = canaries(percent, count)
        share = percent / 100
        assert before <= now
        assert abs(len(now) - count * share) <= 3 * sqrt(count * share * (1 - share))  # three sigma of a fair draw
        before = now


def test_assign_returns_everyone_on_rollback():
    assert canaries(0, 10_000) == set()


def test_assign_draws_independently_for_each_salt():
    both = canaries(50, 10_000, "one") & canaries(50, 10_000, "two")
    assert len(both) == pytest.approx(2500, abs=3 * sqrt(10_000 * 0.25 * 0.75))


def test_assign_knows_hundredths_of_a_percent():
    assert len(canaries(0.05, 100_000)) == pytest.approx(50, abs=3 * sqrt(50))


def test_assign_compares_the_bucket_of_salt_and_key_with_the_percent():
    edge = bucket(SPLIT.salt, "user-1") / 100  # in percent
    assert assign(replace(SPLIT, canary_percent=edge), "user-1") == "old"
    assert assign(replace(SPLIT, canary_percent=edge + 0.01), "user-1") == "new"


def test_assign_without_canary_is_always_control():
    assert assign(Split(service="answers", control_release="old"), "user-1") == "old"


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        pytest.param({"canary_percent": 100.5}, "split.canary_percent", id="more than everyone"),
        pytest.param({"canary_percent": -1}, "split.canary_percent", id="less than no one"),
        pytest.param({"canary_percent": float("nan")}, "split.canary_percent", id="no number"),
        pytest.param({"canary_release": None, "canary_percent": 5}, "split.canary_percent", id="traffic to nowhere"),
    ],
)
def test_split_refuses(changes, field):
    with pytest.raises(InvalidValue) as caught:
        replace(SPLIT, **changes)
    assert caught.value.field == field


def test_split_refuses_an_unknown_algorithm_and_lists_the_known():
    with pytest.raises(UnknownName, match=f"'crc32' is not one of {SHA256_10K}"):
        replace(SPLIT, algorithm="crc32")
