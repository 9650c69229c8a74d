"""The suites of data checks: what must be true of the data before anything is decided on it.

Before it: `flows/ingest_usage.py` and `flows/project_costs.py` have written the rows. After it:
`tasks/check_quality.py` has Great Expectations check them; severities are alert tiers (`rules/data_quality.py`), and a
critical check that fails holds what its suite carries. To add a check: a line in its suite; one that needs more than a
column has a statement in `tasks/stores/sql/`.
"""

from __future__ import annotations

from collections.abc import Mapping

from ops.errors import UnknownName
from ops.monitoring.data_quality.checks import Suite, Use
from ops.monitoring.data_quality.events import EVENTS
from ops.monitoring.data_quality.prices import PRICES
from ops.monitoring.data_quality.projections import PROJECTIONS
from ops.monitoring.data_quality.rollups import ROLLUPS
from ops.monitoring.data_quality.traffic import TRAFFIC

SUITES: Mapping[str, Suite] = {suite.name: suite for suite in (EVENTS, TRAFFIC, ROLLUPS, PRICES, PROJECTIONS)}


def find(name: str) -> Suite:
    """Return the suite of that name.

    Raises:
        UnknownName: listing the known ones.
    """
    try:
        return SUITES[name]
    except KeyError:
        raise UnknownName("suite", name, SUITES) from None


def suites_under(use: Use) -> tuple[str, ...]:
    """Name the suites that a use rests on."""
    return tuple(suite.name for suite in SUITES.values() if use in suite.carries)
