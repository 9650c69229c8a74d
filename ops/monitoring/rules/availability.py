"""Error rate above 5 % or availability below 99.5 %: of a service, or of a vendor (key `vendor:anthropic`).

A literal "< 99.5 % in 5 min" pages dozens of times a day at a true 99.6 %. So the Wilson bound must cross, in a short
and in a longer window: the long one says that it matters, the short one that it still goes on.
"""

from __future__ import annotations

from dataclasses import dataclass

from ops.monitoring.alerts import Condition, Status, Summary, Tier, percent
from ops.monitoring.baselines import sufficient_n
from ops.proportions import Share

ERROR_LIMIT = 0.05
BUDGET = 0.005  # the share of requests that may fail
AVAILABILITY_LIMIT = 1 - BUDGET
CLEAR = 0.8 * BUDGET  # hysteresis: clears below 0.4 % failures
MIN_REQUESTS = sufficient_n(ERROR_LIMIT)
_MONTH_H = 30 * 24


@dataclass(frozen=True, slots=True)
class TrafficSample:
    """Failures of requests in three windows that end now."""

    key: str
    five_minutes: Share
    one_hour: Share
    six_hours: Share


def evaluate(sample: TrafficSample) -> Condition:
    """Breach when failures exceed a limit in the shortest window with enough requests and in the next longer one.

    Enough is what can show that a limit is kept: 52 requests for 5 % errors, 539 for 99.5 % availability. With fewer
    the lower limit alone is judged, so two failures in a quiet hour page nobody. The shortest window of 52 requests
    must prove it too: six hours remember an outage that has long ended.
    """
    coarse, fine = _sufficient(sample, ERROR_LIMIT), _sufficient(sample, BUDGET)
    if not coarse:
        return _insufficient(sample)
    too_many_errors = _proven(coarse) > ERROR_LIMIT
    windows = coarse if too_many_errors or not fine else fine
    breach = too_many_errors or min(_proven(fine), _proven(coarse[:1])) > BUDGET
    name, short = windows[0]
    rate = short.hits / short.n
    present = coarse[0][1]
    return Condition(
        rule="availability",
        key=sample.key,
        status=Status.BREACH if breach else Status.OK,
        tier=Tier.CRITICAL if breach else None,
        value=rate,
        limit=ERROR_LIMIT if too_many_errors else BUDGET,
        unit="share",
        summary=_summary(rate, too_many_errors),
        evidence={
            "blast_radius": f"{short.hits:,} of {short.n:,} requests failed in {name}",
            "budget_burn": _burn(rate),
            **{f"failures_{label.replace(' ', '_')}": f"{s.hits:,} of {s.n:,}" for label, s in windows[1:]},
        },
        near_limit=not breach and present.hits > CLEAR * present.n,
    )


def _sufficient(sample: TrafficSample, limit: float) -> list[tuple[str, Share]]:
    windows = [("5 min", sample.five_minutes), ("1 h", sample.one_hour), ("6 h", sample.six_hours)]
    return [(name, share) for name, share in windows if share.n >= sufficient_n(limit)]


def _proven(windows: list[tuple[str, Share]]) -> float:
    """Return the failure share that two windows prove; 0 without windows."""
    return min((share.lower() for _, share in windows[:2]), default=0.0)


def _summary(rate: float, too_many_errors: bool) -> Summary:
    if too_many_errors:
        return Summary("Error rate", percent(rate), percent(ERROR_LIMIT))
    return Summary("Availability", percent(1 - rate, figures=4), percent(AVAILABILITY_LIMIT))


def _burn(rate: float) -> str:
    burn = rate / BUDGET
    if burn <= 1:
        return f"{burn:.1f}x"
    return f"{burn:.1f}x, 30-day budget gone in {_MONTH_H / burn:,.0f} h"


def _insufficient(sample: TrafficSample) -> Condition:
    seen = f"unknown: {sample.six_hours.n:,} requests in 6 h, {MIN_REQUESTS} needed"
    return Condition(
        rule="availability",
        key=sample.key,
        status=Status.INSUFFICIENT_DATA,
        tier=None,
        value=sample.six_hours.rate,
        limit=BUDGET,
        unit="share",
        summary=Summary("Availability", seen, percent(AVAILABILITY_LIMIT)),
    )
