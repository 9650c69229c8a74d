"""P95 latency above twice the baseline B, asked as a question that has a confidence bound.

P95 > 2B is the same as: the share of requests slower than 2B exceeds 5 %. A count has a Wilson bound; a P95 has not.
"""

from __future__ import annotations

from dataclasses import dataclass

from ops.monitoring.alerts import Condition, Status, Summary, Tier, percent
from ops.monitoring.baselines import Maturity
from ops.monitoring.metrics import find
from ops.monitoring.traffic import NOT_IN_USE, NOTHING
from ops.proportions import Share

FACTOR = 2
LIMIT = 0.05
CLEAR = 0.04
MIN_REQUESTS = find("latency_p95_ms").min_n


@dataclass(frozen=True, slots=True)
class LatencySample:
    """How many requests of one key were slower than twice its seasonal P95."""

    key: str
    slow: Share = NOTHING
    baseline_ms: float | None = None  # None: the baseline is immature
    is_idle: bool = False  # nobody has asked it for a week


def evaluate(sample: LatencySample) -> Condition:
    """Breach when more than 5 % of requests are proven slower than twice the baseline P95."""
    if sample.is_idle:
        return _unjudged(sample, NOT_IN_USE, Status.OK)
    if sample.baseline_ms is None:
        return _unjudged(sample, f"unknown: {Maturity.IMMATURE}")
    if sample.slow.n < MIN_REQUESTS:
        return _unjudged(sample, f"unknown: {sample.slow.n:,} requests, {MIN_REQUESTS} needed")
    rate = sample.slow.hits / sample.slow.n
    breach = sample.slow.lower() > LIMIT
    return Condition(
        rule="latency",
        key=sample.key,
        status=Status.BREACH if breach else Status.OK,
        tier=Tier.CRITICAL if breach else None,
        value=rate,
        limit=LIMIT,
        unit="share",
        summary=Summary("P95 latency", f"{percent(rate)} slower than {FACTOR}x baseline", percent(LIMIT)),
        evidence={
            "blast_radius": f"{sample.slow.hits:,} of {sample.slow.n:,} requests",
            "slower_than": f"{FACTOR * sample.baseline_ms:,.0f} ms",
            "baseline_p95": f"{sample.baseline_ms:,.0f} ms",
        },
        near_limit=not breach and rate > CLEAR,
    )


def _unjudged(sample: LatencySample, why: str, status: Status = Status.INSUFFICIENT_DATA) -> Condition:
    return Condition(
        rule="latency",
        key=sample.key,
        status=status,
        tier=None,
        value=sample.slow.rate,
        limit=LIMIT,
        unit="share",
        summary=Summary("P95 latency", why, percent(LIMIT)),
    )
