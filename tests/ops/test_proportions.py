from __future__ import annotations

from statistics import NormalDist

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ops.errors import InvalidValue
from ops.proportions import Share

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
