"""Keys differ whenever the answer could; nothing partial, failed or random is kept."""

from __future__ import annotations

import json
import random
from datetime import timedelta
from hashlib import sha256
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ops.errors import InvalidValue
from ops.scaling.cache_policy import (
    NEVER_IN_ANSWER,
    cache_key,
    is_cacheable,
    is_storable,
    should_refresh_early,
    ttl_with_jitter,
)

HOUR = timedelta(hours=1)
BODY: dict[str, object] = {
    "model": "gpt-4o-mini",
    "messages": [{"role": "user", "content": "Grüße 你好"}],
    "temperature": 0,
}


def key(body: dict[str, object] | None = None, **fields: Any) -> str:
    usual: dict[str, Any] = {"tenant": "acme", "prompt_version": "v1", "generation": 1}
    return cache_key(BODY if body is None else body, **(usual | fields))


def test_cache_key_is_the_sha256_of_canonical_json() -> None:
    text = '["acme","v1",1,{"a":[1,2.5,null],"b":"\\u00fc"}]'
    assert key({"b": "ü", "a": [1, 2.5, None]}) == sha256(text.encode()).hexdigest()


CHANGES = {
    "tenant": key(tenant="other"),
    "prompt version": key(prompt_version="v2"),
    "unknown prompt version": key(prompt_version=None),
    "generation": key(generation=2),
    "model": key(BODY | {"model": "gpt-4o"}),
    "parameter that nobody listed": key(BODY | {"verbosity": "low"}),
    "order of messages": key(BODY | {"messages": [{"role": "user", "content": "你好 Grüße"}]}),
}


@pytest.mark.parametrize("changed", CHANGES.values(), ids=[f"another {change}" for change in CHANGES])
def test_cache_key_changes_with(changed: str) -> None:
    assert changed != key()


@pytest.mark.parametrize("field", sorted(NEVER_IN_ANSWER))
def test_cache_key_ignores_what_never_reaches_the_answer(field: str) -> None:
    assert key(BODY | {field: "x"}) == key()


def test_cache_key_takes_another_deny_list() -> None:
    assert key(BODY | {"seed": 7}, deny={"seed"}) == key()
    assert key(BODY | {"user": "u"}, deny={"seed"}) != key()


@pytest.mark.parametrize(
    "value", [b"bytes", {1, 2}, float("nan"), object()], ids=["bytes", "a set", "NaN", "an object"]
)
def test_cache_key_refuses(value: object) -> None:
    with pytest.raises(InvalidValue, match="body"):
        key({"input": value})


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@settings(deadline=None)
@given(body=st.dictionaries(st.text(), JSON, max_size=5), seed=st.randoms(use_true_random=False))
def test_cache_key_ignores_the_order_of_fields(body: dict[str, object], seed: random.Random) -> None:
    fields = list(body.items())
    seed.shuffle(fields)
    assert key(dict(fields)) == key(body) == key(json.loads(json.dumps(body)))


CACHEABLE = {
    "temperature 0": ({"temperature": 0}, False, True),
    "temperature 0.0": ({"temperature": 0.0}, False, True),
    "an omitted temperature means 1": ({}, False, False),
    "a null temperature": ({"temperature": None}, False, False),
    "a little temperature": ({"temperature": 0.1}, False, False),
    "false is not a temperature": ({"temperature": False}, False, False),
    "text is not a temperature": ({"temperature": "0"}, False, False),
    "an opt-in at any temperature": ({"temperature": 1}, True, True),
}


@pytest.mark.parametrize(("params", "opt_in", "expected"), CACHEABLE.values(), ids=CACHEABLE)
def test_is_cacheable(params: dict[str, object], opt_in: bool, expected: bool) -> None:
    assert is_cacheable(params, opt_in=opt_in) is expected


STORABLE = {
    "a finished answer": ("stop", False, True),
    "a finished answer in capitals": ("STOP", False, True),
    "a finished turn": ("end_turn", False, True),
    "a tool call": ("tool_calls", False, True),
    "a truncated answer": ("length", False, False),
    "a truncated turn": ("max_tokens", False, False),
    "a filtered answer": ("content_filter", False, False),
    "a stream that broke off": (None, False, False),
    "an error": ("stop", True, False),
}


@pytest.mark.parametrize(("finish_reason", "failed", "expected"), STORABLE.values(), ids=STORABLE)
def test_is_storable(finish_reason: str | None, failed: bool, expected: bool) -> None:
    assert is_storable(finish_reason, failed=failed) is expected


@settings(deadline=None)
@given(text=st.text())
def test_ttl_with_jitter_stays_within_a_tenth_and_never_changes(text: str) -> None:
    assert 0.9 * HOUR <= ttl_with_jitter(HOUR, text) == ttl_with_jitter(HOUR, text) <= 1.1 * HOUR


def test_ttl_with_jitter_spreads_keys_evenly() -> None:
    ttls = [ttl_with_jitter(HOUR, str(index)) / HOUR for index in range(1_000)]
    assert sum(ttls) / 1_000 == pytest.approx(1, abs=0.01)
    assert sum(ttl < 0.95 for ttl in ttls) == pytest.approx(250, abs=60)


@pytest.mark.parametrize(("minutes", "due"), [(0, False), (40, False), (40.2, True), (60, True)])
def test_should_refresh_early_from_two_thirds(minutes: float, due: bool) -> None:
    assert should_refresh_early(timedelta(minutes=minutes), HOUR) is due


def test_ttl_with_jitter_reaches_for_a_tenth_either_way() -> None:
    ttls = [ttl_with_jitter(HOUR, str(index)) / HOUR for index in range(1_000)]
    # of a thousand even draws the smallest lies a thousandth of the span from its end, or about that
    assert 0.9 <= min(ttls) < 0.902
    assert 1.098 < max(ttls) <= 1.1


@pytest.mark.parametrize("key", ["a", "b", ""])
def test_ttl_with_jitter_scales_with_the_time_to_live(key: str) -> None:
    assert ttl_with_jitter(24 * HOUR, key) / ttl_with_jitter(HOUR, key) == pytest.approx(24)


def test_nothing_is_opted_in_and_nothing_has_failed_unless_told() -> None:
    assert is_cacheable({"temperature": 1}) is False
    assert is_storable("stop") is True


@pytest.mark.parametrize("temperature", [True, 1, 2.0, -0.5, [0], "zero"])
def test_is_cacheable_at_no_other_temperature(temperature: object) -> None:
    assert is_cacheable({"temperature": temperature}) is False
