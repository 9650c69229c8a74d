"""The registry of rules."""

from __future__ import annotations

from datetime import timedelta

import pytest

from ops.errors import UnknownName
from ops.monitoring.alerts import Policy, Status
from ops.monitoring.rules import RULES, find
from ops.monitoring.rules.cache import CacheSample
from ops.proportions import Share


def test_find_returns_a_rule_that_evaluates_its_sample_under_its_own_name() -> None:
    condition = find("cache")(CacheSample("chat-api", Share(10, 100)))
    assert (condition.rule, condition.status) == ("cache", Status.BREACH)


def test_find_lists_the_known_rules_when_it_does_not_know_one() -> None:
    known = "availability, cache, data_quality, judge, latency, prices, quality, reconciliation, silence, spend, vendor"
    with pytest.raises(UnknownName, match=f"'speed' is not one of {known}"):
        find("speed")


@pytest.mark.parametrize(
    ("name", "policy"),
    [
        pytest.param("availability", Policy(fire_after=2, clear_after=3), id="availability fires at the second breach"),
        pytest.param("latency", Policy(clear_after=10), id="latency clears after ten good minutes"),
        pytest.param("quality", Policy(fire_after=2, clear_after=3), id="quality fires at the second breach"),
        pytest.param("cache", Policy(hold=timedelta(minutes=30)), id="the cache is given half an hour"),
        pytest.param("spend", Policy(), id="an hour of spend is judged as often as it takes"),
    ],
)
def test_rules_hold_their_breaches(name: str, policy: Policy) -> None:
    assert RULES[name].policy == policy
