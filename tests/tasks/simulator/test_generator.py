from collections import Counter
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from statistics import median

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ops.window import Window
from tasks.simulator import Scenario, Traffic, generate
from tasks.simulator.cast import question
from tasks.simulator.request import prompt_hash

MONDAY = datetime(2025, 11, 3, 9, tzinfo=UTC)
HOUR = Window(MONDAY, MONDAY + timedelta(hours=1))
BUSY = Traffic(seed=7, requests_per_hour=400)
IN_HOUR = list(generate(BUSY, HOUR))


def share(part, whole):
    return len(list(part)) / len(list(whole))


@pytest.mark.uncounted
@settings(deadline=None, max_examples=40)
@given(st.lists(st.integers(0, 3_600_000_000), max_size=4))
def test_generate_gives_the_same_requests_however_the_window_is_cut(cuts):
    times = [HOUR.start, *(MONDAY + timedelta(microseconds=cut) for cut in sorted(cuts)), HOUR.end]
    pieces = [Window(start, end) for start, end in pairwise(times)]
    assert [request for piece in pieces for request in generate(BUSY, piece)] == IN_HOUR


def test_generate_cuts_exactly_at_a_request():
    cut = IN_HOUR[100].started
    at = datetime.fromtimestamp(cut, UTC)
    assert next(generate(BUSY, Window(at, HOUR.end))).started == cut
    assert [r.started for r in generate(BUSY, Window(HOUR.start, at))][-1] < cut


def test_generate_differs_by_seed():
    other = list(generate(Traffic(seed=8, requests_per_hour=400), HOUR))
    assert {r.event_id for r in other}.isdisjoint(r.event_id for r in IN_HOUR)


def test_generate_orders_by_time_and_never_repeats_an_id(a_day):
    assert [r.started for r in a_day] == sorted(r.started for r in a_day)
    assert len({r.event_id for r in a_day}) == len(a_day)


def test_generate_yields_as_many_as_the_shape_expects(traffic, monday, a_day):
    expected = sum(traffic.per_hour(monday.start + timedelta(hours=hour)) for hour in range(24))
    # A Poisson count strays by more than four standard deviations once in 16,000 seeds; this one is fixed.
    assert abs(len(a_day) - expected) < 4 * expected**0.5


def test_generate_lets_the_head_of_the_users_lead(a_day):
    counts = [count for _, count in Counter(r.user_id for r in a_day).most_common()]
    assert sum(counts[:50]) > 0.6 * len(a_day)  # a tenth of 500 users
    assert counts[0] > 5 * counts[20]


def test_generate_keeps_each_user_in_one_team(a_day):
    assert len({(r.user_id, r.team_id) for r in a_day}) == len({r.user_id for r in a_day})


@pytest.mark.parametrize(
    ("mark", "expected", "within"),
    [
        (lambda r: r.embedding, 0.25, 0.02),
        (lambda r: r.failure is not None, 0.01, 0.004),
        (lambda r: r.feature.name == "search", 0.40, 0.02),
        (lambda r: r.rated, 0.75 * 0.10, 0.01),
        (lambda r: r.ttft_s is not None, 0.95 * (0.42 * 0.8 + 0.18 * 0.2), 0.02),
    ],
    ids=[
        "a quarter embeds",
        "one in a hundred fails",
        "search has its weight",
        "a tenth of chats is rated",
        "some stream",
    ],
)
def test_generate_mixes_requests(a_day, mark, expected, within):
    assert share(filter(mark, a_day), a_day) == pytest.approx(expected, abs=within)


def test_generate_hits_the_gateway_cache(a_day):
    embeddings, chats = [r for r in a_day if r.embedding], [r for r in a_day if not r.embedding]
    assert share((r for r in embeddings if r.cache_hit), embeddings) == pytest.approx(0.8, abs=0.02)
    assert share((r for r in chats if r.cache_hit), chats) == pytest.approx(0.05, abs=0.01)
    assert {r.cache_hit for r in embeddings} == {True, False}
    assert {r.cache_hit for r in chats} == {True, None}


def test_generate_keeps_parts_within_their_wholes(a_day):
    for r in a_day:
        assert r.cached_tokens + r.cache_write_tokens <= r.input_tokens
        assert r.reasoning_tokens <= r.output_tokens
        assert r.latency_s > 0
        assert r.ttft_s is None or r.ttft_s < r.latency_s
    assert any(r.cached_tokens for r in a_day)
    assert {r.model.vendor for r in a_day if r.cache_write_tokens} == {"anthropic"}


def test_generate_answers_cache_hits_at_once_and_fails_without_tokens(a_day):
    assert max(r.latency_s for r in a_day if r.cache_hit) < 0.05
    assert all(r.input_tokens > 0 for r in a_day if r.cache_hit)
    assert {r.input_tokens + r.output_tokens for r in a_day if r.failure} == {0}


def test_generate_obeys_the_split_of_a_service_and_asks_once_per_user():
    asked = []

    def assign(user_id):
        asked.append(user_id)
        return "v2" if user_id == "user-0" else "v1.1"

    requests = list(generate(BUSY, HOUR, {"assistant": assign}))
    for r in requests:
        expected = "v1" if r.feature.service != "assistant" else "v2" if r.user_id == "user-0" else "v1.1"
        assert r.release == expected
    assert len(asked) == len(set(asked))


def test_generate_answers_warmed_prompts_from_the_cache(monday, traffic):
    warmed = {prompt_hash(question(number)) for number in range(20)}
    collapse = [Scenario("cache-collapse", monday)]
    cold, warm = (
        [r for r in generate(traffic, monday, None, collapse, w) if r.embedding] for w in (frozenset(), warmed)
    )
    assert all(r.cache_hit for r in warm if prompt_hash(r.prompt) in warmed)
    untouched = [(a, b) for a, b in zip(cold, warm, strict=True) if prompt_hash(a.prompt) not in warmed]
    assert untouched
    assert all(a == b for a, b in untouched)
    assert sum(r.cache_hit for r in warm) > 2 * sum(r.cache_hit for r in cold)


def answered(requests):
    return [r for r in requests if not r.embedding and r.failure is None]


@pytest.mark.parametrize(
    ("feature", "input_tokens", "output_tokens"), [("chat", 1100, 220), ("summarise", 3200, 350), ("search", 700, 90)]
)
def test_generate_draws_lengths_round_the_medians_of_a_feature(a_day, feature, input_tokens, output_tokens):
    of = [r for r in answered(a_day) if r.feature.name == feature]
    assert median(r.input_tokens for r in of) == pytest.approx(input_tokens, rel=0.1)
    assert median(r.output_tokens for r in of) == pytest.approx(output_tokens, rel=0.1)


def test_generate_keeps_even_a_runaway_within_the_windows_of_the_models(a_day_of):
    spiked = answered(a_day_of("cost-spike", factor=1000))
    assert max(r.input_tokens for r in spiked) == 120_000
    assert max(r.output_tokens for r in spiked) == 16_000


def test_generate_uses_the_prompt_cache_of_half_the_long_prompts(a_day):
    long = [r for r in answered(a_day) if r.input_tokens >= 1024]
    short = [r for r in answered(a_day) if r.input_tokens < 1024]
    assert share((r for r in long if r.cached_tokens), long) == pytest.approx(0.5, abs=0.03)
    # three quarters of the prompt, in steps of 128
    assert all(r.cached_tokens in (0, int(r.input_tokens * 0.75) // 128 * 128) for r in long)
    assert not any(r.cached_tokens or r.cache_write_tokens for r in short)


def test_generate_fills_the_prompt_cache_with_a_tenth_where_the_vendor_bills_it(a_day):
    long = [r for r in answered(a_day) if r.input_tokens >= 1024 and r.model.writes_cache]
    assert share((r for r in long if r.cache_write_tokens), long) == pytest.approx(0.1, abs=0.03)
    assert not any(r.cached_tokens and r.cache_write_tokens for r in long)
    assert all(r.cache_write_tokens in (0, int(r.input_tokens * 0.75) // 128 * 128) for r in long)


def test_generate_reasons_with_the_model_that_does(a_day):
    for r in answered(a_day):
        assert r.reasoning_tokens == int(r.output_tokens * (0.4 if r.model.name == "gemini-2.5-flash" else 0))


def test_generate_streams_the_answer_after_its_first_token(a_day):
    streamed = [r for r in a_day if r.ttft_s is not None]
    for r in streamed:
        assert r.latency_s - r.ttft_s == pytest.approx(r.output_tokens / r.model.tokens_per_second)
    assert median(r.ttft_s for r in streamed) == pytest.approx(0.45, rel=0.05)


@pytest.mark.parametrize(("kind", "seconds", "within"), [("Timeout", 60, 0.3), ("RateLimitError", 0.05, 0.3)])
def test_generate_waits_for_a_failure_as_long_as_its_kind_takes(a_day, kind, seconds, within):
    waits = [r.latency_s for r in a_day if r.failure and r.failure.error_class == kind]
    assert median(waits) == pytest.approx(seconds, rel=within)


def test_generate_fails_most_often_by_timeouts_and_rate_limits(traffic, monday):
    failing = Traffic(seed=3, requests_per_hour=500, failure_share=1.0, chat_hit_share=0, embedding_hit_share=0)
    kinds = Counter(r.failure.error_class for r in generate(failing, Window(monday.start, monday.end)))
    usual = {"Timeout": 0.3, "RateLimitError": 0.3, "InternalServerError": 0.2}
    usual |= {"ContentPolicyViolationError": 0.1, "BadRequestError": 0.1}
    assert {kind: count / kinds.total() for kind, count in kinds.items()} == pytest.approx(usual, abs=0.02)


def test_generate_counts_the_tokens_of_an_embedding_by_its_text(a_day):
    for r in a_day:
        if r.embedding:
            assert r.input_tokens == (0 if r.failure else int(len(r.prompt) / 4) + 1)
            assert (r.output_tokens, r.ttft_s, r.rated) == (0, None, False)


@pytest.mark.parametrize("seed", [-1, 0, 2**40], ids=["negative", "zero", "more than 32 bits"])
def test_generate_takes_any_whole_seed(seed):
    requests = list(generate(Traffic(seed=seed, requests_per_hour=400), HOUR))
    assert len({r.call_id for r in requests}) == len(requests) > 0
    assert {len(r.call_id) for r in requests} == {8 + 1 + 8 + 1 + 6}


def test_generate_yields_nothing_in_an_empty_window():
    assert list(generate(BUSY, Window(MONDAY, MONDAY))) == []
