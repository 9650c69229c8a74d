"""Cost above 1.5 times (critical: twice) what is normal for this hour of the week.

Three-hour sums against a seasonal median: simulated, it fires falsely 0.0 to 0.15 times in 30 days, where a trailing
24-hour mean does 30 to 39 times. Both the ratio and the dollars must be out of the ordinary.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from ops.errors import InvalidValue
from ops.money import usd
from ops.monitoring.alerts import Condition, Json, Status, Summary, Tier
from ops.monitoring.baselines import Baseline, Maturity, Point, seasonal

WARNING_RATIO = 1.5
CRITICAL_RATIO = 2.0
CLEAR_RATIO = 1.4
CLEAR_EXCESS = 0.8
SIGMA_PER_MAD = 1.4826  # of a normal distribution


@dataclass(frozen=True, slots=True)
class Drivers:
    """How many times normal each factor is of: cost = requests x tokens/request x $/token."""

    requests: float
    tokens_per_request: float
    usd_per_token: float

    def cause(self) -> str:
        """Name the factor that rose most."""
        factors = {
            "requests": self.requests,
            "tokens per request": self.tokens_per_request,
            "$ per token": self.usd_per_token,
        }
        name = max(factors, key=lambda factor: factors[factor])
        return f"{name} {factors[name]:.1f}x normal"


@dataclass(frozen=True, slots=True)
class SpendSample:
    """The last three hours' cost of one key, and the same sums of earlier hours."""

    key: str
    at: datetime  # the hour of cost_usd, by the same convention as the history's points
    cost_usd: Decimal
    history: tuple[Point, ...]  # three-hour sums in USD, one an hour
    floor_usd: Decimal  # less than this much more is not worth a message
    absolute_limit_usd: Decimal | None = None  # what holds while the baseline is immature
    drivers: Drivers | None = None

    def __post_init__(self) -> None:
        if not self.floor_usd > 0:
            raise InvalidValue("spend.floor_usd", self.floor_usd, "above 0")


def evaluate(sample: SpendSample) -> Condition:
    """Breach when (C + f) / (m + f) > 1.5 (critical 2) and C - m > max(4 * 1.4826 MAD, 0.2 m, f).

    C is the three-hour cost, m and MAD the seasonal median and deviation, f the floor; all in USD.
    """
    normal = seasonal(sample.history, sample.at)
    if normal.centre is None or normal.mad is None:
        return _absolute(sample)
    cost, floor = float(sample.cost_usd), float(sample.floor_usd)
    ratio = (cost + floor) / (normal.centre + floor)
    excess = cost - normal.centre
    material = max(4 * SIGMA_PER_MAD * normal.mad, 0.2 * normal.centre, floor)
    tier = _tier(ratio) if excess > material else None
    limit = CRITICAL_RATIO if tier is Tier.CRITICAL else WARNING_RATIO
    return Condition(
        rule="spend",
        key=sample.key,
        status=Status.OK if tier is None else Status.BREACH,
        tier=tier,
        value=ratio,
        limit=limit,
        unit="ratio",
        summary=Summary("Spend", f"{usd(sample.cost_usd)} in 3 h, {ratio:.1f}x normal", f"{limit:g}x"),
        evidence=_evidence(sample, normal, excess),
        near_limit=tier is None and ratio > CLEAR_RATIO and excess > CLEAR_EXCESS * material,
    )


def _tier(ratio: float) -> Tier | None:
    if ratio > CRITICAL_RATIO:
        return Tier.CRITICAL
    return Tier.WARNING if ratio > WARNING_RATIO else None


def _evidence(sample: SpendSample, normal: Baseline, excess: float) -> dict[str, Json]:
    facts: dict[str, Json] = {"blast_radius": f"{usd(excess)} more than normal in 3 h"}
    if sample.drivers is not None:
        facts["cause"] = sample.drivers.cause()
    return {**facts, "normal": usd(normal.centre), "baseline": f"{normal.maturity}, {normal.n} points"}


def _absolute(sample: SpendSample) -> Condition:
    """Only an absolute limit can be kept while nobody knows what is normal."""
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
        summary=Summary("Spend", f"{usd(sample.cost_usd)} in 3 h, {Maturity.IMMATURE}", usd(limit)),
        evidence={"cause": sample.drivers.cause()} if sample.drivers is not None else {},
    )
