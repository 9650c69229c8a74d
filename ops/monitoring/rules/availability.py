"""Error rate above 5 % or availability below 99.5 % of a service; of a vendor it is judged by `vendor.py`.

A literal "< 99.5 % in 5 min" pages dozens of times a day at a true 99.6 %. So the Wilson bound must cross, in a short
and in a longer window: the long one says that it matters, the short one that it still goes on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ops.monitoring.alerts import Condition, Json, Status, Summary, Tier, percent
from ops.monitoring.baselines import sufficient_n
from ops.monitoring.measured import NOT_OURS
from ops.monitoring.metrics import ERROR_LIMIT, FAILURE_BUDGET, find
from ops.monitoring.traffic import NOT_IN_USE, NOTHING, SUCCESS, WINDOWS, Shares
from ops.proportions import Share

AVAILABILITY_LIMIT = 1 - FAILURE_BUDGET
CLEAR = 0.8 * FAILURE_BUDGET  # hysteresis: clears below 0.4 % failures
MIN_REQUESTS = find("error_rate").min_n
PASSED = frozenset({SUCCESS, *NOT_OURS})
_MONTH_H = 30 * 24


@dataclass(frozen=True, slots=True)
class TrafficSample:
    """Failures of requests in three windows that end now; `left_out` are the vendors whose outage is an incident."""

    key: str
    five_minutes: Share = NOTHING
    one_hour: Share = NOTHING
    six_hours: Share = NOTHING
    left_out: tuple[str, ...] = ()
    is_idle: bool = False  # nobody has asked it for a week


@dataclass(frozen=True, slots=True)
class Judged:
    """What the windows show: the judged one first, then the longer ones."""

    windows: Sequence[tuple[str, Share]]
    limit: float
    is_breach: bool
    near_limit: bool

    @property
    def window(self) -> str:
        """The name of the window that shows it."""
        return self.windows[0][0]

    @property
    def share(self) -> Share:
        """What failed in that window."""
        return self.windows[0][1]

    @property
    def rate(self) -> float:
        """The share of its requests that failed."""
        return self.share.hits / self.share.n

    def summary(self) -> Summary:
        """Tell it as an error rate above 5 %, else as availability."""
        if self.limit == ERROR_LIMIT:
            return Summary("Error rate", percent(self.rate), percent(ERROR_LIMIT))
        return Summary("Availability", percent(1 - self.rate, figures=4), percent(AVAILABILITY_LIMIT))

    def facts(self) -> dict[str, Json]:
        """Return how many requests failed, and how fast that uses up the month's budget of failures."""
        return {
            "blast_radius": f"{self.share.hits:,} of {self.share.n:,} requests failed in {self.window}",
            "budget_burn": _burn(self.rate),
            **{f"failures_{name.replace(' ', '_')}": f"{s.hits:,} of {s.n:,}" for name, s in self.windows[1:]},
        }


def judge(shares: Shares) -> Judged | None:
    """Tell whether failures exceed a limit in the shortest window with enough requests and in the next longer one.

    Enough is what can show that a limit is kept: 52 requests for 5 % errors, 539 for 99.5 % availability. With fewer
    the lower limit alone is judged, so two failures in a quiet hour page nobody. The shortest window of 52 requests
    must prove it too: six hours remember an outage that has long ended; so when that window is good again, it is the
    one that is told. None: even six hours have too few.
    """
    windows = list(zip(WINDOWS, shares, strict=True))
    coarse, fine = _sufficient(windows, ERROR_LIMIT), _sufficient(windows, FAILURE_BUDGET)
    if not coarse:
        return None
    too_many_errors = _proven(coarse) > ERROR_LIMIT
    breach = too_many_errors or min(_proven(fine), _proven(coarse[:1])) > FAILURE_BUDGET
    hour = [share for name, share in fine if name != WINDOWS[-1]]
    is_good = not breach and not _is_near(coarse[0][1], hour)
    return Judged(
        windows=coarse if too_many_errors or is_good or not fine else fine,
        limit=ERROR_LIMIT if too_many_errors else FAILURE_BUDGET,
        is_breach=breach,
        near_limit=not breach and not is_good,
    )


def _is_near(present: Share, enough: Sequence[Share]) -> bool:
    """Tell whether it is not over yet: failures go on, or the present does not show fewer than there were.

    A few minutes without a failure are chance where one request in a hundred fails: each would end an incident, and
    the next begin one. What was there is the shortest window that can tell, of an hour at most.
    """
    before = enough[0] if enough else present
    went_on = before.hits > CLEAR * before.n and present.upper() >= before.hits / before.n
    return went_on or present.hits > CLEAR * present.n


def evaluate(sample: TrafficSample) -> Condition:
    """Breach when the windows prove that too many requests fail."""
    if sample.is_idle:
        return _unjudged(sample, NOT_IN_USE, Status.OK)
    judged = judge((sample.five_minutes, sample.one_hour, sample.six_hours))
    if judged is None:
        seen = too_few(sample.six_hours) + (f", without {_vendors(sample)}" if sample.left_out else "")
        return _unjudged(sample, seen, Status.INSUFFICIENT_DATA)
    return Condition(
        rule="availability",
        key=sample.key,
        status=Status.BREACH if judged.is_breach else Status.OK,
        tier=Tier.CRITICAL if judged.is_breach else None,
        value=judged.rate,
        limit=judged.limit,
        unit="share",
        summary=judged.summary(),
        evidence={**judged.facts(), **({"left_out": _vendors(sample)} if sample.left_out else {})},
        near_limit=judged.near_limit,
    )


def _sufficient(windows: Sequence[tuple[str, Share]], limit: float) -> list[tuple[str, Share]]:
    return [(name, share) for name, share in windows if share.n >= sufficient_n(limit)]


def _proven(windows: Sequence[tuple[str, Share]]) -> float:
    """Return the failure share that two windows prove; 0 without windows."""
    return min((share.lower() for _, share in windows[:2]), default=0.0)


def _burn(rate: float) -> str:
    burn = rate / FAILURE_BUDGET
    if burn <= 1:
        return f"{burn:.1f}x"
    return f"{burn:.1f}x, 30-day budget gone in {_MONTH_H / burn:,.0f} h"


def _vendors(sample: TrafficSample) -> str:
    return f"requests to {', '.join(sample.left_out)}, whose outage is an incident of its own"


def too_few(six_hours: Share) -> str:
    """Say how many requests there are, and how many it takes."""
    return f"unknown: {six_hours.n:,} requests in 6 h, {MIN_REQUESTS} needed"


def _unjudged(sample: TrafficSample, seen: str, status: Status) -> Condition:
    return Condition(
        rule="availability",
        key=sample.key,
        status=status,
        tier=None,
        value=sample.six_hours.rate,
        limit=FAILURE_BUDGET,
        unit="share",
        summary=Summary("Availability", seen, percent(AVAILABILITY_LIMIT)),
    )
