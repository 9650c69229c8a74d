"""Where quality is worst: parts of the traffic by model, route, release or tag, and what so many scores prove.

Before it: `tasks/stores/quality_reports.py` counts. After it: `tasks/show_quality.py` lists them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from math import isclose, sqrt
from statistics import NormalDist

from ops.monitoring.metrics import MIN_MEAN
from ops.proportions import Share


@dataclass(frozen=True, slots=True)
class Segment:
    """The scores of one metric that share a value of one dimension."""

    metric: str
    judge: str | None
    dimension: str
    value: str
    n: int
    mean: float
    sigma: float  # of a score
    is_share: bool  # every score is 0 or 1
    whole_mean: float  # of all scores under this metric and judge
    tried: int = 1  # so many parts are looked at, of which each may be low by chance

    @property
    def low(self) -> float:
        """The one-sided lower bound of the mean: Wilson's of a share, else the normal one.

        At 95 % for all parts together (Bonferroni): of 40 parts that are like the whole, two else were worse.
        """
        return self._share.lower(self._confidence) if self.is_share else self.mean - self._error

    @property
    def high(self) -> float:
        """The one-sided upper bound of the mean, likewise."""
        return self._share.upper(self._confidence) if self.is_share else self.mean + self._error

    @property
    def is_below(self) -> bool:
        """Whether it is worse than the whole by more than chance explains."""
        return self.high < self.whole_mean

    @property
    def verdict(self) -> str:
        """Whether that is more than chance, in words."""
        return "below the whole" if self.is_below else "within chance"

    @property
    def _confidence(self) -> float:
        return 1 - 0.05 / self.tried

    @property
    def _error(self) -> float:
        return NormalDist().inv_cdf(self._confidence) * self.sigma / sqrt(self.n)

    @property
    def _share(self) -> Share:
        return Share(round(self.mean * self.n), self.n)


def worst(segments: Iterable[Segment], shown: int) -> list[Segment]:
    """Return the segments below their whole that are furthest from it, at their upper bound; what is sure first."""
    parts = [segment for segment in segments if segment.n >= MIN_MEAN and not isclose(segment.mean, segment.whole_mean)]
    below = [replace(part, tried=len(parts)) for part in parts if part.mean < part.whole_mean]
    return sorted(below, key=lambda each: (_distance(each), each.metric, each.dimension, each.value))[:shown]


def _distance(segment: Segment) -> float:
    return (segment.high - segment.whole_mean) / abs(segment.whole_mean or 1)
