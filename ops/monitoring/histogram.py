"""A histogram of logarithmic bins: it adds up over hours and parts, and tells quantiles within 1 %.

Before it: `ops.rollup.latency_bin` chose the bins, `tasks/stores/metrics.py` counted them. After it: `metrics.py`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import accumulate
from math import ceil, exp, floor

from ops.rollup import LOG_GAMMA

_GAMMA = exp(LOG_GAMMA)


@dataclass(frozen=True, slots=True)
class Histogram:
    """How many values fell into each bin, and the largest of them, exactly; None: there is none, or nobody knows."""

    counts: Mapping[int, int] = field(default_factory=dict)
    maximum: float | None = None

    @property
    def n(self) -> int:
        """How many values there are."""
        return sum(self.counts.values())

    def plus(self, other: Histogram) -> Histogram:
        """Return the histogram of both's values; in whatever order some are added, the sum is the same."""
        counts = Counter(self.counts)
        counts.update(other.counts)
        largest = [each.maximum for each in (self, other) if each.counts]
        known = [value for value in largest if value is not None]
        return Histogram(dict(counts), max(known, default=None) if len(known) == len(largest) else None)

    def quantile(self, share: float) -> float | None:
        """Return the value that this share of the values does not exceed; None without values.

        As Postgres' `percentile_cont` defines it: between the two nearest ranks in proportion. Each of the two is known
        within 1 % (of values from a microsecond on), so what lies between them is as well.
        """
        if not self.counts:
            return None
        rank = share * (self.n - 1)
        low, high = (self._value_at(end) for end in (floor(rank), ceil(rank)))
        value = low + (rank - floor(rank)) * (high - low)
        return value if self.maximum is None else min(value, self.maximum)

    def _value_at(self, rank: int) -> float:
        bins = sorted(self.counts)
        reached = accumulate(self.counts[spot] for spot in bins)
        return next(middle(spot) for spot, count in zip(bins, reached, strict=True) if count > rank)


def middle(spot: int) -> float:
    """Return the value that is within 1 % of every value of a bin: 2 gamma^bin / (1 + gamma)."""
    return 2 * _GAMMA**spot / (1 + _GAMMA)
