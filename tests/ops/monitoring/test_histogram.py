"""Quantiles of a histogram, held to those of the values themselves."""

from __future__ import annotations

from collections import Counter
from math import floor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ops.monitoring.histogram import Histogram
from ops.rollup import latency_bin
from ops.usage import DAY_MS

VALUES = st.lists(st.one_of(st.floats(0.001, DAY_MS), st.floats(90, 110), st.sampled_from([1.0, 100.0])), max_size=60)
SHARES = st.sampled_from([0.0, 0.5, 0.95, 0.99, 1.0])


def histogram(values: list[float]) -> Histogram:
    return Histogram(Counter(map(latency_bin, values)), max(values, default=None))


def percentile_cont(values: list[float], share: float) -> float:
    """As Postgres does it: between the values of the two ranks nearest to share x (n - 1)."""
    ordered, rank = sorted(values), share * (len(values) - 1)
    low, high = ordered[floor(rank)], ordered[min(floor(rank) + 1, len(values) - 1)]
    return low + (rank - floor(rank)) * (high - low)


@given(VALUES, VALUES, VALUES)
def test_merge_is_associative_and_that_of_all_the_values(a: list[float], b: list[float], c: list[float]) -> None:
    one, two, three = map(histogram, (a, b, c))
    assert one.plus(two).plus(three) == one.plus(two.plus(three)) == histogram(a + b + c)


@given(VALUES, VALUES)
def test_merge_is_the_same_in_either_order_and_nothing_adds_nothing(a: list[float], b: list[float]) -> None:
    assert histogram(a).plus(histogram(b)) == histogram(b).plus(histogram(a))
    assert histogram(a).plus(Histogram()) == histogram(a)


@given(VALUES.filter(bool), SHARES)
def test_quantile_is_within_one_percent_of_the_exact_one(values: list[float], share: float) -> None:
    exact = percentile_cont(values, share)
    assert abs(histogram(values).quantile(share) - exact) <= 0.01 * exact * (1 + 1e-9)  # type: ignore[operator]


@given(VALUES.filter(bool))
def test_maximum_is_exact_and_no_quantile_is_above_it(values: list[float]) -> None:
    found = histogram(values)
    assert found.maximum == max(values)
    assert found.quantile(1) <= max(values)  # type: ignore[operator]


def test_quantile_lies_between_two_ranks_in_proportion() -> None:
    found = histogram([100.0] * 10 + [1000.0])  # rank .95 x 10 = 9.5: half-way from 100 to 1,000
    assert found.quantile(0.95) == pytest.approx(100 + 0.5 * (1000 - 100), rel=0.01)


def test_quantile_of_nothing_is_unknown() -> None:
    assert (Histogram().quantile(0.5), Histogram().n, Histogram().maximum) == (None, 0, None)


def test_maximum_is_unknown_where_it_is_of_a_part() -> None:
    both = histogram([100.0]).plus(Histogram({latency_bin(50): 2}))
    assert (both.n, both.maximum) == (1 + 2, None)
    assert both.quantile(1) == pytest.approx(100, rel=0.01)
