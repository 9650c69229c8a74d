from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest

from ops.cost.levers import WORDS, Cell, Lever, Plan, prefix_shares, pull
from tests.cells import CHEAP, DEAR, UNKNOWN, cell, prices, sums

SEARCH = Plan(
    switches={("search", DEAR): CHEAP}, prefix={("search", DEAR): Decimal("0.5")}, can_wait=frozenset({"search"})
)


def left(lever: Lever, before: Cell, plan: Plan = SEARCH) -> Cell:
    after = pull(lever, before, plan, prices)
    assert after is not None
    return after


def test_every_lever_has_its_words_and_the_specification_its_rules_of_thumb() -> None:
    assert set(WORDS) == set(Lever)
    rules = {lever: words.rule_of_thumb for lever, words in WORDS.items()}
    assert (rules[Lever.RESPONSE_CACHE], rules[Lever.CHEAPER_MODEL]) == (0.5, 0.7)
    assert (rules[Lever.CONTEXT_TRIMMING], rules[Lever.BATCH_API]) == (0.3, 0.2)


@pytest.mark.parametrize(
    ("lever", "operation", "is_left"),
    [
        pytest.param(Lever.RESPONSE_CACHE, "chat", False, id="a repeated chat is answered by the response cache"),
        pytest.param(Lever.RESPONSE_CACHE, "embedding", True, id="a repeated embedding is not"),
        pytest.param(Lever.EMBEDDING_CACHE, "embedding", False, id="but by the embedding cache"),
        pytest.param(Lever.EMBEDDING_CACHE, "chat", True, id="which answers no chat"),
    ],
)
def test_cache_answers_what_repeats(lever: Lever, operation: str, is_left: bool) -> None:
    repeated = cell("1", operation=operation, repeats=True)
    assert (pull(lever, repeated, SEARCH, prices) is not None) == is_left
    fresh = replace(repeated, repeats=False)
    assert pull(lever, fresh, SEARCH, prices) == fresh


def test_trimming_changes_the_cost_as_the_list_price_changes() -> None:
    # 100 tokens at a contract's 80 $ (list: 100 $) are cut to 60: 80 x 60/100 = 48
    assert left(Lever.CONTEXT_TRIMMING, cell("80", trimmed=sums(60))).cost_usd == 48


def test_trimming_below_a_cliff_pays_the_lower_rate_for_all() -> None:
    # 200,000 tokens at 2 $ are cut to 50,000 at 1 $: an eighth
    large = cell("400000", tokens=200_000, size=100_000, trimmed=sums(50_000))
    assert left(Lever.CONTEXT_TRIMMING, large).cost_usd == 50_000


def test_trimming_of_a_model_without_a_price_changes_nothing() -> None:
    unheard = cell("80", model=UNKNOWN, trimmed=sums(60))
    assert left(Lever.CONTEXT_TRIMMING, unheard).cost_usd == 80


def test_cheaper_model_is_priced_by_its_own_card_for_the_same_tokens() -> None:
    # 100 input and 50 output at 0.1 $
    after = left(Lever.CHEAPER_MODEL, cell("150", sums=sums(100, output=50)))
    assert (after.cost_usd, after.model, after.logged_model) == (15, CHEAP, DEAR)


@pytest.mark.parametrize(
    ("other", "plan"),
    [
        pytest.param({"route": "chat"}, SEARCH, id="another route"),
        pytest.param({"operation": "image"}, SEARCH, id="another kind of call"),
        pytest.param({"model": CHEAP}, SEARCH, id="another model of the route"),
        pytest.param({}, Plan(switches={("search", DEAR): UNKNOWN}), id="a new model without a price"),
    ],
)
def test_cheaper_model_leaves_alone(other: dict, plan: Plan) -> None:
    before = cell("100", **other)
    assert left(Lever.CHEAPER_MODEL, before, plan) == before


def test_prefix_cache_charges_the_share_of_uncached_input_as_cached() -> None:
    # 100 tokens, 20 cached: 80 + 2 = 82 $. Half of the 80 more is cached: 40 + 6 = 46 $.
    before = cell("82", sums=sums(100, cached=20))
    assert left(Lever.PREFIX_CACHE, before).cost_usd == 46


def test_prefix_cache_goes_by_the_model_that_the_log_names() -> None:
    switched = left(Lever.CHEAPER_MODEL, cell("100"))
    # 50 at 0.1 and 50 at 0.01
    assert left(Lever.PREFIX_CACHE, switched).cost_usd == Decimal("5.5")


def test_prefix_cache_leaves_other_routes_and_other_kinds_of_calls() -> None:
    for other in (cell("100", route="chat"), cell("100", operation="image")):
        assert left(Lever.PREFIX_CACHE, other) == other


@pytest.mark.parametrize(
    ("before", "cost"),
    [
        pytest.param(cell("100", model=CHEAP, tokens=1000), "25", id="by the book where it has a price of batches"),
        pytest.param(cell("10", model=("openai", "new")), "5", id="half of it with a vendor of batches"),
        pytest.param(cell("100"), "100", id="as before with any other"),
        pytest.param(cell("10", model=("openai", "new"), route="chat"), "10", id="as before where it cannot wait"),
        pytest.param(cell("10", model=("openai", "new"), tier="batch"), "10", id="as before where it is a batch"),
    ],
)
def test_batch_costs(before: Cell, cost: str) -> None:
    assert left(Lever.BATCH_API, before).cost_usd == Decimal(cost)


def test_micro_batching_saves_no_dollar() -> None:
    before = cell("10", operation="embedding")
    assert left(Lever.MICRO_BATCHING, before) == before


def test_goal_of_a_route_is_the_share_of_its_model_that_caches_most() -> None:
    # dear caches 10 of 100, cheap 60 of 100: of dear's other 90, 50 more would be cached
    cells = [cell("1", sums=sums(100, cached=10, requests=100)),
             cell("1", model=CHEAP, sums=sums(100, cached=60, requests=100))]  # fmt: skip
    shares, judged = prefix_shares(cells, {})
    assert (shares, judged) == ({("search", DEAR): Decimal(50) / 90}, {"search"})


@pytest.mark.parametrize(
    ("cells", "wanted", "shares", "judged"),
    [
        pytest.param([cell("1", sums=sums(100, cached=60, requests=500))], {}, {}, set(), id="one model tells nothing"),
        pytest.param(
            [cell("1", sums=sums(100, requests=500)), cell("1", model=CHEAP, sums=sums(100, cached=9, requests=99))],
            {}, {}, set(), id="nor do models with few calls",
        ),
        pytest.param(
            [cell("1", sums=sums(100, requests=100)), cell("1", model=CHEAP, sums=sums(100, requests=100))],
            {}, {}, set(), id="nor those that all cache nothing",
        ),
        pytest.param(
            [cell("1", sums=sums(0, requests=100)), cell("1", model=CHEAP, sums=sums(9, cached=3, requests=100))],
            {}, {}, set(), id="nor one that had no input",
        ),
        pytest.param([cell("1", operation="embedding")], {"search": 0.5}, {}, set(), id="embeddings have no prefix"),
        pytest.param([cell("1")], {"search": 0.25}, {("search", DEAR): Decimal("0.25")}, {"search"}, id="a set goal"),
        pytest.param(
            [cell("1", sums=sums(100, cached=30))], {"search": 0.25}, {}, {"search"}, id="a goal that is reached"
        ),
        pytest.param([cell("1", tokens=0)], {"search": 0.25}, {}, {"search"}, id="a goal for no input at all"),
    ],
)  # fmt: skip
def test_what_prefix_caching_can_be_judged_by(cells: list, wanted: dict, shares: dict, judged: set) -> None:
    assert prefix_shares(cells, wanted) == (shares, judged)
