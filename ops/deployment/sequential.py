"""Bounds that stay true however often one looks: confidence sequences for means, differences and proportions.

Before it: `gates.py` has counted the requests of each arm and stage. After it: `gates.py` turns bounds into a verdict.
A 95 % interval of the usual kind is right for one look; a rollout is looked at every few minutes, which makes one in
four equal canaries seem worse at some look. A confidence sequence is wider, and covers the truth at all looks at once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import reduce
from math import lgamma, log, log1p, sqrt
from typing import Self

from ops.errors import InvalidValue
from ops.proportions import Share

TUNED_AT = 1000  # requests of both arms at which the bounds are tightest; a stage of a rollout is of about that size


@dataclass(frozen=True, slots=True)
class Arm:
    """What one arm measured: enough for a mean and its variance, and addable."""

    n: int
    total: float
    total_squares: float

    @classmethod
    def of(cls, share: Share) -> Self:
        """Measure a share as n values of 0 and 1."""
        return cls(share.n, share.hits, share.hits)

    def __add__(self, other: Arm) -> Arm:
        return Arm(self.n + other.n, self.total + other.total, self.total_squares + other.total_squares)

    @property
    def variance(self) -> float | None:
        """The sample variance; None below two values; 0 when what remains is only rounding."""
        if self.n < 2:
            return None
        spread = self.total_squares - self.total**2 / self.n
        return spread / (self.n - 1) if spread > 1e-12 * self.total_squares else 0.0


EMPTY = Arm(0, 0, 0)
FOUR_OF_EACH = Arm.of(Share(4, 8))


@dataclass(frozen=True, slots=True)
class Bounds:
    """An estimate, and the lower and the upper bound: each alone is crossed with a chance of at most alpha, ever."""

    lower: float
    estimate: float
    upper: float
    method: str  # "asymptotic" or "beta-binomial"


def half_width(standard_error: float, n: float, alpha: float, tuned_at: float = TUNED_AT) -> float:
    """Return the distance from the estimate to its one-sided bound.

    rho^2 = (-2 ln 2a + ln(1 - 2 ln 2a)) / tuned_at;
    half-width = SE * sqrt(2 (n rho^2 + 1) / (n rho^2) * ln(1 + sqrt(n rho^2 + 1) / 2a)):
    the one-sided asymptotic confidence sequence of Waudby-Smith et al., "Time-uniform central limit theory".
    """
    if not 0 < alpha < 0.5:
        raise InvalidValue("alpha", alpha, "between 0 and 0.5, both excluded")
    spread = n * (-2 * log(2 * alpha) + log(1 - 2 * log(2 * alpha))) / tuned_at
    return standard_error * sqrt(2 * (spread + 1) / spread * log(1 + sqrt(spread + 1) / (2 * alpha)))


def mean_difference(
    strata: Sequence[tuple[Arm, Arm]], alpha: float, tuned_at: float = TUNED_AT, prior: Arm = EMPTY
) -> Bounds | None:
    """Bound the mean of the second arm minus that of the first, compared within each stratum only.

    A rollout's stages are its strata: at each, both arms saw the same hours, so a bad hour hits both alike. Pooled over
    stages, a canary that got most of its traffic in a bad hour would look bad. Stage s weighs
    n1 n2 / (n1 + n2) (Cochran-Mantel-Haenszel), which for equal variances is the inverse variance of its difference:
    the weights add up as information does, and their sum times 4 is the n at which the bounds stand (n = n1 + n2 at
    1:1). An arm's variance is taken over all its strata, so a stage of few requests does not pretend to certainty;
    what lies between its stages only widens the bounds. `prior` is added to each arm for the variance alone.

    None when no stratum has both arms, or an arm's variance is zero or unknown.
    """
    usable = [(one, two) for one, two in strata if one.n and two.n]
    variance_1 = reduce(Arm.__add__, (one for one, _ in usable), prior).variance
    variance_2 = reduce(Arm.__add__, (two for _, two in usable), prior).variance
    if not usable or not variance_1 or not variance_2:
        return None
    weights = [one.n * two.n / (one.n + two.n) for one, two in usable]
    weighted = list(zip(weights, usable, strict=True))
    estimate = sum(w * (two.total / two.n - one.total / one.n) for w, (one, two) in weighted) / sum(weights)
    squared = sum(w * w * (variance_1 / one.n + variance_2 / two.n) for w, (one, two) in weighted)
    half = half_width(sqrt(squared) / sum(weights), 4 * sum(weights), alpha, tuned_at)
    return Bounds(estimate - half, estimate, estimate + half, "asymptotic")


def proportion_bounds(share: Share, alpha: float) -> Bounds | None:
    """Bound a proportion without any approximation; both bounds together are crossed with a chance of at most alpha.

    The values p with B(a + S, a + n - S) / B(a, a) / (p^S (1 - p)^(n - S)) < 1 / alpha, where a = 1/2: a mixture of
    binomials is a martingale at the true p, and Ville's inequality bounds how high it ever climbs. None without trials.
    """
    return _mixture_bounds(share.hits, share.n, alpha) if share.n else None


def share_difference(strata: Sequence[tuple[Share, Share]], alpha: float) -> Bounds | None:
    """Bound the second arm's proportion minus the first's, by stratum; None when no stratum has both arms.

    The variance counts four hits and four misses more per arm than were seen, because few failures understate it: z^2/2
    of each (Agresti and Coull 1998), where z, the half-width in standard errors, is 2.8 at its least.

    An arm that never failed (or never succeeded) has no variance to estimate: then each arm is bounded by itself with
    half of alpha, and the bounds are subtracted. That pools the strata, which is fair: an arm without one failure shows
    no bad hours that could be mistaken for a bad release.
    """
    usable = [(a, b) for a, b in strata if a.n and b.n]
    if not usable:
        return None
    one, two = (Share(sum(s.hits for s in arm), sum(s.n for s in arm)) for arm in zip(*usable, strict=True))
    if one.rate in (0, 1) or two.rate in (0, 1):
        return _independent_difference(one, two, alpha)
    return mean_difference([(Arm.of(a), Arm.of(b)) for a, b in usable], alpha, prior=FOUR_OF_EACH)


def _independent_difference(one: Share, two: Share, alpha: float) -> Bounds:
    first = _mixture_bounds(one.hits, one.n, alpha / 2)
    second = _mixture_bounds(two.hits, two.n, alpha / 2)
    estimate = second.estimate - first.estimate
    return Bounds(second.lower - first.upper, estimate, second.upper - first.lower, first.method)


def _mixture_bounds(hits: int, n: int, alpha: float) -> Bounds:
    misses, rate = n - hits, hits / n
    mixture = _log_beta(hits + 0.5, misses + 0.5) - _log_beta(0.5, 0.5) + log(alpha)

    def excluded(p: float) -> bool:
        return mixture - hits * log(p) - misses * log1p(-p) >= 0

    lower = _boundary(excluded, outside=0.0, inside=rate) if hits else 0.0
    upper = _boundary(excluded, outside=1.0, inside=rate) if misses else 1.0
    return Bounds(lower, rate, upper, "beta-binomial")


def _log_beta(a: float, b: float) -> float:
    return lgamma(a) + lgamma(b) - lgamma(a + b)


def _boundary(excluded: Callable[[float], bool], outside: float, inside: float) -> float:
    """Halve down to where `excluded` changes; answer on the excluded side, which can only widen the bounds."""
    for _ in range(50):
        middle = (outside + inside) / 2
        if excluded(middle):
            outside = middle
        else:
            inside = middle
    return outside
