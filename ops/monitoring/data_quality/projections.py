"""The checks of the latest projections: fresh, in order, of parts that exist, and near those of the day before."""

from __future__ import annotations

from ops.monitoring.alerts import Tier
from ops.monitoring.data_quality.checks import Suite, Use, complete, no_findings

FRESH_HOURS = 3  # they are made once an hour
MOVE_FACTOR = 3

PROJECTIONS = Suite(
    "projections",
    (
        complete("method"),
        no_findings("intervals hold what they are of", "projections_disordered"),
        no_findings("every part is known to the roll-ups", "projections_unknown", Tier.WARNING),
        no_findings(f"they are at most {FRESH_HOURS} hours old", "projections_stale", Tier.WARNING),
        no_findings(
            f"the month is within {MOVE_FACTOR} times that of the day before", "projections_jump", Tier.WARNING
        ),
    ),
    frozenset({Use.PROJECTIONS}),
)
