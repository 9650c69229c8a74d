"""A vendor's last final day on which our logs and its own report differ by more than the settings allow.

Whoever trusts the figures here must know when they are not what the vendor will charge.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal

from ops.errors import InvalidValue
from ops.money import usd
from ops.monitoring.alerts import Condition, Status, Summary, Tier, percent


@dataclass(frozen=True, slots=True, kw_only=True)
class BillSample:
    """Both sides of a vendor's last final day; `amount` is what they are compared in."""

    vendor: str
    day: date | None  # None: no final day lately
    ours: Decimal | None = None
    theirs: Decimal | None = None
    unit: str = "USD"  # or tokens, where a side has no dollars
    tolerance: float
    floor_usd: Decimal  # a smaller difference in dollars is nothing to tell
    shows: str = ""
    worst: Mapping[str, str] = field(default_factory=dict)  # model -> what its line shows

    def __post_init__(self) -> None:
        if not self.tolerance > 0:
            raise InvalidValue("alerting.bill_tolerance", self.tolerance, "above 0")


def evaluate(sample: BillSample) -> Condition:
    """Breach when |ours - theirs| exceeds the tolerance's share of theirs, and in dollars the floor too."""
    limit = percent(sample.tolerance)
    if sample.day is None or sample.ours is None or sample.theirs is None:
        return _condition(sample, None, Summary("Vendor's bill", "no final day that both sides know", limit))
    difference = sample.ours - sample.theirs
    share = float(difference / sample.theirs) if sample.theirs else float(difference > 0)
    counts = sample.unit != "USD" or abs(difference) >= sample.floor_usd
    told = f"{share:+.1%} against {sample.vendor}'s own figure of {sample.day:%Y-%m-%d}"
    breach = counts and abs(share) > sample.tolerance
    return _condition(sample, share, Summary("Our logs", told, limit), Tier.WARNING if breach else None)


def _condition(sample: BillSample, share: float | None, summary: Summary, tier: Tier | None = None) -> Condition:
    known = share is not None
    facts = {
        "cause": sample.shows,
        "ours": _amount(sample.ours, sample.unit),
        "theirs": _amount(sample.theirs, sample.unit),
    }
    return Condition(
        rule="reconciliation",
        key=f"vendor:{sample.vendor}",
        status=Status.BREACH if tier else Status.OK if known else Status.INSUFFICIENT_DATA,
        tier=tier,
        value=share,
        limit=sample.tolerance,
        unit="share",
        summary=summary,
        evidence={**facts, **sample.worst} if known else {},
    )


def _amount(amount: Decimal | None, unit: str) -> str:
    return usd(amount) if unit == "USD" else f"{amount:,} {unit}"
