from __future__ import annotations

from random import Random
from statistics import NormalDist

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ops.errors import InvalidValue
from ops.proportions import Pairs, Share

SHARES = st.integers(1, 10_000).flatmap(lambda n: st.builds(Share, st.integers(0, n), st.just(n)))


def test_rate_is_hits_of_trials() -> None:
    assert Share(1, 4).rate == 0.25


def test_nothing_tried_says_nothing() -> None:
    nothing = Share(0, 0)
    assert nothing.rate is None
    assert (nothing.lower(), nothing.upper()) == (0.0, 1.0)


@pytest.mark.parametrize(
    ("hits", "n"),
    [pytest.param(-1, 3, id="fewer than none"), pytest.param(4, 3, id="more hits than trials")],
)
def test_share_refuses(hits: int, n: int) -> None:
    with pytest.raises(InvalidValue, match=f"share.hits: {hits} is not between 0 and n = 3"):
        Share(hits, n)


def test_bounds_without_a_hit_are_closed_forms() -> None:
    # p = 0 leaves centre = spread = z^2 / 2n, so the upper bound is (z^2 / n) / (1 + z^2 / n).
    z2 = NormalDist().inv_cdf(0.95) ** 2
    assert Share(0, 100).lower() == 0.0
    assert Share(0, 100).upper() == pytest.approx((z2 / 100) / (1 + z2 / 100))


def test_bounds_with_hits_only_mirror_those_without() -> None:
    assert Share(100, 100).upper() == pytest.approx(1.0)
    assert Share(100, 100).lower() == pytest.approx(1 - Share(0, 100).upper())


def test_bounds_agree_with_a_published_example() -> None:
    # Newcombe 1998, table I: 81 of 263, two-sided 95 % score interval 0.2553 to 0.3662, so 97.5 % on each side.
    share = Share(81, 263)
    assert share.lower(0.975) == pytest.approx(0.2553, abs=5e-5)
    assert share.upper(0.975) == pytest.approx(0.3662, abs=5e-5)


@given(SHARES, st.floats(0.5, 0.999))
def test_bounds_enclose_the_rate(share: Share, confidence: float) -> None:
    assert share.rate is not None
    assert 0 <= share.lower(confidence) <= share.rate + 1e-12
    assert share.rate - 1e-12 <= share.upper(confidence) <= 1


@given(SHARES)
def test_more_confidence_widens_the_bounds(share: Share) -> None:
    assert share.lower(0.99) <= share.lower(0.95) + 1e-12
    assert share.upper(0.99) >= share.upper(0.95) - 1e-12


@given(SHARES)
def test_the_same_rate_of_more_trials_narrows_the_bounds(share: Share) -> None:
    more = Share(share.hits * 10, share.n * 10)
    assert more.upper() - more.lower() < share.upper() - share.lower()


PAIRS = st.integers(1, 300).flatmap(
    lambda n: st.integers(0, n).flatmap(
        lambda wins: st.builds(Pairs, st.just(wins), st.integers(0, n - wins), st.just(n))
    )
)


def test_bound_of_pairs_agrees_with_a_published_example() -> None:
    # Bentur et al. 2009 in Fagerland, Lydersen, Laake, "Statistical Analysis of Contingency Tables", chapter 8: of 21
    # pairs 1 and 7 disagree; Tango's two-sided 95 % interval is -0.517 to -0.026, so 97.5 % on each side.
    assert Pairs(1, 7, 21).lower(0.975) == pytest.approx(-0.517, abs=5e-4)
    assert Pairs(1, 7, 21).upper(0.975) == pytest.approx(-0.026, abs=5e-4)


def test_bound_of_pairs_that_all_agree_is_a_closed_form() -> None:
    # Without disagreement z(d) = sqrt(n |d| / (1 - |d|)), so the bound is z^2 / (n + z^2) below 0.
    z2 = NormalDist().inv_cdf(0.95) ** 2
    assert Pairs(0, 0, 100).lower() == pytest.approx(-z2 / (100 + z2))


def test_no_pairs_say_nothing() -> None:
    assert (Pairs(0, 0, 0).lower(), Pairs(0, 0, 0).upper()) == (-1, 1)
    assert Pairs(0, 0, 0).difference is None


def test_all_pairs_lost_have_the_lowest_bound() -> None:
    assert Pairs(0, 10, 10).lower() == pytest.approx(-1)


@pytest.mark.parametrize("counts", [(-1, 0, 3), (0, -1, 3), (2, 2, 3)], ids=["no wins", "no losses", "too many"])
def test_pairs_refuse(counts: tuple[int, int, int]) -> None:
    with pytest.raises(InvalidValue, match=r"pairs: .* is not two counts of at least 0 that add up to at most n = 3"):
        Pairs(*counts)


@given(PAIRS, st.floats(0.6, 0.999))
def test_bound_of_pairs_is_below_the_difference_and_falls_with_confidence(pairs: Pairs, confidence: float) -> None:
    assert pairs.difference == (pairs.wins - pairs.losses) / pairs.n
    assert -1 <= pairs.lower(confidence) <= pairs.difference + 1e-9
    assert pairs.lower(min(confidence + 0.0005, 0.9995)) <= pairs.lower(confidence) + 1e-9


@pytest.mark.parametrize(
    ("n", "lost", "won"),
    [
        pytest.param(60, 0.10, 0.05, id="60 pairs"),
        pytest.param(200, 0.10, 0.05, id="200 pairs"),
        pytest.param(100, 0.05, 0.0, id="100 pairs of which none is won, where Wald's bound admits 11 %"),
    ],
)
def test_bound_admits_a_model_that_is_worse_by_the_margin_in_at_most_5_percent(n: int, lost: float, won: float) -> None:
    draw, admitted, runs = Random(7), 0, 1000  # noqa: S311
    for _ in range(runs):
        luck = [draw.random() for _ in range(n)]
        pairs = Pairs(sum(lost <= each < lost + won for each in luck), sum(each < lost for each in luck), n)
        admitted += pairs.lower() > -0.05
    # 5 % of 1000 runs, and three standard deviations of such a count: 3 sqrt(1000 x 0.05 x 0.95) = 21
    assert admitted <= 50 + 21


def test_needed_pairs_give_the_power_that_is_promised() -> None:
    # 20 of 200 disagree: p = 21/202; (1.6449 + 0.8416)^2 x 0.10396 / 0.05^2 = 257.1
    needed = Pairs(10, 10, 200).needed(0.05)
    assert needed == 258
    draw, runs, shown = Random(11), 500, 0  # noqa: S311
    for _ in range(runs):
        luck = [draw.random() for _ in range(needed)]
        wins, losses = sum(each < 0.05 for each in luck), sum(0.05 <= each < 0.1 for each in luck)
        shown += Pairs(wins, losses, needed).lower() > -0.05
    assert 0.74 < shown / runs < 0.86
