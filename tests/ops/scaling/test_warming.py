"""The hottest entries that repay their call, and never a cent over the budget."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from math import log
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ops.errors import InvalidValue
from ops.scaling.warming import Candidate, Skipped, WarmPlan, expected_hits, plan_warming, recency_weight

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
CENT = Decimal("0.01")


def candidate(key: str = "a", **fields: Any) -> Candidate:
    usual: dict[str, Any] = {
        "text": f"text of {key}",
        "model": "text-embedding-3-small",
        "score": 5.0,
        "seen": 9,
        "last_seen": NOW,
        "tokens": 100,
        "cost_usd": CENT,
    }
    return Candidate(key=key, **(usual | fields))


def plan(*candidates: Candidate, cached: tuple[str, ...] = (), budget: str = "1", entries: int = 100) -> WarmPlan:
    return plan_warming(candidates, cached, Decimal(budget), entries, NOW)


SKIPS = {
    "one that is cached": (candidate(), {"cached": ("a",)}, Skipped.CACHED),
    "one that was asked once": (candidate(seen=1), {}, Skipped.RARE),
    "one of unknown price": (candidate(cost_usd=None), {}, Skipped.UNPRICED),
    "one not asked for longer than it would live": (
        candidate(last_seen=NOW - timedelta(minutes=61)),
        {},
        Skipped.STALE,
    ),
    "one that expects less than one hit": (candidate(score=0.2), {}, Skipped.NO_NET_SAVING),
    "one dearer than the budget": (candidate(), {"budget": "0.009"}, Skipped.OVER_BUDGET),
    "one when no entry is allowed": (candidate(), {"entries": 0}, Skipped.OVER_ENTRIES),
}


@pytest.mark.parametrize(("entry", "limits", "reason"), SKIPS.values(), ids=SKIPS)
def test_plan_warming_leaves_out(entry: Candidate, limits: dict[str, Any], reason: Skipped) -> None:
    assert plan(entry, **limits) == WarmPlan((), {reason: 1}, Decimal(0))


def test_plan_warming_takes_the_highest_scores_first() -> None:
    entries = [candidate(key, score=score) for key, score in (("cool", 2.0), ("hot", 9.0), ("warm", 5.0))]
    chosen = plan(*entries, entries=2)
    assert [entry.key for entry in chosen.entries] == ["hot", "warm"]
    assert (chosen.skipped, chosen.cost_usd) == ({Skipped.OVER_ENTRIES: 1}, 2 * CENT)


def test_plan_warming_spends_the_budget_to_the_cent() -> None:
    chosen = plan(*(candidate(str(index)) for index in range(5)), budget="0.03")
    assert (len(chosen.entries), chosen.cost_usd, chosen.skipped) == (3, 3 * CENT, {Skipped.OVER_BUDGET: 2})


def test_plan_warming_passes_over_what_is_too_dear_for_what_is_left() -> None:
    chosen = plan(candidate("dear", score=9.0, cost_usd=Decimal(2)), candidate("cheap"))
    assert [entry.key for entry in chosen.entries] == ["cheap"]


def test_plan_warming_orders_equal_scores_by_key() -> None:
    assert [entry.key for entry in plan(candidate("b"), candidate("a")).entries] == ["a", "b"]


@pytest.mark.parametrize(("seen", "chosen"), [(2, 0), (3, 1)])
def test_plan_warming_honours_the_fewest_requests_asked_for(seen: int, chosen: int) -> None:
    made = plan_warming([candidate(seen=seen)], (), Decimal(1), 10, NOW, min_seen=3)
    assert len(made.entries) == chosen


@pytest.mark.parametrize(
    ("age", "weight"),
    [
        pytest.param(timedelta(0), 1, id="now counts whole"),
        pytest.param(timedelta(minutes=10), 1 / 2, id="a half-life ago counts half"),
        pytest.param(timedelta(minutes=30), 1 / 8, id="three half-lives ago count an eighth"),
    ],
)
def test_recency_weight_halves(age: timedelta, weight: float) -> None:
    assert recency_weight(age) == pytest.approx(weight)


def test_recency_weight_refuses_a_half_life_of_zero() -> None:
    with pytest.raises(InvalidValue, match="half_life"):
        recency_weight(timedelta(0), timedelta(0))


def test_expected_hits_recover_a_steady_rate() -> None:
    score = sum(recency_weight(timedelta(minutes=minute)) for minute in range(600))  # one request a minute
    assert expected_hits(score, ttl=timedelta(hours=1)) == pytest.approx(60, rel=0.04)


def test_expected_hits_scale_with_the_time_to_live() -> None:
    assert expected_hits(1.0, timedelta(minutes=10), timedelta(minutes=20)) == pytest.approx(2 * log(2))


ONE_HIT = 1 / (log(2) * 6)  # the score that expects one hit in an hour at a half-life of ten minutes


@pytest.mark.parametrize(
    ("entry", "chosen"),
    [
        pytest.param(candidate(seen=2), True, id="two requests are enough"),
        pytest.param(candidate(last_seen=NOW - timedelta(hours=1)), True, id="an hour ago is within its hour"),
        pytest.param(candidate(score=0.99 * ONE_HIT), False, id="0.99 expected hits do not repay the call"),
        pytest.param(candidate(score=1.01 * ONE_HIT), True, id="1.01 do"),
        pytest.param(candidate(cost_usd=Decimal(1)), True, id="all of the budget may go to one"),
        pytest.param(candidate(cost_usd=Decimal("1.000001")), False, id="not a millionth more"),
        pytest.param(candidate(cost_usd=Decimal(0)), True, id="what is free is warmed"),
    ],
)
def test_plan_warming_draws_the_line(entry: Candidate, chosen: bool) -> None:
    assert plan(entry).entries == ((entry,) if chosen else ())


def test_plan_warming_takes_what_is_free_when_nothing_is_left() -> None:
    made = plan(candidate("free", cost_usd=Decimal(0)), candidate("dear"), budget="0")
    assert ([entry.key for entry in made.entries], made.skipped) == (["free"], {Skipped.OVER_BUDGET: 1})


def test_plan_warming_gives_the_first_reason_that_applies() -> None:
    hopeless = candidate(seen=1, last_seen=NOW - timedelta(days=9), cost_usd=None, score=0.0)
    assert plan(hopeless, cached=("a",), entries=0).skipped == {Skipped.CACHED: 1}
    assert plan(hopeless, entries=0).skipped == {Skipped.RARE: 1}


def test_plan_warming_counts_hits_over_the_half_life_and_time_to_live_that_it_is_given() -> None:
    entry = candidate(score=1.0)
    # 1 x ln 2 x 60 min / 60 min = 0.69 hits, and x 120 min = 1.39
    halved = {"half_life": timedelta(hours=1)}
    assert plan_warming([entry], (), Decimal(1), 9, NOW, **halved).skipped == {Skipped.NO_NET_SAVING: 1}
    assert plan_warming([entry], (), Decimal(1), 9, NOW, **halved, ttl=timedelta(hours=2)).entries == (entry,)


CANDIDATES = st.lists(
    st.builds(
        candidate,
        key=st.uuids().map(str),
        score=st.floats(0, 100),
        seen=st.integers(1, 5),
        cost_usd=st.none() | st.decimals(0, 1, places=6),
    ),
    max_size=30,
)


@settings(deadline=None)
@given(candidates=CANDIDATES, budget=st.decimals(0, 3, places=6), most=st.integers(0, 20))
def test_plan_warming_keeps_every_limit_and_counts_every_candidate(
    candidates: list[Candidate], budget: Decimal, most: int
) -> None:
    made = plan_warming(candidates, (), budget, most, NOW)
    assert made.cost_usd == sum((entry.cost_usd or Decimal(0) for entry in made.entries), Decimal(0)) <= budget
    assert len(made.entries) <= most
    assert len(made.entries) + sum(made.skipped.values()) == len(candidates)
    assert all(entry.cost_usd is not None and entry.seen >= 2 for entry in made.entries)
