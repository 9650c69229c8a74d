"""Bounds on a proportion, shared by gates and alert rules: the bound must cross a limit, never the point estimate."""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt
from statistics import NormalDist

from ops.errors import InvalidValue


@dataclass(frozen=True, slots=True)
class Share:
    """`hits` of `n` trials."""

    hits: int
    n: int

    def __post_init__(self) -> None:
        if not 0 <= self.hits <= self.n:
            raise InvalidValue("share.hits", self.hits, f"between 0 and n = {self.n}")

    @property
    def rate(self) -> float | None:
        """The point estimate; None when there were no trials."""
        return self.hits / self.n if self.n else None

    def lower(self, confidence: float = 0.95) -> float:
        """Return the one-sided lower bound (Wilson 1927, score interval); 0 when there were no trials."""
        return _wilson(self, confidence, sign=-1)

    def upper(self, confidence: float = 0.95) -> float:
        """Return the one-sided upper bound (Wilson 1927, score interval); 1 when there were no trials."""
        return _wilson(self, confidence, sign=+1)


def _wilson(share: Share, confidence: float, sign: int) -> float:
    if share.n == 0:
        return 0.0 if sign < 0 else 1.0
    z = NormalDist().inv_cdf(confidence)
    p, n = share.hits / share.n, share.n
    centre = p + z * z / (2 * n)
    spread = z * sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    return min(1.0, max(0.0, (centre + sign * spread) / (1 + z * z / n)))
