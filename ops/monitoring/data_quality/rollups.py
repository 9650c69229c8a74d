"""The checks of the hourly roll-up: sane by itself, and equal to its events."""

from __future__ import annotations

from ops.monitoring.alerts import Tier
from ops.monitoring.data_quality.checks import Suite, Use, at_most, between, complete, no_findings

ROLLUPS = Suite(
    "rollups",
    (
        *(complete(column) for column in ("vendor", "model", "operation")),
        between("events", 1, 10**12, Tier.CRITICAL),
        at_most("failures are part of the events", "failures", "events"),
        at_most("unpriced events are part of the events", "unpriced_events", "events"),
        no_findings("roll-ups equal their events", "rollups_differ"),
    ),
    frozenset({Use.PROJECTIONS}),
)
