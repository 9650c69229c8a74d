"""Quality against its pinned baseline: a drop, and a slide."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ops.monitoring.alerts import Status, Summary, Tier
from ops.monitoring.baselines import Pinned
from ops.monitoring.rules.quality import QualitySample, evaluate

PINNED = Pinned(mean=0.85, sigma=0.17, n=2000)
DAILY = Pinned(mean=0.85, sigma=0.01, n=28)
SLIDE = (0.85, *6 * (0.83,))  # z = -2 six times: 6 x (2 - .5) = 9 > 7.1
FINE = QualitySample("rag-answers", 0.84, 400, PINNED)


@pytest.mark.parametrize(
    ("sample", "status"),
    [
        pytest.param(FINE, Status.OK, id="1 % below is fine"),
        # upper bound .70 + 1.645 x .17 / sqrt(400) = .714 < .9 x .85 = .765
        pytest.param(replace(FINE, mean=0.70), Status.BREACH, id="18 % below is a drop"),
        # .755 + .014 = .769 > .765
        pytest.param(replace(FINE, mean=0.755), Status.OK, id="11 % below may be chance with 400 scores"),
        pytest.param(replace(FINE, mean=0.755, n=4000), Status.BREACH, id="not with 4,000"),
        pytest.param(replace(FINE, mean=0.1, n=29), Status.INSUFFICIENT_DATA, id="29 scores are too few"),
        pytest.param(replace(FINE, mean=0.1, n=30), Status.BREACH, id="30 are enough"),
        pytest.param(replace(FINE, mean=None, n=0), Status.INSUFFICIENT_DATA, id="no scores are not OK"),
        pytest.param(replace(FINE, pinned=None), Status.INSUFFICIENT_DATA, id="nothing pinned is not OK"),
        pytest.param(replace(FINE, daily=SLIDE, pinned_daily=DAILY), Status.BREACH, id="a slide before a drop"),
        pytest.param(replace(FINE, daily=SLIDE), Status.OK, id="a slide needs its own reference"),
        pytest.param(replace(FINE, n=5, daily=SLIDE, pinned_daily=DAILY), Status.BREACH, id="a slide needs no window"),
    ],
)
def test_quality_needs_proof_of_a_drop_or_a_slide(sample: QualitySample, status: Status) -> None:
    condition = evaluate(sample)
    assert condition.status is status
    assert condition.tier is (Tier.WARNING if status is Status.BREACH else None)


def test_quality_drop_is_told_against_the_pinned_mean() -> None:
    condition = evaluate(replace(FINE, mean=0.70))
    assert condition.summary == Summary("Quality", "0.700, -17.6 % vs pinned", "-10 %")  # .70 / .85 - 1
    assert condition.evidence == {"scores": 400, "pinned_mean": "0.850 of 2,000 scores"}
    assert condition.limit == pytest.approx(0.9 * 0.85)


def test_quality_slide_is_told_as_one() -> None:
    condition = evaluate(replace(FINE, mean=0.781, daily=SLIDE, pinned_daily=DAILY))
    assert condition.summary == Summary("Quality sliding", "0.781, -8.1 % vs pinned", "-10 %")  # .781 / .85 - 1
    assert condition.evidence["cusum"] == "9.0 (alarm above 7.1)"
    assert condition.evidence["sliding_for"] == "6 d"


def test_quality_that_slid_all_the_way_is_told_as_a_drop() -> None:
    condition = evaluate(replace(FINE, mean=0.70, daily=SLIDE, pinned_daily=DAILY))
    assert condition.summary.what == "Quality"


def test_quality_without_a_slide_shows_no_cusum() -> None:
    condition = evaluate(replace(FINE, daily=(0.86, 0.86), pinned_daily=DAILY))
    assert (condition.status, "cusum" in condition.evidence) == (Status.OK, False)


def test_quality_needs_more_scores_when_they_scatter_more() -> None:
    # (1.645 x .85 / (.1 x .85))^2 = 16.45^2 = 270.6
    scattered = replace(FINE, pinned=Pinned(0.85, 0.85, 2000), n=270)
    assert evaluate(scattered).summary.value == "unknown: 270 scores, 271 needed"


@pytest.mark.parametrize(("mean", "near"), [(0.783, False), (0.78, True), (0.70, False)])
def test_quality_clears_only_within_eight_percent(mean: float, near: bool) -> None:
    assert evaluate(replace(FINE, mean=mean)).near_limit is near  # .92 x .85 = .782


@pytest.mark.parametrize(
    ("sample", "why"),
    [
        pytest.param(replace(FINE, mean=None, n=0), "unknown: no scores", id="scores"),
        pytest.param(replace(FINE, pinned=None), "unknown: no pinned baseline", id="something to compare with"),
        pytest.param(replace(FINE, n=29), "unknown: 29 scores, 30 needed", id="more scores"),
    ],
)
def test_quality_says_what_it_is_missing(sample: QualitySample, why: str) -> None:
    assert evaluate(sample).summary == Summary("Quality", why, "-10 %")


def test_quality_with_just_enough_scores_is_judged() -> None:
    scattered = replace(FINE, pinned=Pinned(0.85, 0.85, 2000), n=271)  # 270.6 are needed
    assert evaluate(scattered).status is Status.OK


def test_quality_that_is_fine_is_not_said_to_slide() -> None:
    assert evaluate(FINE).summary.what == "Quality"


def test_quality_slide_of_few_scores_is_not_called_a_drop() -> None:
    few = replace(FINE, mean=0.1, n=5, daily=SLIDE, pinned_daily=DAILY)
    assert evaluate(few).summary.what == "Quality sliding"
