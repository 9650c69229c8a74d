"""An hour's cost that is a spike: critical above twice what is usual, a warning above 1.5 times, else an info.

Only when it is also dearer than usual by a floor in dollars. Of a shift that lasts, the first hours are told: what is
usual follows within a day, and the projection says what it will cost.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from ops.errors import InvalidValue
from ops.money import usd
from ops.monitoring.alerts import Condition, Json, Status, Summary, Tier
from ops.monitoring.baselines import Maturity
from ops.monitoring.spikes import Usual, usual

WARNING_RATIO = 1.5
CRITICAL_RATIO = 2.0
CLEAR_RATIO = 1.4
TOTAL = "total"


@dataclass(frozen=True, slots=True)
class Drivers:
    """What each factor of cost = requests x tokens/request x $/token added to a normal hour, over all models."""

    requests_usd: Decimal
    tokens_per_request_usd: Decimal
    price_per_token_usd: Decimal

    def cause(self) -> str:
        """Name the factor that added most."""
        factors = {
            "requests": self.requests_usd,
            "tokens per request": self.tokens_per_request_usd,
            "$ per token": self.price_per_token_usd,
        }
        name = max(factors, key=lambda factor: factors[factor])
        return f"{name}, {usd(factors[name])} more than normal"


@dataclass(frozen=True, slots=True)
class SpendSample:
    """What one key cost in the last full hour, and in all the hours before that, the oldest first."""

    key: str  # `total`, or a part: `feature:search`
    cost_usd: Decimal
    history: tuple[float, ...]  # USD; an hour without events cost nothing
    floor_usd: Decimal  # less than this much more in an hour is not worth a message
    absolute_limit_usd: Decimal | None = None  # what holds while nobody knows what is usual
    drivers: Drivers | None = None

    def __post_init__(self) -> None:
        if not self.floor_usd > 0:
            raise InvalidValue("spend.floor_usd", self.floor_usd, "above 0")


def evaluate(sample: SpendSample) -> Condition:
    """Breach when the hour is a spike and dearer than usual by the floor; x over what is usual says how grave it is."""
    normal = usual(sample.history)
    if normal is None:
        return _absolute(sample)
    cost, floor = float(sample.cost_usd), float(sample.floor_usd)
    expected = max(normal.cost, normal.same_hour)
    excess = cost - expected
    ratio = (cost + floor) / (expected + floor)
    breach = excess >= floor and normal.is_spike(cost, is_whole=sample.key == TOTAL)
    tier = _tier(ratio) if breach else None
    limit = CRITICAL_RATIO if tier is Tier.CRITICAL else WARNING_RATIO
    return Condition(
        rule="spend",
        key=sample.key,
        status=Status.OK if tier is None else Status.BREACH,
        tier=tier,
        value=ratio,
        limit=limit,
        unit="ratio",
        summary=Summary("Spend", f"{usd(sample.cost_usd)} in an hour, {ratio:.1f}x normal", f"{limit:g}x"),
        evidence=_evidence(sample, normal, expected),
        near_limit=tier is None and excess >= floor and ratio > CLEAR_RATIO,
    )


def _tier(ratio: float) -> Tier:
    if ratio > CRITICAL_RATIO:
        return Tier.CRITICAL
    return Tier.WARNING if ratio > WARNING_RATIO else Tier.INFO


def _evidence(sample: SpendSample, normal: Usual, expected: float) -> dict[str, Json]:
    excess = float(sample.cost_usd) - expected
    facts: dict[str, Json] = {"blast_radius": f"{usd(excess)} more than normal in an hour"}
    if sample.drivers is not None:
        facts["cause"] = sample.drivers.cause()
    return {**facts, "normal": usd(expected), "dearest_hour_of_the_week": usd(normal.dearest)}


def _absolute(sample: SpendSample) -> Condition:
    """Only an absolute limit can be kept while nobody knows what is usual."""
    limit = sample.absolute_limit_usd
    breach = limit is not None and sample.cost_usd > limit
    status = Status.BREACH if breach else Status.INSUFFICIENT_DATA if limit is None else Status.OK
    return Condition(
        rule="spend",
        key=sample.key,
        status=status,
        tier=Tier.WARNING if breach else None,
        value=float(sample.cost_usd),
        limit=None if limit is None else float(limit),
        unit="USD",
        summary=Summary("Spend", f"{usd(sample.cost_usd)} in an hour, {Maturity.IMMATURE}", usd(limit)),
        evidence={"cause": sample.drivers.cause()} if sample.drivers is not None else {},
    )
