"""Bounds on a proportion, shared by gates and alert rules: the bound must cross a limit, never the point estimate."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, inf, sqrt
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


@dataclass(frozen=True, slots=True)
class Pairs:
    """`n` items judged twice: `wins` passed only the second time, `losses` only the first."""

    wins: int
    losses: int
    n: int

    def __post_init__(self) -> None:
        if min(self.wins, self.losses) < 0 or self.wins + self.losses > self.n:
            limit = f"two counts of at least 0 that add up to at most n = {self.n}"
            raise InvalidValue("pairs", f"{self.wins} wins, {self.losses} losses", limit)

    @property
    def difference(self) -> float | None:
        """How much higher the second share of passes is; None without pairs."""
        return (self.wins - self.losses) / self.n if self.n else None

    def lower(self, confidence: float = 0.95) -> float:
        """Return the one-sided lower bound of the difference; -1 without pairs.

        Tango's score interval for paired proportions (Statistics in Medicine 17, 1998, 891-908): it holds its level
        where few pairs disagree, where Wald's interval has no width at all.
        """
        if self.n == 0:
            return -1.0
        z = NormalDist().inv_cdf(confidence)
        low, high = -1.0, self.wins / self.n - self.losses / self.n
        for _ in range(50):  # the statistic falls as the assumed difference rises
            middle = (low + high) / 2
            low, high = (middle, high) if _tango(self, middle) > z else (low, middle)
        return low

    def upper(self, confidence: float = 0.95) -> float:
        """Return the one-sided upper bound of the difference; 1 without pairs."""
        return -Pairs(self.losses, self.wins, self.n).lower(confidence)

    def needed(self, drop: float, confidence: float = 0.95, power: float = 0.8) -> int:
        """Return how many pairs show, with this power, that an equally good second is not worse by `drop`.

        (z_confidence + z_power)^2 p / drop^2, with p the share of pairs that disagree, one of each kind added.
        """
        disagree = (self.wins + self.losses + 1) / (self.n + 2)
        z = NormalDist().inv_cdf(confidence) + NormalDist().inv_cdf(power)
        return ceil(z * z * disagree / drop**2)


def _tango(pairs: Pairs, difference: float) -> float:
    """Return the score statistic of an assumed difference; its variance is the likeliest under that assumption."""
    n, wins, losses = pairs.n, pairs.wins, pairs.losses
    b = (2 * n - wins + losses) * difference - wins - losses
    c = -losses * difference * (1 - difference)
    only_first = (sqrt(max(b * b - 8 * n * c, 0.0)) - b) / (4 * n)
    variance = n * (2 * only_first + difference * (1 - difference))
    distance = wins - losses - n * difference
    return distance / sqrt(variance) if variance > 0 else inf
