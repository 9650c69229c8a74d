"""What was spent, and by whom: the parts of a sum, each with its share, its price per request and why it changed.

Before it: `tasks/stores/cost_reports.py` sums up roll-ups. After it: `tasks/report_costs.py` gathers the report.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from decimal import Decimal
from enum import StrEnum

from ops.cost.breakdown import CauseShares, PeriodUsage, break_down_by_model
from ops.money import DIVERGENCE


class Dimension(StrEnum):
    """By what a report tells cost apart."""

    USER = "user"
    TEAM = "team"
    FEATURE = "feature"
    MODEL = "model"
    RELEASE = "release"
    OPERATION = "operation"
    DAY = "day"
    MONTH = "month"
    VENDOR = "vendor"
    COMPONENT = "component"


IN_TIME = frozenset({Dimension.DAY, Dimension.MONTH})  # told in their own order


class Each(StrEnum):
    """In what steps of time, UTC, each part is told."""

    DAY = "day"
    MONTH = "month"


@dataclass(frozen=True, slots=True)
class Spend:
    """What some requests used and cost; the cost is that of those with a price."""

    events: int = 0
    unpriced_events: int = 0
    usd: Decimal = Decimal(0)
    input_tokens: int = 0
    output_tokens: int = 0
    priced_tokens: int = 0  # of hours and names of which anything has a price
    compared_usd: Decimal = Decimal(0)  # our cost of the events that a source reports a cost of, too
    reported_usd: Decimal = Decimal(0)  # what it reports of the same events

    def plus(self, other: Spend, sign: int = 1) -> Spend:
        """Add another's sums, or take them away."""
        return Spend(*(getattr(self, f.name) + sign * getattr(other, f.name) for f in fields(self)))

    @property
    def priced_events(self) -> int:
        """How many requests the cost is of."""
        return self.events - self.unpriced_events

    @property
    def known_usd(self) -> Decimal | None:
        """The cost for people; None where there are requests, and none has a price."""
        return None if self.events and not self.priced_events else self.usd

    @property
    def usd_per_request(self) -> Decimal | None:
        """The mean cost of a request that has a price; None without one."""
        return self.usd / self.priced_events if self.priced_events else None

    @property
    def divergence(self) -> float | None:
        """How far our cost is off what sources report, as a share of that; None where nothing can be compared."""
        if not self.reported_usd:
            return None if not self.compared_usd else 1.0
        return float((self.compared_usd - self.reported_usd) / self.reported_usd)

    @property
    def diverges(self) -> bool:
        """Whether our cost is off by more than DIVERGENCE."""
        return self.divergence is not None and abs(self.divergence) > DIVERGENCE

    def as_period(self) -> PeriodUsage:
        """Return what the causes of a change are worked out from."""
        # Users' days tell tokens with a price less finely than hours do: their rest can be below 0.
        return PeriodUsage(self.priced_events, max(self.priced_tokens, 0) if self.priced_events else 0, self.usd)


PartKey = tuple[str | None, str | None]  # what it is (None: unknown), and when (None: the whole span)
Wholes = Mapping[str | None, Spend]  # everything, by the same steps of time
Models = Mapping[str, Spend]  # by vendor/model


@dataclass(frozen=True, slots=True)
class Part:
    """One part of the whole; `before` is the same part of the span that it is compared with."""

    key: str | None
    at: str | None
    spend: Spend
    share: float | None  # of the cost of its time; None when nothing was spent
    before: Spend | None = None
    causes: CauseShares | None = None  # why it changed; None when it is compared with nothing


@dataclass(frozen=True, slots=True)
class Before:
    """The parts of the span that is compared with, and why each changed where its models are told apart."""

    sums: Mapping[PartKey, Spend]
    causes: Mapping[PartKey, CauseShares]

    def compared(self, key: PartKey, spend: Spend) -> tuple[Spend, CauseShares]:
        """Return a part of then and why it changed; one whose models are not told apart is taken as one model."""
        then = self.sums.get(key, Spend())
        return then, self.causes[key] if key in self.causes else causes({"": then}, {"": spend})


def parts(
    sums: Mapping[PartKey, Spend], wholes: Wholes, before: Before | None = None, *, in_time: bool = False
) -> tuple[Part, ...]:
    """Return the parts in the order of time, then the dearest first; those of both spans when there is one before.

    `in_time` is for parts that are times themselves.
    """
    found = [
        _part(key, sums.get(key, Spend()), wholes.get(key[1], Spend()), before)
        for key in sums.keys() | (before.sums.keys() if before else set())
    ]
    if in_time:
        return tuple(sorted(found, key=lambda part: (part.at or "", part.key or "")))
    return tuple(sorted(found, key=lambda part: (part.at or "", -part.spend.usd, part.key is None, part.key or "")))


def _part(key: PartKey, spend: Spend, whole: Spend, before: Before | None) -> Part:
    share = float(spend.usd / whole.usd) if whole.usd else None
    return Part(*key, spend, share, *(before.compared(key, spend) if before else ()))


def with_rest(sums: Mapping[PartKey, Spend], wholes: Wholes) -> dict[PartKey, Spend]:
    """Add what no part accounts for to the unknown one, so that the parts add up to the whole."""
    rests = dict(wholes)
    for (_, at), spend in sums.items():
        rests[at] = rests.get(at, Spend()).plus(spend, -1)
    unknown: dict[PartKey, Spend] = {
        (None, at): sums.get((None, at), Spend()).plus(rest) for at, rest in rests.items() if rest.events
    }
    return dict(sums) | unknown


def causes(before: Models, after: Models) -> CauseShares:
    """Split a change of cost into every model's requests, tokens per request and price per token, exactly."""
    return break_down_by_model(*({name: spend.as_period() for name, spend in side.items()} for side in (before, after)))
