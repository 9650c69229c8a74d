"""Parts of the traffic, and what their number of scores proves."""

from __future__ import annotations

import random
from dataclasses import replace
from math import sqrt

import pytest

from ops.monitoring.baselines import Z95
from ops.monitoring.segments import Segment, worst
from ops.proportions import Share

GERMAN = Segment("relevance", "rubric-1", "language", "de", 100, 0.7, 0.2, is_share=False, whole_mean=0.8)
THUMBS = Segment("thumb", None, "route", "search", 100, 0.9, 0.3, is_share=True, whole_mean=0.92)


def test_segment_of_scores_has_normal_bounds() -> None:
    assert (GERMAN.low, GERMAN.high) == pytest.approx((0.7 - Z95 * 0.02, 0.7 + Z95 * 0.02))
    assert GERMAN.high == pytest.approx(0.7 + Z95 * 0.2 / sqrt(100))


def test_segment_of_thumbs_has_the_bounds_of_a_share() -> None:
    assert (THUMBS.low, THUMBS.high) == (Share(90, 100).lower(), Share(90, 100).upper())


@pytest.mark.parametrize(
    ("segment", "below"),
    [
        pytest.param(GERMAN, True, id=".70 + .03 is below .80"),
        pytest.param(replace(GERMAN, n=4), False, id="of four scores it may be chance"),
        pytest.param(THUMBS, False, id="90 of 100 may be 92 %"),
    ],
)
def test_segment_is_worse_only_when_it_is_proven(segment: Segment, below: bool) -> None:
    assert segment.is_below is below


def test_worst_segments_are_those_that_are_surely_furthest_below() -> None:
    lucky = replace(GERMAN, value="fr", n=30, mean=0.65, sigma=0.5)
    tiny = replace(GERMAN, value="it", n=29, mean=0.1)
    fine = replace(GERMAN, value="en", mean=0.82)
    nowhere = replace(GERMAN, value="xx", mean=-0.1, whole_mean=0.0)  # of no share
    # at 1 - .05/4 z is 2.24: .7 + .045 = .745, 7 % below .8; -.1 + .045 = -.055; .65 + .205 = .855, 7 % above
    found = worst([nowhere, fine, lucky, tiny, GERMAN], shown=9)
    assert [part.value for part in found] == ["de", "xx", "fr"]
    assert [part.verdict for part in found] == ["below the whole", "below the whole", "within chance"]
    assert worst([nowhere, fine, lucky, tiny, GERMAN], shown=2) == found[:2]


def test_segment_of_many_is_below_only_when_it_is_more_than_the_luck_of_one() -> None:
    # .7 + 1.645 x .05 = .782 is below .8; of 40, at 1 - .05/40, .7 + 3.023 x .05 = .851 is not
    alone = replace(GERMAN, n=16)
    assert (alone.is_below, replace(alone, tried=40).is_below) == (True, False)
    assert replace(alone, tried=40).high == pytest.approx(0.851, abs=5e-4)
    assert replace(THUMBS, tried=40).high == Share(90, 100).upper(1 - 0.05 / 40)


def test_segments_that_are_like_the_whole_are_all_within_chance_in_19_of_20_reports() -> None:
    noise = random.Random(7)  # noqa: S311 - a seeded simulation
    parts = [
        [replace(GERMAN, value=f"{number}", mean=noise.gauss(0.8, 0.02)) for number in range(40)] for _ in range(400)
    ]
    wrong = sum(worst(some, shown=1)[0].is_below for some in parts)
    assert wrong <= 0.05 * 400 + 2 * sqrt(400 * 0.05 * 0.95)  # two standard errors


def test_segment_that_is_the_whole_is_none_of_the_parts() -> None:
    assert worst([replace(GERMAN, mean=0.8 - 1e-16)], shown=9) == []
