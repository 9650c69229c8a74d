"""Cache hit rate of eligible requests."""

from __future__ import annotations

from datetime import timedelta

import pytest

from ops.monitoring.alerts import Status, Summary, Tier
from ops.monitoring.rules.cache import CacheSample, evaluate
from ops.proportions import Share


@pytest.mark.parametrize(
    ("hits", "since_deployment", "status"),
    [
        pytest.param(Share(600, 1000), None, Status.BREACH, id="60 % of 1,000 is proven to be below 70 %"),
        pytest.param(Share(690, 1000), None, Status.OK, id="69 % of 1,000 may be chance"),
        pytest.param(Share(900, 1000), None, Status.OK, id="90 % is fine"),
        pytest.param(Share(0, 49), None, Status.INSUFFICIENT_DATA, id="49 requests are too few"),
        pytest.param(Share(20, 50), None, Status.BREACH, id="50 are enough"),
        pytest.param(Share(600, 1000), timedelta(minutes=14), Status.INSUFFICIENT_DATA, id="a new deployment is cold"),
        pytest.param(Share(600, 1000), timedelta(minutes=15), Status.BREACH, id="not for longer than 15 minutes"),
    ],
)
def test_cache_needs_proof_and_time_to_warm(hits: Share, since_deployment: timedelta | None, status: Status) -> None:
    condition = evaluate(CacheSample("chat-api", hits, since_deployment))
    assert condition.status is status
    assert condition.tier is (Tier.WARNING if status is Status.BREACH else None)


def test_cache_shows_the_hit_rate_and_what_missed() -> None:
    condition = evaluate(CacheSample("chat-api", Share(600, 1000)))
    assert condition.summary == Summary("Cache hit rate", "60 %", "70 %")
    assert condition.evidence == {"blast_radius": "400 of 1,000 eligible requests missed"}


@pytest.mark.parametrize(("hits", "near"), [(720, False), (719, True), (690, True), (600, False)])
def test_cache_clears_only_at_72_percent(hits: int, near: bool) -> None:
    assert evaluate(CacheSample("chat-api", Share(hits, 1000))).near_limit is near


@pytest.mark.parametrize(
    ("measured", "value"),
    [
        pytest.param(CacheSample("k", Share(1, 9)), "unknown: 9 eligible requests, 50 needed", id="too few"),
        pytest.param(
            CacheSample("k", Share(1, 900), timedelta(0)), "unknown: cold after a deployment", id="a new deployment"
        ),
    ],
)
def test_cache_says_what_it_is_missing(measured: CacheSample, value: str) -> None:
    condition = evaluate(measured)
    assert condition.summary == Summary("Cache hit rate", value, "70 %")
    assert condition.value == measured.hits.rate


def test_cache_that_nobody_asks_any_more_is_over() -> None:
    condition = evaluate(CacheSample("embedding", is_idle=True))
    assert condition.status is Status.OK
    assert condition.summary == Summary("Cache hit rate", "no requests in 7 d: no longer in use", "70 %")
