"""What the parts of a system cost beside one another: models from the log, the rest from configured rates.

No log has what a vector database or the application's own machines cost. The typical shares are the specification's.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from enum import StrEnum

from ops.money import stored


class Component(StrEnum):
    """A part of a system that answers questions."""

    EMBEDDINGS = "embeddings"
    GENERATION = "generation"
    OTHER_MODELS = "other models"  # reranking, images, audio
    VECTOR_DATABASE = "vector_database"
    COMPUTE = "compute"


TYPICAL: Mapping[Component, tuple[float, float]] = {
    Component.EMBEDDINGS: (0.10, 0.20),
    Component.GENERATION: (0.70, 0.80),
    Component.VECTOR_DATABASE: (0.05, 0.10),
    Component.COMPUTE: (0.05, 0.10),
}
CONFIGURED = (Component.VECTOR_DATABASE, Component.COMPUTE)
QUERIES = ("chat", "completion")  # the operations that are a user's query
_OF = {"embedding": Component.EMBEDDINGS, **dict.fromkeys(QUERIES, Component.GENERATION)}


def component_of(operation: str) -> Component:
    """Return the component that an operation of a model belongs to."""
    return _OF.get(operation, Component.OTHER_MODELS)


@dataclass(frozen=True, slots=True)
class DayUse:
    """How many queries a UTC day has, and how much of it has passed."""

    queries: int
    passed: Decimal = Decimal(1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """What a component costs on every day of a half-open span, or for every query on one."""

    component: Component
    usd_per_day: Decimal = Decimal(0)
    usd_per_query: Decimal = Decimal(0)
    start: date = date.min
    end: date = date.max

    def cost(self, uses: Mapping[date, DayUse]) -> Decimal:
        """Return its cost of some days; today's is of as much of it as has passed."""
        own = [use for day, use in uses.items() if self.start <= day < self.end]
        return sum(
            (stored(self.usd_per_day * use.passed + self.usd_per_query * use.queries) for use in own), Decimal(0)
        )


def configured_costs(rates: Iterable[Rate], uses: Mapping[date, DayUse]) -> dict[Component, Decimal]:
    """Add up the rates of each component; one without a rate is absent: unknown, not free."""
    found: dict[Component, Decimal] = {}
    for rate in rates:
        found[rate.component] = found.get(rate.component, Decimal(0)) + rate.cost(uses)
    return found


def note(component: Component, share: float | None) -> str:
    """Say where a share stands beside the typical ones; nothing where there is none, or it is within them."""
    low, high = TYPICAL.get(component, (0.0, 1.0))
    if share is None or low <= share <= high:
        return ""
    return f"{'below' if share < low else 'above'} the typical {low:.0%} to {high:.0%}"
