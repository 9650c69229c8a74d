"""Quality against its pinned baseline: a drop, a slide, and a judge that is to blame for them."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta

import pytest

from ops.monitoring.alerts import Status, Summary, Tier
from ops.monitoring.baselines import DayScores, Pinned, pin, pin_probes
from ops.monitoring.drift import Shift, find_shift
from ops.monitoring.rules.quality import QualitySample, evaluate
from tests.scored_days import FIRST, scored_days

# A day of 289 scores scatters by .17 / 17 = .01; the slack is .5 + 1/5 = .7
PINNED = Pinned(mean=0.85, sigma=0.17, n=2000, days=25)


def of(*means: float) -> tuple[DayScores, ...]:
    return tuple(DayScores(FIRST + timedelta(days=number), 289, mean) for number, mean in enumerate(means))


SLIDE = of(0.85, *6 * [0.83])  # z = -2 six times: 6 x (2 - .7) = 7.8 > 7.1
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
        pytest.param(replace(FINE, days=SLIDE), Status.BREACH, id="a slide before a drop"),
        pytest.param(replace(FINE, n=5, days=SLIDE), Status.BREACH, id="a slide needs no window"),
        pytest.param(replace(FINE, mean=None, n=0, days=SLIDE), Status.BREACH, id="nor a score of today"),
        pytest.param(
            replace(FINE, days=SLIDE, series=3), Status.OK, id="one of three that slide needs 7.1 + ln 3 = 8.2"
        ),
        pytest.param(replace(FINE, mean=None, n=0, retired=True), Status.OK, id="what is in use no more is over"),
    ],
)
def test_quality_needs_proof_of_a_drop_or_a_slide(sample: QualitySample, status: Status) -> None:
    condition = evaluate(sample)
    assert condition.status is status
    assert condition.tier is (Tier.WARNING if status is Status.BREACH else None)


def few(*means: float) -> tuple[DayScores, ...]:
    return tuple(replace(day, n=12) for day in of(*means))


TODAY = FIRST + timedelta(days=3)


@pytest.mark.parametrize(
    ("mean", "recent", "status", "window"),
    [
        # 12 scores of 24 h are too few, it takes 30: three days have 36
        pytest.param(0.84, few(0.6, 0.85, 0.84, 0.83), Status.OK, "0.840 of 36 scores", id="three days that are fine"),
        pytest.param(0.5, few(0.85, 0.5, 0.5, 0.5), Status.BREACH, "0.500 of 36 scores", id="three days that are not"),
        pytest.param(0.84, few(0.85, 0.85), Status.INSUFFICIENT_DATA, None, id="two days have 24"),
        pytest.param(0.5, few(*4 * [0.85]), Status.INSUFFICIENT_DATA, None, id="24 h that are low are not made good"),
        # .76 + 1.645 x .17 / 6 = .807 > .765: no proof, nor that it is fine
        pytest.param(0.84, few(*4 * [0.76]), Status.INSUFFICIENT_DATA, None, id="nor days that may be low"),
    ],
)
def test_quality_of_few_scores_a_day_is_that_of_some_days(
    mean: float, recent: tuple[DayScores, ...], status: Status, window: str | None
) -> None:
    condition = evaluate(replace(FINE, mean=mean, n=12, recent=recent, today=TODAY))
    assert (condition.status, condition.evidence.get("last_3_d")) == (status, window)


def test_quality_of_some_days_tells_how_long_ago_they_began() -> None:
    three = tuple(replace(day, n=12, day=day.day - timedelta(days=2)) for day in of(0.83, 0.84, 0.85))
    assert evaluate(replace(FINE, n=12, recent=three, today=FIRST)).summary.value.startswith("0.840 in 3 d")


def test_quality_drop_that_a_day_proves_is_none_of_the_days_before() -> None:
    scattered = Pinned(mean=0.85, sigma=0.34, n=2000, days=25)  # (1.645 x .34 / .085)^2 = 43.3 are needed to be fine
    low = replace(FINE, mean=0.5, n=40, pinned=scattered, recent=few(*4 * [0.85]), today=TODAY)
    condition = evaluate(low)  # .5 + 1.645 x .34 / sqrt(40) = .588 < .765
    assert (condition.status, condition.value) == (Status.BREACH, 0.5)


def test_quality_without_a_score_today_is_not_that_of_the_days_before() -> None:
    assert (
        evaluate(replace(FINE, mean=None, n=0, recent=few(*4 * [0.84]), today=TODAY)).status is Status.INSUFFICIENT_DATA
    )


def test_quality_drop_is_told_against_the_pinned_mean() -> None:
    condition = evaluate(replace(FINE, mean=0.70))
    assert condition.summary == Summary(
        "Quality", "0.700 in 24 h, 17.6 % below its baseline", "10 % below"
    )  # .70 / .85 - 1 = -.176
    assert condition.evidence == {"last_24_h": "0.700 of 400 scores", "pinned_mean": "0.850 of 2,000 scores"}
    assert condition.limit == pytest.approx(0.9 * 0.85)


def test_quality_slide_is_told_with_its_level_and_when_it_is_a_drop() -> None:
    # 1 % a week of .85 is .00121 a day: from .797 to .781; to .765 it is another 13 days
    daily = 0.85 * 0.01 / 7
    days = of(*(0.781 + daily * ahead for ahead in range(13, -1, -1)))
    condition = evaluate(replace(FINE, mean=0.79, days=days))
    assert condition.summary == Summary(
        "Quality sliding", "to 0.781, 8.1 % below its baseline", "10 % below, reached in ~13 d"
    )
    assert condition.value == pytest.approx(0.781)
    assert condition.evidence["cusum"] == "10.1 (alarm above 7.1)"
    assert condition.evidence["sliding_since"] == "2026-01-05, 14 d with scores"


def test_quality_slide_without_a_slope_has_no_day_to_tell() -> None:
    condition = evaluate(replace(FINE, days=SLIDE))
    assert condition.summary == Summary("Quality sliding", "to 0.830, 2.4 % below its baseline", "10 % below")


def test_quality_that_slid_all_the_way_is_told_as_a_drop() -> None:
    condition = evaluate(replace(FINE, mean=0.70, days=SLIDE))
    assert condition.summary.what == "Quality"


def test_quality_without_a_slide_shows_no_cusum() -> None:
    condition = evaluate(replace(FINE, days=of(0.86, 0.86)))
    assert (condition.status, "cusum" in condition.evidence) == (Status.OK, False)


def test_quality_needs_more_scores_when_they_scatter_more() -> None:
    # (1.645 x .85 / (.1 x .85))^2 = 16.45^2 = 270.6
    scattered = replace(FINE, pinned=Pinned(0.85, 0.85, 2000), n=270)
    assert evaluate(scattered).summary.value == "unknown: 270 scores, 271 needed"
    assert evaluate(replace(scattered, n=271)).status is Status.OK


@pytest.mark.parametrize(("mean", "near"), [(0.783, False), (0.78, True), (0.70, False)])
def test_quality_clears_only_within_eight_percent(mean: float, near: bool) -> None:
    assert evaluate(replace(FINE, mean=mean)).near_limit is near  # .92 x .85 = .782


@pytest.mark.parametrize(
    ("days", "near"),
    [
        pytest.param(of(*3 * [0.83]), True, id="at 3 x 1.3 = 3.9 it stays open"),
        pytest.param(of(*2 * [0.83]), False, id="at 2 x 1.3 = 2.6 it may clear"),
        pytest.param(SLIDE, False, id="an alarm is no matter of clearing"),
    ],
)
def test_quality_clears_only_when_the_sum_is_below_half_its_limit(days: tuple[DayScores, ...], near: bool) -> None:
    assert evaluate(replace(FINE, days=days)).near_limit is near


@pytest.mark.parametrize(
    ("sample", "why"),
    [
        pytest.param(replace(FINE, mean=None, n=0), "unknown: no scores", id="scores"),
        pytest.param(replace(FINE, mean=None, n=0, pinned=None), "unknown: no scores", id="any scores at all"),
        pytest.param(
            replace(FINE, pinned=None, days=of(0.8, 0.8)),
            "unknown: no baseline pinned yet, that takes 7 d and 100 scores; 2 d and 578 scores so far",
            id="something to compare with",
        ),
        pytest.param(replace(FINE, n=29), "unknown: 29 scores, 30 needed", id="more scores"),
        pytest.param(replace(FINE, retired=True), "no scores in 7 d: no longer in use", id="a version in use"),
    ],
)
def test_quality_says_what_it_is_missing(sample: QualitySample, why: str) -> None:
    assert evaluate(sample).summary == Summary("Quality", why, "10 % below")


# The judge


def shift(change: float) -> Shift:
    return Shift("rubric-1", change, 0.7 * (1 + change), date(2026, 1, 6))


@pytest.mark.parametrize(
    ("sample", "status"),
    [
        pytest.param(
            replace(FINE, days=SLIDE, shift=shift(-0.03)), Status.INSUFFICIENT_DATA, id="a slide, as its probes"
        ),
        pytest.param(replace(FINE, mean=0.7, shift=shift(-0.1)), Status.INSUFFICIENT_DATA, id="a drop, as its probes"),
        pytest.param(
            replace(FINE, mean=0.7, shift=shift(-0.05)), Status.BREACH, id="a drop by thrice what its probes show"
        ),
        pytest.param(replace(FINE, mean=0.7, shift=shift(+0.05)), Status.BREACH, id="a drop under a milder judge"),
        pytest.param(replace(FINE, shift=shift(-0.05)), Status.OK, id="answers that stand"),
    ],
)
def test_quality_blames_a_judge_without_whose_part_there_is_no_fall(sample: QualitySample, status: Status) -> None:
    assert evaluate(sample).status is status


def test_quality_says_that_the_judge_moved() -> None:
    told = "judge rubric-1 moved, its probes stand at 0.630, 10.0 % below their baseline"
    assert evaluate(replace(FINE, mean=0.7, shift=shift(-0.1))).summary.value == f"unknown: {told}"
    assert evaluate(replace(FINE, shift=shift(-0.1))).evidence["judge"] == told


@pytest.mark.uncounted
def test_quality_of_two_hundred_judges_that_grow_stricter_pages_nobody() -> None:
    """Answers and probes seem to slide by 1 % a week alike; probes scatter by half a percent of a day."""
    paged = 0
    for seed in range(200):
        answers = scored_days(seed, 28 + 40, per_week=0.01, since=28)
        probes = scored_days(1000 + seed, 28 + 40, per_week=0.01, since=28, sigma=0.0425, n=100, weekend=0.0)
        pinned, fixed = pin(answers[:28]), pin_probes(probes[:28])
        for day in range(29, 28 + 40 + 1):
            found = find_shift("rubric-1", probes[28:day], fixed)
            sample = QualitySample("rag", answers[day - 1].mean, 200, pinned, tuple(answers[28:day]), shift=found)
            if evaluate(sample).status is Status.BREACH:
                paged += 1
                break
    assert paged <= 0.05 * 200
