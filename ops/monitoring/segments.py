"""Where quality is worst: parts of the traffic by model, route, release or tag, and what so many scores prove.

Before it: `tasks/stores/quality_reports.py` counts. After it: `tasks/show_quality.py` lists them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from math import isclose, sqrt

from ops.monitoring.baselines import Z95
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

    @property
    def low(self) -> float:
        """The one-sided lower 95 % bound of the mean: Wilson's of a share, else the normal one."""
        return self._share.lower() if self.is_share else self.mean - Z95 * self.sigma / sqrt(self.n)

    @property
    def high(self) -> float:
        """The one-sided upper 95 % bound of the mean."""
        return self._share.upper() if self.is_share else self.mean + Z95 * self.sigma / sqrt(self.n)

    @property
    def is_below(self) -> bool:
        """Whether it is worse than the whole by more than chance explains."""
        return self.high < self.whole_mean

    @property
    def _share(self) -> Share:
        return Share(round(self.mean * self.n), self.n)


def worst(segments: Iterable[Segment], shown: int) -> list[Segment]:
    """Return the segments below their whole that are furthest from it, at their upper bound; what is sure first."""
    below = [segment for segment in segments if segment.n >= MIN_MEAN and _is_lower(segment.mean, segment.whole_mean)]
    return sorted(below, key=lambda each: (_distance(each), each.metric, each.dimension, each.value))[:shown]


def _is_lower(part: float, whole: float) -> bool:
    """Tell whether a part is lower than the whole; one that is all of it may differ in the last digit."""
    return part < whole and not isclose(part, whole)


def _distance(segment: Segment) -> float:
    return (segment.high - segment.whole_mean) / abs(segment.whole_mean or 1)
