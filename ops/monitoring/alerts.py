"""Whether somebody must know: alert state as a pure function of what a rule reports and the time.

Before it: `rules/*` turn measured values into a Condition. After it: `tasks/evaluate_alerts.py` writes the alert and,
when a notification is due, its outbox row in one transaction; `routing.py` and `slack_message.py` shape the message.

    none/resolved --breach--> pending --breaches >= fire_after, held--> firing --clears >= clear_after--> resolved
                                 \\-------------------------------- fine ------------------------------------^
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import TypeAlias

from ops.errors import InvalidValue

Json: TypeAlias = "str | int | float | bool | Sequence[Json] | Mapping[str, Json] | None"


class Tier(StrEnum):
    """How loudly to tell: page on-call, notify, or log; the gravest first."""

    CRITICAL = "critical"
    WARNING = "warning"
    INFO = "info"

    @property
    def colour(self) -> str:
        """The hex colour of the bar beside the message."""
        return {Tier.CRITICAL: "#D92D20", Tier.WARNING: "#F79009", Tier.INFO: "#667085"}[self]

    def outranks(self, other: Tier) -> bool:
        """Tell whether this tier is graver than `other`."""
        order = list(Tier)
        return order.index(self) < order.index(other)


class State(StrEnum):
    """Where an alert stands: seen but not yet told, told, over."""

    PENDING = "pending"
    FIRING = "firing"
    RESOLVED = "resolved"


class Status(StrEnum):
    """What a rule found; too little data is neither fine nor a breach."""

    OK = "ok"
    BREACH = "breach"
    INSUFFICIENT_DATA = "insufficient_data"


class Reason(StrEnum):
    """Why `step` did, or did not, call for a notification."""

    QUIET = "quiet"
    FIRST_BREACH = "first_breach"
    STILL_PENDING = "still_pending"
    SUBSIDED = "subsided"  # a pending alert that went away before anybody was told
    FIRED = "fired"
    STILL_FIRING = "still_firing"
    ESCALATED_TIER = "escalated_tier"
    HELD_NEAR_LIMIT = "held_near_limit"
    HELD_NO_DATA = "held_no_data"
    CLEARING = "clearing"
    RESOLVED = "resolved"


@dataclass(frozen=True, slots=True)
class Summary:
    """The headline's pieces, numbers already written for people: `Error rate`, `12.4 %`, `5 %`."""

    what: str
    value: str
    limit: str
    bound: str = "limit"  # what the limit is called

    def __str__(self) -> str:
        """Write them as every message, page and screen does."""
        return f"{self.what} {self.value} ({self.bound} {self.limit})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """What a rule reports about one key.

    `near_limit` is the hysteresis band: not bad enough to fire, not good enough to clear. In `evidence` the names
    `blast_radius`, `cause` and `sample` have their own place in the message; every other name is listed as a fact.
    """

    rule: str
    key: str  # what it is about: `chat-api`, `vendor:anthropic`
    status: Status
    tier: Tier | None  # None unless status is BREACH
    value: float | None
    limit: float | None
    unit: str  # of value and limit: `share`, `ratio`, `score`, `USD`
    summary: Summary
    evidence: Mapping[str, Json] = field(default_factory=dict)
    near_limit: bool = False

    def __post_init__(self) -> None:
        if (self.tier is None) == (self.status is Status.BREACH):
            raise InvalidValue("condition.tier", self.tier, f"set exactly when status, here {self.status}, is breach")


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """One incident of one rule about one key, from first breach to resolution."""

    alert_id: str
    rule: str
    key: str
    tier: Tier
    state: State
    since: datetime  # the first breach
    fired_at: datetime | None = None
    resolved_at: datetime | None = None
    revision: int = 0  # rises with each notification that is due; 0: nobody was told
    value: float | None
    limit: float | None
    summary: Summary
    evidence: Mapping[str, Json]
    breaches: int = 0  # consecutive
    clears: int = 0  # consecutive


@dataclass(frozen=True, slots=True)
class Policy:
    """How many consecutive evaluations, and how long a breach, it takes to fire; how many to clear."""

    fire_after: int = 2
    clear_after: int = 3
    hold: timedelta = timedelta(0)


@dataclass(frozen=True, slots=True)
class Transition:
    """The next alert (None: there never was one), whether to notify, and why."""

    alert: Alert | None
    notify: bool
    reason: Reason


def percent(share: float, figures: int = 3) -> str:
    """Write a share for people, to so many significant figures: `12.4 %`."""
    return f"{100 * share:.{figures}g} %"


def step(alert: Alert | None, condition: Condition, policy: Policy, now: datetime) -> Transition:
    """Decide an alert's next state from its last one, the rule's report and the time.

    Too little data neither fires nor resolves. While firing the tier only rises, so a fall does not tell twice.

    Raises:
        InvalidValue: `alert` and `condition` are about different things.
    """
    if alert is not None and (alert.rule, alert.key) != (condition.rule, condition.key):
        raise InvalidValue("condition", f"{condition.rule} {condition.key}", f"about {alert.rule} {alert.key}")
    if condition.status is Status.INSUFFICIENT_DATA:
        return Transition(alert, False, Reason.HELD_NO_DATA)
    open_alert = alert if alert is not None and alert.state is not State.RESOLVED else None
    if condition.tier is not None:
        return _breach(open_alert, condition, condition.tier, policy, now)
    if open_alert is None:
        return Transition(alert, False, Reason.QUIET)
    return _fine(open_alert, condition, policy, now)


def _breach(before: Alert | None, condition: Condition, tier: Tier, policy: Policy, now: datetime) -> Transition:
    was = before or _first_seen(condition, tier, now)
    alert = replace(_observed(was, condition), evidence=condition.evidence, breaches=was.breaches + 1, clears=0)
    if was.state is State.FIRING:
        if tier.outranks(was.tier):
            return _notify(replace(alert, tier=tier), Reason.ESCALATED_TIER)
        return Transition(alert, False, Reason.STILL_FIRING)
    alert = replace(alert, tier=tier)
    if alert.breaches >= policy.fire_after and now - alert.since >= policy.hold:
        return _notify(replace(alert, state=State.FIRING, fired_at=now), Reason.FIRED)
    return Transition(alert, False, Reason.FIRST_BREACH if before is None else Reason.STILL_PENDING)


def _fine(was: Alert, condition: Condition, policy: Policy, now: datetime) -> Transition:
    if was.state is State.PENDING:
        over = replace(was, state=State.RESOLVED, resolved_at=now, breaches=0)
        return Transition(over, False, Reason.SUBSIDED)
    alert = replace(_observed(was, condition), breaches=0, clears=0 if condition.near_limit else was.clears + 1)
    if condition.near_limit:
        return Transition(alert, False, Reason.HELD_NEAR_LIMIT)
    if alert.clears >= policy.clear_after:
        return _notify(replace(alert, state=State.RESOLVED, resolved_at=now), Reason.RESOLVED)
    return Transition(alert, False, Reason.CLEARING)


def _notify(alert: Alert, reason: Reason) -> Transition:
    return Transition(replace(alert, revision=alert.revision + 1), True, reason)


def _observed(alert: Alert, condition: Condition) -> Alert:
    return replace(alert, value=condition.value, limit=condition.limit, summary=condition.summary)


def _first_seen(condition: Condition, tier: Tier, now: datetime) -> Alert:
    return Alert(
        # Derived, so that an evaluation that is run again opens the same incident.
        alert_id=f"{condition.rule}:{condition.key}:{now.astimezone(UTC):%Y%m%dT%H%M%S.%fZ}",
        rule=condition.rule,
        key=condition.key,
        tier=tier,
        state=State.PENDING,
        since=now,
        value=condition.value,
        limit=condition.limit,
        summary=condition.summary,
        evidence=condition.evidence,
    )
