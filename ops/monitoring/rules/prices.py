"""A model of the last day whose cost is not known, or is not what its sources report.

Information only: nothing is broken, but whoever trusts the sums must know.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from ops.money import DIVERGENCE, usd
from ops.monitoring.alerts import Condition, Json, Status, Summary, Tier, percent

CLEAR = 0.8 * DIVERGENCE
FLOOR_USD = Decimal("0.01")  # a smaller difference is nothing to tell


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceSample:
    """What a model's requests of the last day cost; both sums are of those that have both costs."""

    model: str  # vendor/model
    events: int = 0
    failures: int = 0
    unpriced_events: int = 0
    our_usd: Decimal = Decimal(0)
    reported_usd: Decimal = Decimal(0)

    @property
    def unpriced(self) -> float:
        """The share of requests without a price; 0 where they can be failures that tell no tokens."""
        return self.unpriced_events / self.events if self.unpriced_events > self.failures else 0.0

    @property
    def difference(self) -> float:
        """How far our cost is off the reported one, as a share of that; 0 where it is less than a cent."""
        change = self.our_usd - self.reported_usd
        if abs(change) < FLOOR_USD:
            return 0.0
        return float(change / self.reported_usd) if self.reported_usd else 1.0


def evaluate(sample: PriceSample) -> Condition:
    """Breach when more than 1 % of the requests have no price, or the cost is more than 1 % off the reported one."""
    unknown = sample.unpriced > DIVERGENCE
    share = sample.unpriced if unknown else sample.difference
    breach = abs(share) > DIVERGENCE
    return Condition(
        rule="prices",
        key=f"model:{sample.model}",
        status=Status.BREACH if breach else Status.OK,
        tier=Tier.INFO if breach else None,
        value=share,
        limit=DIVERGENCE,
        unit="share",
        summary=_summary(sample, share, is_unknown=unknown),
        evidence=_evidence(sample, is_unknown=unknown) if breach else {},
        near_limit=not breach and max(abs(share), sample.unpriced) > CLEAR,
    )


def _summary(sample: PriceSample, share: float, *, is_unknown: bool) -> Summary:
    if is_unknown:
        told = f"unknown for {sample.unpriced_events:,} of {sample.events:,} requests in 24 h"
        return Summary("Price", told, percent(DIVERGENCE))
    if not sample.events:
        return Summary("Price", "no requests in 24 h", percent(DIVERGENCE))
    return Summary("Cost", f"{share:+.1%} against what its sources report", percent(DIVERGENCE))


def _evidence(sample: PriceSample, *, is_unknown: bool) -> dict[str, Json]:
    if is_unknown:
        some = "some requests tell no tokens, or a tier has no price"
        none = sample.unpriced_events == sample.events
        why = "neither `prices` nor the price book knows it" if none else some
        return {"cause": why, "what_to_do": "name its price in `prices`, then run cost reprice"}
    return {"ours": usd(sample.our_usd), "reported": usd(sample.reported_usd)}
