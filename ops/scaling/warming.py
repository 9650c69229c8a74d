"""What to put into a cache before it is asked for: after a restart, after a deployment, and to keep hot entries alive.

Before it: `tasks/stores` counts how often each text was asked. After it: `tasks/warm_cache.py` computes the entries
through the vendor, within its own rate class, and reports their hit rate.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from math import exp2, log

from ops.errors import InvalidValue

HALF_LIFE = timedelta(minutes=10)
TTL = timedelta(hours=1)


class Skipped(StrEnum):
    """Why a candidate is not warmed."""

    CACHED = "already cached"
    UNPRICED = "price unknown"
    RARE = "seen too few times"
    STALE = "not seen for a whole time to live"
    NO_NET_SAVING = "expected hits do not repay the call"
    OVER_ENTRIES = "over the number of entries"
    OVER_BUDGET = "over the budget"


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A text that was asked before."""

    key: str
    text: str
    model: str
    score: float  # the sum of `recency_weight` over its requests, as of now
    seen: int
    last_seen: datetime
    tokens: int
    cost_usd: Decimal | None  # of one call to the vendor


@dataclass(frozen=True, slots=True)
class WarmPlan:
    """What to warm, best first, what that costs, and how many were left out for which reason."""

    entries: tuple[Candidate, ...]
    skipped: Mapping[Skipped, int]
    cost_usd: Decimal


def recency_weight(age: timedelta, half_life: timedelta = HALF_LIFE) -> float:
    """Return what one request of this age counts: 1 now, 1/2 after a half-life."""
    if half_life <= timedelta(0):
        raise InvalidValue("half_life", half_life, "longer than 0")
    return exp2(-age / half_life)


def expected_hits(score: float, half_life: timedelta = HALF_LIFE, ttl: timedelta = TTL) -> float:
    """Return the requests to expect within one time to live.

    A steady rate r has the score r x half_life / ln 2, so the hits are r x ttl = score x ln 2 x ttl / half_life.
    """
    return score * log(2) * (ttl / half_life)


def plan_warming(
    candidates: Iterable[Candidate],
    already_cached: Container[str],
    budget_usd: Decimal,
    max_entries: int,
    now: datetime,
    *,
    min_seen: int = 2,
    half_life: timedelta = HALF_LIFE,
    ttl: timedelta = TTL,
) -> WarmPlan:
    """Choose what to warm: highest score first, never over the budget, never at an unknown price.

    An entry must expect more than one hit within its time to live, so that the calls it answers cost more than the one
    that it takes. Where the first miss would fill the cache anyway, warming at full price only buys latency (it saves
    (1 - e^-hits) x cost, less than one call); at the batch price it saves money above ln 2 = 0.69 hits.
    One entry too dear for what is left does not stop a cheaper one behind it.
    """
    entries: list[Candidate] = []
    skipped: Counter[Skipped] = Counter()
    left = budget_usd
    for candidate in sorted(candidates, key=lambda each: (-each.score, each.key)):
        hits = expected_hits(candidate.score, half_life, ttl)
        reason = _unfit(candidate, already_cached, min_seen, hits, now - candidate.last_seen > ttl)
        reason = reason or _no_room(candidate, left, max_entries - len(entries))
        if reason:
            skipped[reason] += 1
        else:
            entries.append(candidate)
            left -= candidate.cost_usd or Decimal(0)
    return WarmPlan(tuple(entries), dict(skipped), budget_usd - left)


def _unfit(
    candidate: Candidate, already_cached: Container[str], min_seen: int, hits: float, stale: bool
) -> Skipped | None:
    reasons = (
        (candidate.key in already_cached, Skipped.CACHED),
        (candidate.seen < min_seen, Skipped.RARE),
        (stale, Skipped.STALE),
        (candidate.cost_usd is None, Skipped.UNPRICED),
        (hits <= 1, Skipped.NO_NET_SAVING),
    )
    return next((reason for applies, reason in reasons if applies), None)


def _no_room(candidate: Candidate, left_usd: Decimal, left_entries: int) -> Skipped | None:
    if left_entries <= 0:
        return Skipped.OVER_ENTRIES
    return Skipped.OVER_BUDGET if (candidate.cost_usd or 0) > left_usd else None
