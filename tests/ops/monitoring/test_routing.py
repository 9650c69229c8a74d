"""Which destinations get an alert."""

from __future__ import annotations

import pytest

from ops.monitoring.alerts import Tier
from ops.monitoring.routing import Channel, route

ONCALL = Channel("oncall", "slack", frozenset({Tier.CRITICAL}), target="C1")
TEAM = Channel("team", "slack", frozenset({Tier.CRITICAL, Tier.WARNING}), target="C2")
CONSOLE = Channel("console", "console", frozenset(Tier))


@pytest.mark.parametrize(
    ("tier", "names"),
    [
        pytest.param(Tier.CRITICAL, ["console", "oncall", "team"], id="critical goes to all, in the settings' order"),
        pytest.param(Tier.WARNING, ["console", "team"], id="a warning does not page"),
        pytest.param(Tier.INFO, ["console"], id="info goes to the log"),
    ],
)
def test_route_chooses_the_channels_of_a_tier(tier: Tier, names: list[str]) -> None:
    assert [channel.name for channel in route(tier, [CONSOLE, ONCALL, TEAM])] == names


def test_route_may_find_nobody() -> None:
    assert route(Tier.INFO, [ONCALL, TEAM]) == ()
