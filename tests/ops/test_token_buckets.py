from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ops.token_buckets import Buckets, Tokens, settle, tokens_of_keys

NOTHING = dict.fromkeys(Tokens.__annotations__)

READINGS: dict[str, tuple[Buckets, list[int]]] = {
    "without parts there is one": (Buckets(10), [10]),
    "disjoint, or held by the plain ones": (Buckets(10, (4,)), [14, 10]),
    "a part larger than the plain ones stands beside them": (Buckets(10, (11,)), [21]),
    "one part held, the other, or both": (Buckets(10, (4, 5)), [19, 15, 14, 10]),
    "both parts together are too large to be held": (Buckets(10, (8, 9)), [27, 19, 18]),
}


@pytest.mark.parametrize(("buckets", "readings"), READINGS.values(), ids=READINGS)
def test_readings_are_the_totals_that_buckets_can_mean(buckets: Buckets, readings: list[int]) -> None:
    assert buckets.readings == readings


SETTLED: dict[str, tuple[Buckets, Buckets, int | None, tuple[int, int]]] = {
    "no total: disjoint": (Buckets(120, (30_000,)), Buckets(340), None, (30_120, 340)),
    "a total that is the disjoint sum": (Buckets(120, (30_000,)), Buckets(340), 30_460, (30_120, 340)),
    "a larger total, of searches and the like": (Buckets(120, (30_000,)), Buckets(340), 30_463, (30_120, 340)),
    "a total whose input holds the cache": (Buckets(117_231, (115_584,)), Buckets(225), 117_456, (117_231, 225)),
    "a total whose input holds the writes only": (Buckets(2_120, (30_000, 2_000)), Buckets(340), 32_460, (32_120, 340)),
    "a total whose output holds its reasoning": (Buckets(100), Buckets(340, (200,)), 440, (100, 340)),
    "a total that holds both": (Buckets(500, (400,)), Buckets(340, (200,)), 840, (500, 340)),
    "no reading adds up: the smallest": (Buckets(500, (400,)), Buckets(340, (200,)), 841, (500, 340)),
    "a total of nothing: the smallest that can be": (Buckets(5, (400,)), Buckets(340, (200,)), 0, (405, 340)),
}


@pytest.mark.parametrize(("inputs", "outputs", "total", "settled"), SETTLED.values(), ids=SETTLED)
def test_settle_trusts_the_total(
    inputs: Buckets, outputs: Buckets, total: int | None, settled: tuple[int, int]
) -> None:
    assert settle(inputs, outputs, total) == settled


COUNTS = st.integers(0, 10_000)
SIDES = st.builds(Buckets, COUNTS, st.lists(COUNTS, max_size=2).map(tuple))


@given(SIDES, SIDES, st.none() | st.integers(0, 60_000))
def test_settled_tokens_hold_each_part_and_nothing_twice(inputs: Buckets, outputs: Buckets, total: int | None) -> None:
    for side, tokens in zip((inputs, outputs), settle(inputs, outputs, total), strict=True):
        assert max([side.plain, *side.parts]) <= tokens <= side.plain + sum(side.parts)


@given(SIDES, SIDES, st.data())
def test_true_total_of_any_mixture_is_kept(inputs: Buckets, outputs: Buckets, data: st.DataObject) -> None:
    told = data.draw(st.sampled_from(inputs.readings)) + data.draw(st.sampled_from(outputs.readings))
    assert sum(settle(inputs, outputs, told)) == told


KEYS: dict[str, tuple[dict[str, int], dict[str, Any]]] = {
    "nothing": ({}, {}),
    "an embedding has no output": ({"input": 9, "total": 9}, {"input_tokens": 9}),
    "a zero is known": ({"input": 0, "output": 0}, {"input_tokens": 0, "output_tokens": 0}),
    "every input is summed": (
        {"input": 100, "input_audio_tokens": 20, "input_text": 3, "output": 7},
        {"input_tokens": 123, "output_tokens": 7},
    ),
    "cached tokens under OpenAI's name": (
        {"input": 86, "input_cached_tokens": 1_920, "output": 300, "total": 2_306},
        {"input_tokens": 2_006, "cached_tokens": 1_920, "output_tokens": 300},
    ),
    "two names of the cached tokens are the same tokens": (
        {"input": 86, "input_cached_tokens": 1_920, "input_cache_read": 1_920, "output": 300},
        {"input_tokens": 2_006, "cached_tokens": 1_920, "output_tokens": 300},
    ),
    "reads and writes under Anthropic's names": (
        {"input": 120, "cache_read_input_tokens": 30_000, "cache_creation_input_tokens": 2_000, "output": 340},
        {"input_tokens": 32_120, "cached_tokens": 30_000, "cache_write_tokens": 2_000, "output_tokens": 340},
    ),
    "writes by lifetime": (
        {"input": 1, "input_cache_creation_5m": 500, "input_cache_creation_1h": 1_500, "output": 2},
        {"input_tokens": 2_001, "cache_write_tokens": 2_000, "cache_write_1h_tokens": 1_500, "output_tokens": 2},
    ),
    "writes by lifetime beside their sum are counted once": (
        {"input": 1, "input_cache_creation": 2_000, "input_cache_creation_5m": 500, "input_cache_creation_1h": 1_500},
        {"input_tokens": 2_001, "cache_write_tokens": 2_000, "cache_write_1h_tokens": 1_500},
    ),
    "writes for five minutes only": (
        {"input": 1, "ephemeral_5m_cache_creation": 0, "input_cache_creation_5m": 500},
        {"input_tokens": 501, "cache_write_tokens": 500},
    ),
    "reasoning is a part of the output": (
        {"input": 10, "output": 140, "output_reasoning_tokens": 200},
        {"input_tokens": 10, "output_tokens": 340, "reasoning_tokens": 200},
    ),
    "reasoning that the output holds already": (
        {"input": 10, "output": 340, "output_reasoning_tokens": 200, "total": 350},
        {"input_tokens": 10, "output_tokens": 340, "reasoning_tokens": 200},
    ),
    "Gemini's own names": (
        {"prompt_token_count": 100, "candidates_token_count": 20, "thoughts_token_count": 30, "total_token_count": 150},
        {"input_tokens": 100, "output_tokens": 50, "reasoning_tokens": 30},
    ),
    "what is no token of either side is passed over": ({"input": 5, "web_search": 3}, {"input_tokens": 5}),
    "input that holds the cache, as its total says": (
        {"input": 117_231, "cache_read_input_tokens": 115_584, "output": 225, "total": 117_456},
        {"input_tokens": 117_231, "cached_tokens": 115_584, "output_tokens": 225},
    ),
}


@pytest.mark.parametrize(("counts", "tokens"), KEYS.values(), ids=KEYS)
def test_keys_become_tokens(counts: dict[str, int], tokens: dict[str, Any]) -> None:
    assert tokens_of_keys(counts) == {**NOTHING, **tokens}


NAMES = st.sampled_from(sorted({name for counts, _ in KEYS.values() for name in counts}))


@given(st.dictionaries(NAMES, COUNTS))
def test_parts_never_exceed_their_totals(counts: dict[str, int]) -> None:
    tokens = {name: count or 0 for name, count in tokens_of_keys(counts).items()}
    assert max(tokens["cached_tokens"], tokens["cache_write_tokens"]) <= tokens["input_tokens"]
    assert tokens["cache_write_1h_tokens"] <= tokens["cache_write_tokens"]
    assert tokens["reasoning_tokens"] <= tokens["output_tokens"]
