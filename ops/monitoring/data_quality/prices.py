"""The checks of prices: every cost follows from a card that is kept, and no card is off by a factor."""

from __future__ import annotations

from ops.monitoring.alerts import Tier
from ops.monitoring.data_quality.checks import Check, Kind, Suite, Use, between, no_findings

PRICE_FACTOR = 5  # vendors' own cuts went up to it; a wrong unit is 10 or 1000

PRICES = Suite(
    "prices",
    (
        between("cost_usd", 0, 1000, Tier.CRITICAL),
        Check("at least 95 % of events are priced", "cost_usd", Kind.COMPLETE, {"mostly": 0.95}, Tier.WARNING),
        no_findings("every price is on a card that is kept", "prices_without_card", Tier.WARNING),
        no_findings("cost is price times tokens", "costs_differ"),
        no_findings(f"no price is {PRICE_FACTOR} times that of a day of the week before", "prices_jump"),
    ),
    frozenset({Use.PROJECTIONS}),
)
