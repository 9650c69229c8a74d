"""Answer quality more than 10 % below its pinned baseline, or sliding there slowly.

The window's mean finds a drop; the CUSUM of daily means finds a slide weeks before it has become a drop of 10 %. A
judge whose probes moved as much is to blame for it: then nobody is told of the answers.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date
from itertools import accumulate
from math import ceil, sqrt

from ops.monitoring.alerts import Condition, Json, Status, Summary, Tier, percent
from ops.monitoring.baselines import FIRST_PIN, MIN_PINNED, Z95, DayScores, Pinned, compared
from ops.monitoring.drift import Shift, Slide, find_slide
from ops.monitoring.metrics import MIN_MEAN

DROP = 0.10
CLEAR_DROP = 0.08
IDLE_DAYS = 7  # without a score, while the metric has other series: the version is no longer in use


@dataclass(frozen=True, slots=True)
class QualitySample:
    """Scores of one series in the last 24 hours, and of the days since its baseline was pinned."""

    key: str
    mean: float | None  # None: no scores
    n: int
    pinned: Pinned | None  # None: nothing pinned yet
    days: tuple[DayScores, ...] = ()  # full days, oldest first; all of them where nothing is pinned yet
    series: int = 1  # how many are judged, of which each may alarm by chance
    shift: Shift | None = None  # of its judge
    retired: bool = False  # its metric is scored, but this model, prompt and judge are not
    window: str = "24_h"  # that `mean` and `n` are of
    recent: tuple[DayScores, ...] = ()  # the days of the last week, that of `today` so far included, oldest first
    today: date | None = None


def evaluate(sample: QualitySample) -> Condition:
    """Breach when the upper 95 % bound of the mean is below 0.9 of the pinned mean, or the CUSUM sounds its alarm."""
    if sample.retired:
        return _without_value(sample, Status.OK, f"no scores in {IDLE_DAYS} d: no longer in use")
    if sample.pinned is None:
        return _insufficient(sample, "unknown: no scores" if not sample.days and not sample.n else _not_pinned(sample))
    slide = find_slide(sample.days, sample.pinned, drop=DROP, series=sample.series)
    needed = _needed(sample.pinned)
    wide = _widened(sample, sample.pinned, needed)
    dropped = _is_dropped(wide, sample.pinned)
    if wide.mean is None and not slide.alarm:
        return _insufficient(sample, "unknown: no scores")
    if not (dropped or slide.alarm) and (wide.n < needed or _may_hide_a_drop(sample, wide, sample.pinned)):
        return _insufficient(sample, f"unknown: {sample.n:,} scores, {needed:,} needed")
    return _judged(wide, sample.pinned, slide, dropped=dropped)


def _is_dropped(sample: QualitySample, pinned: Pinned) -> bool:
    return sample.n >= MIN_MEAN and sample.mean is not None and _upper(sample, pinned) < 1 - DROP


def _widened(sample: QualitySample, pinned: Pinned, needed: int) -> QualitySample:
    """Return the sample of as many days, today's included, as have enough scores, where 24 hours have too few.

    What is scored a little at a time would else never be known to be fine again. A drop that 24 hours prove stands.
    """
    recent = sample.recent if sample.n else ()
    sums = accumulate(day.n for day in reversed(recent))
    days = next((recent[-count:] for count, n in enumerate(sums, 1) if n >= needed), ())
    if sample.n >= needed or _is_dropped(sample, pinned) or not days or sample.today is None:
        return sample
    n, length = sum(day.n for day in days), (sample.today - days[0].day).days + 1
    return replace(sample, mean=sum(day.n * day.mean for day in days) / n, n=n, window=f"{length}_d")


def _may_hide_a_drop(sample: QualitySample, wide: QualitySample, pinned: Pinned) -> bool:
    """Tell whether the days before are no proof that the few scores of 24 hours, or all of them, are low by chance."""
    means = [each.mean for each in (sample, wide) if each.mean is not None]
    return wide is not sample and min(means) < (1 - DROP) * pinned.mean


def _judged(sample: QualitySample, pinned: Pinned, slide: Slide, *, dropped: bool) -> Condition:
    sliding = slide.alarm and not dropped
    value = slide.level if sliding else sample.mean
    assert value is not None  # noqa: S101  a slide has its level, and without one there are scores
    change = value / pinned.mean - 1
    breach = dropped or sliding
    if breach and sample.shift and evaluate(_corrected(sample, pinned, sample.shift)).status is not Status.BREACH:
        return _insufficient(sample, f"unknown: {sample.shift}")
    return Condition(
        rule="quality",
        key=sample.key,
        status=Status.BREACH if breach else Status.OK,
        tier=Tier.WARNING if breach else None,
        value=value,
        limit=(1 - DROP) * pinned.mean,
        unit="score",
        summary=_summary(value, sample.window, pinned, slide if sliding else None),
        evidence=_evidence(sample, pinned, slide),
        near_limit=not breach and (-change > CLEAR_DROP or slide.statistic > slide.limit / 2),
    )


def _corrected(sample: QualitySample, pinned: Pinned, shift: Shift) -> QualitySample:
    """Return the sample as the judge would have marked it before it moved."""
    off = shift.change * pinned.mean
    days = (replace(day, mean=day.mean - off) if day.day >= shift.onset else day for day in sample.days)
    mean = None if sample.mean is None else sample.mean - off
    return replace(sample, mean=mean, days=tuple(days), recent=(), shift=None)


def _summary(value: float, window: str, pinned: Pinned, slide: Slide | None) -> Summary:
    """Name the number: a drop's is the mean of its window, a slide's is where the line through its days stands."""
    off = f"{compared(value, pinned.mean)} its baseline"
    if slide is None:
        return Summary("Quality", f"{value:.3f} in {window.replace('_', ' ')}, {off}", limit_words())
    return Summary("Quality sliding", f"to {value:.3f}, {off}", limit_words(slide.days_left))


def limit_words(days_left: int | None = None) -> str:
    """Say what the limit is, and when a slide will be there."""
    ahead = "" if days_left is None else f", reached in ~{days_left} d"
    return f"{percent(DROP)} below{ahead}"


def _upper(sample: QualitySample, pinned: Pinned) -> float:
    """Bound the mean of n scores from above at 95 %, in pinned means."""
    return ((sample.mean or 0.0) + Z95 * pinned.sigma / sqrt(sample.n)) / pinned.mean


def _needed(pinned: Pinned) -> int:
    """As many scores as show a mean that equals the pinned one to have dropped less than the limit."""
    return max(MIN_MEAN, ceil((Z95 * pinned.sigma / (DROP * pinned.mean)) ** 2))


def _evidence(sample: QualitySample, pinned: Pinned, slide: Slide) -> dict[str, Json]:
    last = "none" if sample.mean is None else f"{sample.mean:.3f} of {sample.n:,} scores"
    facts: dict[str, Json] = {f"last_{sample.window}": last, "pinned_mean": f"{pinned.mean:.3f} of {pinned.n:,} scores"}
    if slide.onset is not None:
        facts["cusum"] = f"{slide.statistic:.1f} (alarm above {slide.limit:.1f})"
        facts["sliding_since"] = f"{slide.onset}, {slide.days} d with scores"
    if sample.shift is not None:
        facts["judge"] = str(sample.shift)
    return facts


def _not_pinned(sample: QualitySample) -> str:
    scored = sum(day.n for day in sample.days)
    so_far = f"{len(sample.days)} d and {scored:,} scores so far"
    return f"unknown: no baseline pinned yet, that takes {FIRST_PIN.days} d and {MIN_PINNED} scores; {so_far}"


def _insufficient(sample: QualitySample, why: str) -> Condition:
    return _without_value(sample, Status.INSUFFICIENT_DATA, why)


def _without_value(sample: QualitySample, status: Status, why: str) -> Condition:
    return Condition(
        rule="quality",
        key=sample.key,
        status=status,
        tier=None,
        value=sample.mean,
        limit=None,
        unit="score",
        summary=Summary("Quality", why, limit_words()),
    )
