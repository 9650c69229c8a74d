"""Parts of the traffic, and what their number of scores proves."""

from __future__ import annotations

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
    lucky = replace(GERMAN, value="fr", n=30, mean=0.65, sigma=0.5)  # .65 + .150 = .800, GERMAN is at .733
    tiny = replace(GERMAN, value="it", n=29, mean=0.1)
    fine = replace(GERMAN, value="en", mean=0.82)
    nowhere = replace(GERMAN, value="xx", mean=-0.1, whole_mean=0.0)  # of no share: by -.067 itself, GERMAN by -.084
    assert worst([nowhere, fine, lucky, tiny, GERMAN], shown=2) == [GERMAN, nowhere]
    assert worst([nowhere, fine, lucky, tiny, GERMAN], shown=9) == [GERMAN, nowhere, lucky]
