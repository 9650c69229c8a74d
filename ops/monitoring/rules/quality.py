"""Answer quality more than 10 % below its pinned baseline, or sliding there slowly.

The window's mean finds a drop; the CUSUM of daily means finds a slide weeks before it has become a drop of 10 %.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, sqrt

from ops.monitoring.alerts import Condition, Json, Status, Summary, Tier, percent
from ops.monitoring.baselines import CUSUM_LIMIT, Z95, Cusum, Pinned, cusum

DROP = 0.10
CLEAR_DROP = 0.08
MIN_SCORES = 30  # fewer, and the mean is not yet normally distributed


@dataclass(frozen=True, slots=True)
class QualitySample:
    """Scores of one key in a window, and the days since its baseline was pinned."""

    key: str
    mean: float | None  # None: no scores
    n: int
    pinned: Pinned | None  # of single scores; None: nothing pinned yet
    daily: tuple[float, ...] = ()  # daily means, deseasonalised, oldest first
    pinned_daily: Pinned | None = None  # of daily means; None: no search for a slide


def evaluate(sample: QualitySample) -> Condition:
    """Breach when the upper 95 % bound of the mean is below 0.9 of the pinned mean, or the CUSUM sounds its alarm."""
    if sample.mean is None or sample.pinned is None:
        return _insufficient(sample, "unknown: no scores" if sample.mean is None else "unknown: no pinned baseline")
    slide = cusum(sample.daily, sample.pinned_daily) if sample.pinned_daily else None
    sliding = slide is not None and slide.alarm
    needed = _needed(sample.pinned)
    if sample.n < needed and not sliding:
        return _insufficient(sample, f"unknown: {sample.n:,} scores, {needed:,} needed")
    dropped = sample.n >= needed and _upper(sample.mean, sample.n, sample.pinned) < 1 - DROP
    breach = dropped or sliding
    change = sample.mean / sample.pinned.mean - 1
    what = "Quality sliding" if sliding and not dropped else "Quality"
    return Condition(
        rule="quality",
        key=sample.key,
        status=Status.BREACH if breach else Status.OK,
        tier=Tier.WARNING if breach else None,
        value=sample.mean,
        limit=(1 - DROP) * sample.pinned.mean,
        unit="score",
        summary=Summary(what, f"{sample.mean:.3f}, {100 * change:+.1f} % vs pinned", f"-{percent(DROP)}"),
        evidence=_evidence(sample, sample.pinned, slide),
        near_limit=not breach and -change > CLEAR_DROP,
    )


def _upper(mean: float, n: int, pinned: Pinned) -> float:
    """Bound a mean of n scores from above at 95 %, in pinned means."""
    return (mean + Z95 * pinned.sigma / sqrt(n)) / pinned.mean


def _needed(pinned: Pinned) -> int:
    """As many scores as show a mean that equals the pinned one to have dropped less than the limit."""
    return max(MIN_SCORES, ceil((Z95 * pinned.sigma / (DROP * pinned.mean)) ** 2))


def _evidence(sample: QualitySample, pinned: Pinned, slide: Cusum | None) -> dict[str, Json]:
    facts: dict[str, Json] = {"scores": sample.n, "pinned_mean": f"{pinned.mean:.3f} of {pinned.n:,} scores"}
    if slide is not None and slide.onset_index is not None:
        facts["cusum"] = f"{slide.statistic:.1f} (alarm above {CUSUM_LIMIT})"
        facts["sliding_for"] = f"{len(sample.daily) - slide.onset_index} d"
    return facts


def _insufficient(sample: QualitySample, why: str) -> Condition:
    return Condition(
        rule="quality",
        key=sample.key,
        status=Status.INSUFFICIENT_DATA,
        tier=None,
        value=sample.mean,
        limit=None,
        unit="score",
        summary=Summary("Quality", why, f"-{percent(DROP)}"),
    )
