"""What can go wrong in a simulated system, one effect per name, several at once.

An effect bends the odds of a request; the draws themselves stay, so traffic with and without a scenario differs in
its effect alone. Before it: `request.py`. After it: `generator.py` asks each active scenario.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Protocol

import msgspec

from ops.errors import InvalidValue, UnknownName
from ops.window import Window
from tasks.simulator.request import (
    CLIENT,
    CONTENT_FILTER,
    RATE_LIMIT,
    SERVER,
    TIMEOUT,
    UNAVAILABLE,
    Failure,
    Request,
)

# Listed as often as they are likely.
USUAL_FAILURES = (TIMEOUT, TIMEOUT, TIMEOUT, RATE_LIMIT, RATE_LIMIT, RATE_LIMIT, SERVER, SERVER, CONTENT_FILTER, CLIENT)
OUTAGE_FAILURES = (UNAVAILABLE, UNAVAILABLE, UNAVAILABLE, TIMEOUT)


@dataclass(slots=True)
class Odds:
    """What may become of one request."""

    failure_share: float
    hit_share: float
    quality: float
    token_factor: float = 1.0
    failures: tuple[Failure, ...] = USUAL_FAILURES


class Effect(Protocol):
    """One way to go wrong."""

    def bend(self, odds: Odds, request: Request, days: float, /) -> None:
        """Change the odds of a request that begins `days` after the scenario did."""


@dataclass(frozen=True, slots=True)
class Normal:
    """Nothing happens."""

    def bend(self, _odds: Odds, _request: Request, _days: float) -> None:
        """Leave the odds alone."""


@dataclass(frozen=True, slots=True)
class CostSpike:
    """One feature, or one of its users, runs away: every request takes `factor` times the tokens."""

    factor: float = 8.0
    feature: str = "summarise"
    user_id: str | None = None

    def bend(self, odds: Odds, request: Request, _days: float) -> None:
        """Multiply the tokens."""
        if request.feature.name == self.feature and self.user_id in (None, request.user_id):
            odds.token_factor *= self.factor


@dataclass(frozen=True, slots=True)
class QualitySlide:
    """Scores fall linearly, by `percent_a_day` of where they began."""

    percent_a_day: float = 3.0

    def bend(self, odds: Odds, _request: Request, days: float) -> None:
        """Lower the quality by the days passed."""
        odds.quality *= max(0.0, 1 - self.percent_a_day / 100 * days)


@dataclass(frozen=True, slots=True)
class BadCanary:
    """A release fails often and answers worse; its new prompt finds nothing in the gateway's cache."""

    release: str = "v2"
    failure_share: float = 0.25
    quality_factor: float = 0.75

    def bend(self, odds: Odds, request: Request, _days: float) -> None:
        """Fail and score lower on the named release alone."""
        if request.release == self.release:
            odds.failure_share = max(odds.failure_share, self.failure_share)
            odds.quality *= self.quality_factor
            odds.hit_share = 0.0


@dataclass(frozen=True, slots=True)
class VendorOutage:
    """A vendor is overloaded; what the gateway's cache answers is spared."""

    vendor: str = "openai"
    failure_share: float = 0.7

    def bend(self, odds: Odds, request: Request, _days: float) -> None:
        """Fail the vendor's requests as unavailable or timed out."""
        if request.model.vendor == self.vendor:
            odds.failure_share = max(odds.failure_share, self.failure_share)
            odds.failures = OUTAGE_FAILURES


@dataclass(frozen=True, slots=True)
class CacheCollapse:
    """The gateway forgets embeddings: few requests are hits."""

    hit_share: float = 0.15

    def bend(self, odds: Odds, request: Request, _days: float) -> None:
        """Lower the hit rate of embeddings."""
        if request.embedding:
            odds.hit_share = min(odds.hit_share, self.hit_share)


_Kind = type[Normal | CostSpike | QualitySlide | BadCanary | VendorOutage | CacheCollapse]

SCENARIOS: Mapping[str, _Kind] = {
    "normal": Normal,
    "cost-spike": CostSpike,
    "quality-slide": QualitySlide,
    "bad-canary": BadCanary,
    "vendor-outage": VendorOutage,
    "cache-collapse": CacheCollapse,
}


@dataclass(frozen=True, slots=True)
class Scenario:
    """A named effect over a window; `params` overrides the fields of its effect.

    Raises:
        UnknownName: for a scenario or a parameter that does not exist.
        InvalidValue: for a parameter of another type; numbers may come as text.
    """

    name: str
    window: Window
    params: Mapping[str, float | str] = field(default_factory=dict)
    effect: Effect = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        kind = SCENARIOS.get(self.name)
        if kind is None:
            raise UnknownName("scenario", self.name, SCENARIOS)
        known = [param.name for param in fields(kind)]
        for name in self.params:
            if name not in known:
                raise UnknownName(f"{self.name} parameter", name, known)
        try:
            effect = msgspec.convert(self.params, kind, strict=False)
        except msgspec.ValidationError as error:
            raise InvalidValue(f"{self.name} parameters", dict(self.params), f"usable: {error}") from error
        object.__setattr__(self, "effect", effect)
