"""Cache hit rate below 70 % of the requests that could have been answered from the cache."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from ops.monitoring.alerts import Condition, Status, Summary, Tier, percent
from ops.monitoring.metrics import CACHE_LIMIT, MIN_ELIGIBLE
from ops.monitoring.traffic import NOT_IN_USE, NOTHING
from ops.proportions import Share

CLEAR = 0.72
GRACE = timedelta(minutes=15)  # a new deployment starts cold


@dataclass(frozen=True, slots=True)
class CacheSample:
    """Hits of eligible requests, and how long ago the key was last deployed, if that is known."""

    key: str
    hits: Share = NOTHING
    since_deployment: timedelta | None = None
    is_idle: bool = False  # nobody has asked it for a week


def evaluate(sample: CacheSample) -> Condition:
    """Breach when the hit rate is proven to be below 70 %."""
    if sample.is_idle:
        return _unjudged(sample, NOT_IN_USE, Status.OK)
    if sample.since_deployment is not None and sample.since_deployment < GRACE:
        return _unjudged(sample, "unknown: cold after a deployment")
    if sample.hits.n < MIN_ELIGIBLE:
        return _unjudged(sample, f"unknown: {sample.hits.n:,} eligible requests, {MIN_ELIGIBLE} needed")
    rate = sample.hits.hits / sample.hits.n
    breach = sample.hits.upper() < CACHE_LIMIT
    return Condition(
        rule="cache",
        key=sample.key,
        status=Status.BREACH if breach else Status.OK,
        tier=Tier.WARNING if breach else None,
        value=rate,
        limit=CACHE_LIMIT,
        unit="share",
        summary=Summary("Cache hit rate", percent(rate), percent(CACHE_LIMIT)),
        evidence={
            "blast_radius": f"{sample.hits.n - sample.hits.hits:,} of {sample.hits.n:,} eligible requests missed"
        },
        near_limit=not breach and rate < CLEAR,
    )


def _unjudged(sample: CacheSample, why: str, status: Status = Status.INSUFFICIENT_DATA) -> Condition:
    return Condition(
        rule="cache",
        key=sample.key,
        status=status,
        tier=None,
        value=sample.hits.rate,
        limit=CACHE_LIMIT,
        unit="share",
        summary=Summary("Cache hit rate", why, percent(CACHE_LIMIT)),
    )
