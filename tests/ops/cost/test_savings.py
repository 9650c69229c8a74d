from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ops.cost.levers import Lever, Plan
from ops.cost.savings import Advice, Saving, advise
from tests.cells import CHEAP, DAY, DEAR, cell, prices, sums

ALL = Plan(
    switches={("search", DEAR): CHEAP},
    prefix={("search", DEAR): Decimal("0.5")},
    can_wait=frozenset({"search", "jobs"}),
)
ONE_DAY = [
    cell("40", tokens=40, repeats=True),
    cell("100", tokens=100, trimmed=sums(50)),
    cell("60", tokens=60, trimmed=sums(50)),
]


def by_lever(advice: Advice) -> dict[Lever, Saving]:
    return {saving.lever: saving for saving in advice.savings}


def test_each_lever_works_on_what_the_one_before_it_left() -> None:
    found = by_lever(advise(ONE_DAY, ALL, {}, prices))
    # 200 $; the cache answers 40, contexts are cut from 160 to 100, at a tenth of the price 10, half of it cached
    # 5 + .5 = 5.5, as a batch a quarter of it: 1.375
    steps = {
        Lever.RESPONSE_CACHE: "40", Lever.EMBEDDING_CACHE: "0", Lever.CONTEXT_TRIMMING: "60", Lever.CHEAPER_MODEL: "90",
        Lever.PREFIX_CACHE: "4.5", Lever.BATCH_API: "4.125", Lever.MICRO_BATCHING: "0",
    }  # fmt: skip
    assert {lever: saving.saved_usd for lever, saving in found.items()} == {
        lever: Decimal(amount) for lever, amount in steps.items()
    }


def test_each_lever_alone_works_on_everything() -> None:
    found = by_lever(advise(ONE_DAY, ALL, {}, prices))
    # 200 $ of 200 tokens: trimmed by 60; at a tenth 20; half of it cached 100 + 10; the dear model has no batch
    alone = {lever: saving.alone_usd for lever, saving in found.items()}
    assert (alone[Lever.RESPONSE_CACHE], alone[Lever.CONTEXT_TRIMMING]) == (40, 60)
    assert (alone[Lever.CHEAPER_MODEL], alone[Lever.PREFIX_CACHE], alone[Lever.BATCH_API]) == (180, 90, 0)


def test_total_is_first_less_last_and_not_the_sum_of_the_levers_alone() -> None:
    advice = advise(ONE_DAY, ALL, {}, prices)
    assert (advice.cost_usd, advice.left_usd, advice.total_usd) == (200, Decimal("1.375"), Decimal("198.625"))
    assert sum(saving.alone_usd or 0 for saving in advice.savings) == 40 + 60 + 180 + 90


def test_shares_compound() -> None:
    """40, 50 and 30 % of what is left compound to 79 %: 100 x .6 x .5 x .7 = 21."""
    cells = [
        cell("40", tokens=40, repeats=True, route="jobs", model=("openai", "new")),
        cell("60", tokens=60, route="jobs", model=("openai", "new")),
    ]
    halved = advise(cells, ALL, {}, prices)
    assert halved.left_usd == 30  # 100 x .6 x .5
    cut = advise([cell("70", tokens=100, trimmed=sums(70))], Plan(), {}, prices)
    assert cut.total_usd == 21  # 70 x .3


def test_unknown_lever_has_no_figures_and_changes_nothing() -> None:
    advice = advise(ONE_DAY, ALL, {Lever.CHEAPER_MODEL: "no pairs", Lever.BATCH_API: "no route"}, prices)
    model = by_lever(advice)[Lever.CHEAPER_MODEL]
    assert (model.alone_usd, model.saved_usd, model.interval, model.reason) == (None, None, None, "no pairs")
    assert model.base_usd == 200
    # 40 + 60 by cache and trimming; half of the other 100 is cached: 45
    assert advice.total_usd == 40 + 60 + 45


def test_base_of_a_lever_is_the_cost_of_the_calls_it_is_about() -> None:
    found = by_lever(advise([cell("3"), cell("2", operation="embedding")], Plan(), {}, prices))
    bases = {lever: saving.base_usd for lever, saving in found.items()}
    assert (bases[Lever.RESPONSE_CACHE], bases[Lever.EMBEDDING_CACHE], bases[Lever.BATCH_API]) == (3, 2, 5)


def test_no_calls_are_no_savings() -> None:
    advice = advise([], ALL, {}, prices)
    assert (advice.days, advice.cost_usd, advice.total_usd, advice.interval) == ([], 0, 0, None)


def days_of(saved: list[int]) -> Advice:
    """Make days of 100 $ on which the cache would have answered so many dollars."""
    cells = [
        cell(str(cost), tokens=cost, repeats=repeats, day=DAY + timedelta(days=number))
        for number, hit in enumerate(saved)
        for repeats, cost in ((True, hit), (False, 100 - hit))
    ]
    return advise(cells, Plan(), {}, prices)


def test_interval_needs_two_weeks() -> None:
    assert days_of([10] * 13).interval is None
    steady = days_of([10] * 14).interval
    assert steady is not None
    assert (steady.low, steady.high) == (140, 140)


def test_interval_is_of_all_days_also_those_of_which_nothing_is_left() -> None:
    advice = days_of([100, 0] * 7)
    later = by_lever(advice)[Lever.MICRO_BATCHING].interval
    assert later is not None
    assert (later.low, later.high) == (0, 0)


def test_interval_encloses_the_saving_of_days_that_differ_and_is_the_same_every_time() -> None:
    saved = [10, 30, 20, 40, 10, 5, 0] * 2 + [20, 50, 30, 60, 20, 10, 5] * 2
    one, other = days_of(saved), days_of(saved)
    assert one.interval == other.interval is not None
    assert 0 < one.interval.low < sum(saved) < one.interval.high < 28 * 60


CELLS = st.lists(
    st.builds(
        lambda cost, tokens, kept, cached, repeats, operation, route, model, day: cell(
            str(cost), sums=sums(tokens, cached=min(cached, tokens)), trimmed=sums(min(kept, tokens)), repeats=repeats,
            operation=operation, route=route, model=model, day=DAY + timedelta(days=day),
        ),
        st.decimals(0, 1000, places=12), st.integers(0, 5000), st.integers(0, 5000), st.integers(0, 5000),
        st.booleans(),
        st.sampled_from(["chat", "embedding", "image"]), st.sampled_from(["search", "jobs", ""]),
        st.sampled_from([DEAR, CHEAP, ("openai", "new")]), st.integers(0, 20),
    ),
    max_size=25,
)  # fmt: skip


@pytest.mark.uncounted
@given(CELLS, st.sets(st.sampled_from(list(Lever))))
def test_savings_in_their_order_add_up_to_the_total_exactly(cells: list, unknown: set) -> None:
    advice = advise(cells, ALL, dict.fromkeys(unknown, "unknown"), prices)
    assert [saving.lever for saving in advice.savings] == list(Lever)
    known = [saving for saving in advice.savings if saving.lever not in unknown]
    assert sum(saving.saved_usd for saving in known) == advice.total_usd == advice.cost_usd - advice.left_usd
    assert advice.cost_usd == sum(each.cost_usd for each in cells)
    assert all(saving.alone_usd is None for saving in advice.savings if saving.lever in unknown)


@pytest.mark.uncounted
@given(CELLS)
def test_no_lever_leaves_less_than_nothing(cells: list) -> None:
    advice = advise(cells, ALL, {}, prices)
    assert advice.left_usd >= 0
    assert all(saving.alone_usd <= saving.base_usd <= advice.cost_usd for saving in advice.savings)


@pytest.mark.uncounted
@given(CELLS)
def test_first_lever_saves_the_same_alone_and_in_order(cells: list) -> None:
    first = advise(cells, ALL, {}, prices).savings[0]
    assert first.alone_usd == first.saved_usd


@pytest.mark.parametrize("lever", [Lever.RESPONSE_CACHE, Lever.CONTEXT_TRIMMING])
def test_lever_before_another_takes_from_it(lever: Lever) -> None:
    whole = by_lever(advise(ONE_DAY, ALL, {}, prices))[Lever.CHEAPER_MODEL]
    without = by_lever(advise(ONE_DAY, ALL, {lever: "off"}, prices))[Lever.CHEAPER_MODEL]
    assert whole.saved_usd < without.saved_usd
