"""Why spend changed: how much came from more requests, longer requests and dearer tokens.

Before it: `tasks/stores` sums two periods. After it: reports and alerts name the cause next to the amount.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from decimal import Decimal

from ops.errors import InvalidValue

_PLACES = Decimal("1e-12")  # finer than any token price, so that the shares add up to the last digit


@dataclass(frozen=True, slots=True)
class PeriodUsage:
    """What was used and spent in one period; only priced requests, so that the three belong together."""

    requests: int
    tokens: int
    cost_usd: Decimal

    def __post_init__(self) -> None:
        for field in ("requests", "tokens", "cost_usd"):
            if getattr(self, field) < 0:
                raise InvalidValue(field, getattr(self, field), "at least 0")


@dataclass(frozen=True, slots=True)
class CauseShares:
    """The change of spend in USD, by cause; negative where a cause saved money."""

    requests_usd: Decimal
    tokens_per_request_usd: Decimal
    price_per_token_usd: Decimal

    @property
    def change_usd(self) -> Decimal:
        """The whole change, exactly the sum of the causes."""
        return self.requests_usd + self.tokens_per_request_usd + self.price_per_token_usd

    def plus(self, other: CauseShares, sign: int = 1) -> CauseShares:
        """Add another change's causes, or take them away."""
        return CauseShares(*(getattr(self, f.name) + sign * getattr(other, f.name) for f in fields(self)))


NO_CHANGE = CauseShares(Decimal(0), Decimal(0), Decimal(0))
_NOTHING = PeriodUsage(0, 0, Decimal(0))


def break_down_by_model(before: Mapping[str, PeriodUsage], after: Mapping[str, PeriodUsage]) -> CauseShares:
    """Add up the causes of every model's change; they add up to the whole exactly.

    Over all models together a dearer or cheaper mix of them would pass for a change of price, and be none. A model that
    begins, ends or takes over from another is a change of requests.
    """
    total = NO_CHANGE
    for model in before.keys() | after.keys():
        total = total.plus(break_down(before.get(model, _NOTHING), after.get(model, _NOTHING)))
    return total


def break_down(before: PeriodUsage, after: PeriodUsage) -> CauseShares:
    """Split the change of spend = requests x tokens/request x USD/token into its three causes.

    Each cause x has the share L ln(x1 / x0), where L = (C1 - C0) / ln(C1 / C0) is the log-mean of the two costs: exact,
    and the same in any order of causes (LMDI-I: Ang, Energy Policy 32, 2004). Where a factor begins or ends at 0 there
    is no ratio, and the first such factor is the whole cause.
    """
    change = after.cost_usd - before.cost_usd
    if before.requests == 0 or after.requests == 0:
        return CauseShares(change, Decimal(0), Decimal(0))
    if (before.tokens == 0) != (after.tokens == 0):
        return CauseShares(Decimal(0), change, Decimal(0))
    if before.cost_usd == 0 or after.cost_usd == 0:
        return CauseShares(Decimal(0), Decimal(0), change)
    requests = _share(before, after, Decimal(after.requests) / before.requests)
    tokens = _share(before, after, _tokens_per_request(after) / _tokens_per_request(before))
    return CauseShares(requests, tokens, change - requests - tokens)


def _share(before: PeriodUsage, after: PeriodUsage, ratio: Decimal) -> Decimal:
    cost_ratio = (after.cost_usd / before.cost_usd).ln()
    log_mean = (after.cost_usd - before.cost_usd) / cost_ratio if cost_ratio else after.cost_usd
    return (log_mean * ratio.ln()).quantize(_PLACES)


def _tokens_per_request(usage: PeriodUsage) -> Decimal:
    # Without any tokens (images, seconds) the price is per request.
    return Decimal(usage.tokens or usage.requests) / usage.requests
