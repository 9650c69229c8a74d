"""Which model a route should call: the cheapest of those that evaluations show to be as good as the one of now.

Before it: `tasks/stores/evaluations.py` pairs verdicts, `levers.py` prices the route's own tokens. After it: people see
a table and the change it would make; nothing is applied.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

from ops.proportions import Pairs

MAX_DROP = 0.05


class Verdict(StrEnum):
    """Whether a model may take over: the one-sided 95 % lower bound of (its passes - the present one's) decides."""

    ADMITTED = "admitted"
    REJECTED = "rejected"  # shown to be worse, or not shown as good by pairs enough for an equally good one
    INSUFFICIENT_DATA = "insufficient_data"


class Reason(StrEnum):
    """Why a route's model changes, or stays."""

    CHEAPEST_ADMITTED = "the cheapest of the models that are shown to be as good"
    ALREADY_CHEAPEST = "no admitted model costs less"
    NOT_SHOWN = "no cheaper model is shown to be as good"
    INSUFFICIENT_DATA = "too few pairs to tell"
    NO_PAIRS = "no evaluation pairs it with another model"


@dataclass(frozen=True, slots=True)
class Candidate:
    """Another model, its pairs with the present one, and what the route's calls would have cost with it."""

    model: str
    pairs: Pairs
    cost_usd: Decimal | None  # None: the price book does not know it


@dataclass(frozen=True, slots=True)
class Judged:
    """A candidate and what its pairs show; `needed` is how many of them would do for an equally good model."""

    model: str
    cost_usd: Decimal | None
    pairs: Pairs
    lower: float
    needed: int
    verdict: Verdict


@dataclass(frozen=True, slots=True)
class Decision:
    """What a route should call, and why."""

    route: str
    current: str
    current_cost_usd: Decimal
    chosen: str
    reason: Reason
    candidates: tuple[Judged, ...]  # the cheapest first

    @property
    def change(self) -> Mapping[str, str] | None:
        """The flag that would be changed; None when the model stays."""
        if self.chosen == self.current:
            return None
        return {"flag": f"model.{self.route}", "from": self.current, "to": self.chosen}

    @property
    def saved_usd(self) -> Decimal | None:
        """What the chosen model would have saved on the same tokens; None when the model stays."""
        costs = (judged.cost_usd for judged in self.candidates if judged.model == self.chosen)
        cost = next(costs, None)
        return None if cost is None else self.current_cost_usd - cost


def judge(pairs: Pairs, max_drop: float = MAX_DROP) -> tuple[Verdict, float, int]:
    """Return the verdict on the second of two, the bound, and how many pairs an equally good one needs."""
    lower, needed = pairs.lower(), pairs.needed(max_drop)
    if lower > -max_drop:
        return Verdict.ADMITTED, lower, needed
    is_told = pairs.upper() < -max_drop or pairs.n >= needed
    return Verdict.REJECTED if is_told else Verdict.INSUFFICIENT_DATA, lower, needed


def select(
    route: str, current: str, cost_usd: Decimal, candidates: Iterable[Candidate], max_drop: float = MAX_DROP
) -> Decision:
    """Choose the cheapest admitted model of a route; one without a price is never chosen."""
    judged = tuple(sorted((_judged(candidate, max_drop) for candidate in candidates), key=_order))
    cheaper = [each for each in judged if each.cost_usd is not None and each.cost_usd < cost_usd]
    admitted = [each.model for each in cheaper if each.verdict is Verdict.ADMITTED]
    if admitted:
        return Decision(route, current, cost_usd, admitted[0], Reason.CHEAPEST_ADMITTED, judged)
    return Decision(route, current, cost_usd, current, _why_it_stays(judged, cheaper), judged)


def _judged(candidate: Candidate, max_drop: float) -> Judged:
    verdict, lower, needed = judge(candidate.pairs, max_drop)
    return Judged(candidate.model, candidate.cost_usd, candidate.pairs, lower, needed, verdict)


def _order(judged: Judged) -> tuple[bool, Decimal, str]:
    return judged.cost_usd is None, judged.cost_usd or Decimal(0), judged.model


def _why_it_stays(judged: tuple[Judged, ...], cheaper: list[Judged]) -> Reason:
    if not judged:
        return Reason.NO_PAIRS
    if not cheaper:
        return Reason.ALREADY_CHEAPEST
    if any(each.verdict is Verdict.INSUFFICIENT_DATA for each in cheaper):
        return Reason.INSUFFICIENT_DATA
    return Reason.NOT_SHOWN
