"""How many replicas to run: a raw recommendation for KEDA or an HPA, which do the stabilising.

Before it: `tasks` measure queue, in-flight requests and time to first token. After it: the recommendation is stored;
an unknown one as NULL, so that the scaler's fallback acts. CPU and memory say nothing about a service that waits for
its vendor.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from math import ceil, isfinite

from ops.errors import InvalidValue
from ops.proportions import Share

TOLERANCE = 0.1  # the HPA's own
VENDOR_LIMIT = 0.01  # of calls refused with 429


class Target(StrEnum):
    """What a target is compared with."""

    VALUE = "value"  # the same for any number of replicas: time to first token, share of refusals
    AVERAGE_VALUE = "average_value"  # a total, to be divided by the replicas: queue depth, requests in flight


class Reason(StrEnum):
    """Why this many."""

    STEADY = "within the tolerance of every target"
    SCALE_UP = "a signal is above its target"
    SCALE_DOWN = "every signal is below its target"
    NO_FRESH_SIGNAL = "no signal is fresh"
    SIGNAL_MISSING = "a signal is not fresh, so nothing is taken away"
    VENDOR_LIMIT = "the vendor's rate limit binds: raise the limit or shed"
    AT_MAXIMUM = "the maximum of the service"
    AT_MINIMUM = "the minimum of the service"


@dataclass(frozen=True, slots=True)
class Signal:
    """One metric and its target, in the same unit; a value of None is missing or too old to use."""

    name: str
    value: float | None
    target: float
    kind: Target = Target.AVERAGE_VALUE

    def __post_init__(self) -> None:
        if self.target <= 0:
            raise InvalidValue(f"target of {self.name}", self.target, "above 0")
        if self.value is not None and not (isfinite(self.value) and self.value >= 0):
            raise InvalidValue(f"value of {self.name}", self.value, "finite and at least 0")


@dataclass(frozen=True, slots=True)
class ServiceCapacity:
    """What the service runs now and may run; `refused` is the vendor's 429 answers among recent calls."""

    ready: int
    minimum: int = 1
    maximum: int = 100
    refused: Share | None = None


@dataclass(frozen=True, slots=True)
class Recommendation:
    """How many replicas to run, why, and the signal that asked for the most; None when nothing is known."""

    desired: int | None
    reason: Reason
    limiting_signal: str | None = None


def in_flight(requests_per_second: float, mean_latency: timedelta) -> float:
    """Return how many requests are under way on average (Little's law: L = lambda W)."""
    return requests_per_second * mean_latency.total_seconds()


def replicas_for(signal: Signal, ready: int) -> int | None:
    """Return what one signal asks for; None when it has no fresh value.

    The HPA's formula: hold within 10 % of the target, else ceil(ready x value / target) for a value and
    ceil(value / target) for an average value. A value needs one replica to grow from.
    """
    if signal.value is None:
        return None
    running = max(ready, 1)
    wanted = signal.value if signal.kind is Target.AVERAGE_VALUE else signal.value * running
    usual = signal.target * running
    return ready if ready and abs(wanted - usual) <= TOLERANCE * usual else ceil(wanted / signal.target)


def recommend(signals: Iterable[Signal], service_capacity: ServiceCapacity) -> Recommendation:
    """Recommend the most that any fresh signal asks for, within the limits of the service and of its vendor.

    While a signal is missing nothing is taken away (as the HPA does). While the vendor refuses calls nothing is added:
    more replicas would only be refused more.
    """
    ready = service_capacity.ready
    asked = [(replicas_for(signal, ready), signal.name) for signal in signals]
    fresh = [(count, name) for count, name in asked if count is not None]
    if not fresh:
        return Recommendation(None, Reason.NO_FRESH_SIGNAL)
    count, name = max(fresh, key=lambda each: each[0])
    if count > ready and _is_refused(service_capacity.refused):
        count, reason = ready, Reason.VENDOR_LIMIT
    elif count < ready and len(fresh) < len(asked):
        count, reason = ready, Reason.SIGNAL_MISSING
    else:
        reason = Reason.SCALE_UP if count > ready else Reason.SCALE_DOWN if count < ready else Reason.STEADY
    return _limit(count, reason, name, service_capacity)


def _is_refused(refused: Share | None) -> bool:
    return refused is not None and refused.lower() > VENDOR_LIMIT


def _limit(count: int, reason: Reason, signal: str, capacity: ServiceCapacity) -> Recommendation:
    if count > capacity.maximum:
        return Recommendation(capacity.maximum, Reason.AT_MAXIMUM, signal)
    if count < capacity.minimum:
        return Recommendation(capacity.minimum, Reason.AT_MINIMUM, signal)
    return Recommendation(count, reason, signal)
