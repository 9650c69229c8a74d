"""How much traffic there is, when, and from whom: a specification that one seed turns into requests.

Before it: `cast.py`. After it: `generator.py` draws the requests.
"""

from __future__ import annotations

from bisect import bisect
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from itertools import accumulate
from typing import Generic, TypeVar

from ops.errors import InvalidValue
from tasks.simulator.cast import CHAT_MODELS, EMBEDDING_MODEL, FEATURES, Feature, Model

T = TypeVar("T")

# Relative load by UTC hour, 1 at the busiest: office hours with a dip at lunch.
HOURS = (
    *(0.15, 0.12, 0.10, 0.10, 0.12, 0.18, 0.30, 0.50, 0.75, 0.92, 1.00, 0.98),
    *(0.85, 0.92, 1.00, 0.97, 0.88, 0.72, 0.55, 0.45, 0.38, 0.30, 0.24, 0.18),
)
WEEKEND = 0.6
_MEAN = sum(HOURS) / 24 * (5 + 2 * WEEKEND) / 7


@dataclass(frozen=True, slots=True)
class Traffic:
    """One simulated system; rates are means over a week, shares lie between 0 and 1."""

    seed: int = 1
    requests_per_hour: float = 1000.0
    users: int = 500
    prompts: int = 2000
    zipf: float = 1.1
    teams: tuple[str, ...] = ("growth", "platform", "support")
    features: tuple[Feature, ...] = FEATURES
    models: tuple[Model, ...] = CHAT_MODELS
    embedding_model: Model = EMBEDDING_MODEL
    release: str = "v1"  # of the services that no split rules
    prompt_version: str = "p3"
    failure_share: float = 0.012  # of the requests that reach a vendor: about 1 % of all
    chat_hit_share: float = 0.05
    embedding_hit_share: float = 0.8
    feedback_share: float = 0.1
    quality: float = 0.86  # how often an answer satisfies

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if field.name.endswith(("_share", "quality")) and not 0 <= value <= 1:
                raise InvalidValue(field.name, value, "between 0 and 1")
        for name in ("users", "prompts"):
            if getattr(self, name) < 1:
                raise InvalidValue(name, getattr(self, name), "at least 1")
        if not self.requests_per_hour > 0:
            raise InvalidValue("requests_per_hour", self.requests_per_hour, "above 0")

    def per_hour(self, when: datetime) -> float:
        """Expect this many requests an hour at `when`: the weekly mean bent by the hour and the weekend."""
        utc = when.astimezone(UTC)
        weekend = WEEKEND if utc.weekday() >= 5 else 1.0
        return self.requests_per_hour * HOURS[utc.hour] * weekend / _MEAN


class Choice(Generic[T]):
    """Picks among weighted items with one uniform number."""

    def __init__(self, items: Sequence[T], weights: Iterable[float]) -> None:
        sums = list(accumulate(weights))
        self._items = items
        # The last bound is exactly 1, so that no u < 1 can fall beyond it by rounding.
        self._bounds = [bound / sums[-1] for bound in sums[:-1]] + [1.0]

    def at(self, u: float) -> T:
        """Return the item whose share of [0, 1) holds `u`."""
        return self._items[bisect(self._bounds, u)]


def zipf(count: int, exponent: float) -> Choice[int]:
    """Rank 0 to count - 1, rank k with a weight of 1 / (k + 1) ** exponent."""
    return Choice(range(count), (1 / rank**exponent for rank in range(1, count + 1)))
