"""P95 above twice the baseline, as a share of slow requests."""

from __future__ import annotations

import pytest

from ops.monitoring.alerts import Status, Summary, Tier
from ops.monitoring.rules.latency import LatencySample, evaluate
from ops.proportions import Share


@pytest.mark.parametrize(
    ("slow", "baseline_ms", "status"),
    [
        pytest.param(Share(80, 1000), 1200.0, Status.BREACH, id="8 % slow requests are proven to be above 5 %"),
        pytest.param(Share(55, 1000), 1200.0, Status.OK, id="5.5 % of 1,000 may be chance"),
        pytest.param(Share(5500, 100_000), 1200.0, Status.BREACH, id="5.5 % of 100,000 is not"),
        pytest.param(Share(20, 52), 1200.0, Status.BREACH, id="52 are enough"),
        pytest.param(Share(20, 51), 1200.0, Status.INSUFFICIENT_DATA, id="51 are not"),
        pytest.param(Share(50, 50), 1200.0, Status.INSUFFICIENT_DATA, id="50 requests are too few, however slow"),
        pytest.param(Share(80, 1000), None, Status.INSUFFICIENT_DATA, id="nothing is slow without a baseline"),
    ],
)
def test_latency_needs_proof_and_a_baseline(slow: Share, baseline_ms: float | None, status: Status) -> None:
    condition = evaluate(LatencySample("chat-api", slow, baseline_ms))
    assert condition.status is status
    assert condition.tier is (Tier.CRITICAL if status is Status.BREACH else None)


def test_latency_shows_what_slow_means() -> None:
    condition = evaluate(LatencySample("chat-api", Share(80, 1000), 1200))
    assert condition.summary == Summary("P95 latency", "8 % slower than 2x baseline", "5 %")
    assert condition.evidence == {
        "blast_radius": "80 of 1,000 requests",
        "slower_than": "2,400 ms",  # 2 x 1,200
        "baseline_p95": "1,200 ms",
    }


@pytest.mark.parametrize(
    ("sample", "value"),
    [
        (LatencySample("chat-api", Share(1, 20), 1200), "unknown: 20 requests, 52 needed"),
        (LatencySample("chat-api"), "unknown: baseline immature"),
    ],
)
def test_latency_says_what_it_is_missing(sample: LatencySample, value: str) -> None:
    assert evaluate(sample).summary.value == value


@pytest.mark.parametrize(("slow", "near"), [(40, False), (41, True), (55, True), (80, False)])
def test_latency_clears_only_at_four_percent(slow: int, near: bool) -> None:
    assert evaluate(LatencySample("chat-api", Share(slow, 1000), 1200)).near_limit is near


def test_latency_of_what_nobody_asks_any_more_is_over() -> None:
    condition = evaluate(LatencySample("gpt-4", is_idle=True))
    assert condition.status is Status.OK
    assert condition.summary == Summary("P95 latency", "no requests in 7 d: no longer in use", "5 %")
