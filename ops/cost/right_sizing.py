"""How long contexts and answers should be at most: from what a route uses, and from evaluations with less context.

Before it: `tasks/stores/savings.py` measures, `tasks/stores/evaluations.py` pairs. After it: limits that
people may set.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from ops.cost.model_selection import MAX_DROP, Verdict, judge
from ops.proportions import Pairs

GRID = 256  # tokens; a limit is a multiple of it


class Basis(StrEnum):
    """What a limit of the input rests on."""

    EVALUATED = "evaluations: answers are as good with this much context"
    P99 = "99 % of the calls stay below it; no evaluation says what the rest needs"


@dataclass(frozen=True, slots=True)
class Distribution:
    """Tokens of a call of a route: half of the calls use at most `p50`, and so on."""

    p50: int
    p90: int
    p95: int
    p99: int
    max: int


@dataclass(frozen=True, slots=True)
class RouteUse:
    """What the calls of a route use; None where no call says."""

    route: str
    requests: int
    input: Distribution | None
    output: Distribution | None


@dataclass(frozen=True, slots=True)
class Trial:
    """What evaluations show of a context cut to `size` tokens."""

    size: int
    pairs: Pairs
    lower: float
    needed: int
    verdict: Verdict


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits recommended for a route, and the trials of smaller contexts, the smallest first."""

    use: RouteUse
    max_input: int | None
    basis: Basis | None
    max_output: int | None
    trials: tuple[Trial, ...]


def trials(pairs: Mapping[int, Pairs], max_drop: float = MAX_DROP) -> tuple[Trial, ...]:
    """Judge every size by its pairs with the full context, the smallest first."""
    found = ((size, each, judge(each, max_drop)) for size, each in sorted(pairs.items()))
    return tuple(Trial(size, each, lower, needed, verdict) for size, each, (verdict, lower, needed) in found)


def admitted_size(tried: tuple[Trial, ...]) -> int | None:
    """Return the smallest size at which answers are as good as with the full context; None when none is shown to be."""
    return next((trial.size for trial in tried if trial.verdict is Verdict.ADMITTED), None)


def recommend(use: RouteUse, pairs: Mapping[int, Pairs], max_drop: float = MAX_DROP) -> Limits:
    """Recommend the smallest context that evaluations admit, else the 99th percentile; of the output always that."""
    tried = trials(pairs, max_drop)
    size = admitted_size(tried)
    basis = Basis.EVALUATED if size else Basis.P99 if use.input else None
    return Limits(use, size or _p99(use.input), basis, _p99(use.output), tried)


def _p99(distribution: Distribution | None) -> int | None:
    """Round up to the grid."""
    return None if distribution is None else max(1, -(-distribution.p99 // GRID)) * GRID
