"""The HPA's arithmetic, and the three times when it must not be followed."""

from __future__ import annotations

from datetime import timedelta
from math import ceil, inf, nan

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ops.errors import InvalidValue
from ops.proportions import Share
from ops.scaling.autoscaling import (
    Reason,
    Recommendation,
    ServiceCapacity,
    Signal,
    Target,
    in_flight,
    recommend,
    replicas_for,
)

REPLICAS = {
    "a total of queued requests is divided by its target": (Signal("queue", 95, 10), 4, 10),
    "a total within 10 % of its target holds": (Signal("queue", 44, 10), 4, 4),
    "a total just over 10 % does not": (Signal("queue", 45, 10), 4, 5),
    "an empty queue asks for none": (Signal("queue", 0, 10), 4, 0),
    "a value twice its target doubles": (Signal("ttft", 2.0, 1.0, Target.VALUE), 4, 8),
    "a value half its target halves": (Signal("ttft", 0.5, 1.0, Target.VALUE), 4, 2),
    "a value at exactly 1.1 x holds": (Signal("ttft", 110, 100, Target.VALUE), 10, 10),
    "a value of 1.2 x asks for exactly a fifth more": (Signal("ttft", 120, 100, Target.VALUE), 10, 12),
    "a total can start from no replica": (Signal("queue", 21, 10), 0, 3),
    "a total close to one replica's target still starts it": (Signal("queue", 10, 10), 0, 1),
    "a value can start from no replica": (Signal("ttft", 3.0, 1.0, Target.VALUE), 0, 3),
    "a stale signal asks for nothing": (Signal("queue", None, 10), 4, None),
}


@pytest.mark.parametrize(("signal", "ready", "expected"), REPLICAS.values(), ids=REPLICAS)
def test_replicas_for(signal: Signal, ready: int, expected: int | None) -> None:
    assert replicas_for(signal, ready) == expected


BUSY, IDLE, FITTING, STALE = (
    Signal("queue", 80, 10),
    Signal("flight", 20, 10),
    Signal("f", 40, 10),
    Signal("s", None, 1),
)
REFUSED, SOME_REFUSED = Share(50, 1_000), Share(5, 1_000)
# lower bounds of 1.006 % and 0.994 %, either side of the 1 % that a vendor may refuse
JUST_REFUSED, NEARLY_REFUSED = Share(1_058, 100_000), Share(1_046, 100_000)

RECOMMENDATIONS = {
    "the signal that asks for most": ([IDLE, BUSY], ServiceCapacity(4), (8, Reason.SCALE_UP, "queue")),
    "fewer when all signals are low": ([IDLE], ServiceCapacity(4), (2, Reason.SCALE_DOWN, "flight")),
    "the same within the tolerance": ([IDLE, FITTING], ServiceCapacity(4), (4, Reason.STEADY, "f")),
    "unknown, not zero, when all signals are stale": (
        [STALE],
        ServiceCapacity(4),
        (None, Reason.NO_FRESH_SIGNAL, None),
    ),
    "unknown without signals": ([], ServiceCapacity(4), (None, Reason.NO_FRESH_SIGNAL, None)),
    "no removal while one signal is stale": ([IDLE, STALE], ServiceCapacity(4), (4, Reason.SIGNAL_MISSING, "flight")),
    "more though one signal is stale": ([BUSY, STALE], ServiceCapacity(4), (8, Reason.SCALE_UP, "queue")),
    "no addition while the vendor refuses": (
        [BUSY],
        ServiceCapacity(4, refused=REFUSED),
        (4, Reason.VENDOR_LIMIT, "queue"),
    ),
    "removal while the vendor refuses": (
        [IDLE],
        ServiceCapacity(4, refused=REFUSED),
        (2, Reason.SCALE_DOWN, "flight"),
    ),
    "more when few calls are refused": (
        [BUSY],
        ServiceCapacity(4, refused=SOME_REFUSED),
        (8, Reason.SCALE_UP, "queue"),
    ),
    "no addition when just over 1 % is surely refused": (
        [BUSY],
        ServiceCapacity(4, refused=JUST_REFUSED),
        (4, Reason.VENDOR_LIMIT, "queue"),
    ),
    "more when just under 1 % is": (
        [BUSY],
        ServiceCapacity(4, refused=NEARLY_REFUSED),
        (8, Reason.SCALE_UP, "queue"),
    ),
    "the same though the vendor refuses": (
        [FITTING],
        ServiceCapacity(4, refused=REFUSED),
        (4, Reason.STEADY, "f"),
    ),
    "the same while one signal is stale": ([FITTING, STALE], ServiceCapacity(4), (4, Reason.STEADY, "f")),
    "exactly the maximum, for its own reason": ([BUSY], ServiceCapacity(4, maximum=8), (8, Reason.SCALE_UP, "queue")),
    "exactly the minimum, for its own reason": (
        [IDLE],
        ServiceCapacity(4, minimum=2),
        (2, Reason.SCALE_DOWN, "flight"),
    ),
    "one replica at least unless told otherwise": (
        [Signal("q", 0, 10)],
        ServiceCapacity(4),
        (1, Reason.AT_MINIMUM, "q"),
    ),
    "none when none is allowed": ([Signal("q", 0, 10)], ServiceCapacity(4, minimum=0), (0, Reason.SCALE_DOWN, "q")),
    "a hundred at most unless told otherwise": (
        [Signal("q", 5_000, 10)],
        ServiceCapacity(90),
        (100, Reason.AT_MAXIMUM, "q"),
    ),
    "the maximum even when more are ready": (
        [Signal("q", 200, 10)],
        ServiceCapacity(20, maximum=6),
        (6, Reason.AT_MAXIMUM, "q"),
    ),
    "no more than the maximum": ([BUSY], ServiceCapacity(4, maximum=6), (6, Reason.AT_MAXIMUM, "queue")),
    "no fewer than the minimum": ([IDLE], ServiceCapacity(4, minimum=3), (3, Reason.AT_MINIMUM, "flight")),
}


@pytest.mark.parametrize(("signals", "capacity", "expected"), RECOMMENDATIONS.values(), ids=RECOMMENDATIONS)
def test_recommend(
    signals: list[Signal], capacity: ServiceCapacity, expected: tuple[int | None, Reason, str | None]
) -> None:
    assert recommend(signals, capacity) == Recommendation(*expected)


def test_vendor_limit_tells_what_to_do() -> None:
    assert "raise the limit or shed" in Reason.VENDOR_LIMIT


def test_in_flight_follows_littles_law() -> None:
    assert in_flight(12, timedelta(seconds=2.5)) == 12 * 2.5


@pytest.mark.parametrize(
    ("value", "target", "field"),
    [(1, 0, "target"), (1, -1, "target"), (nan, 1, "value"), (inf, 1, "value"), (-1, 1, "value")],
)
def test_signal_refuses(value: float, target: float, field: str) -> None:
    with pytest.raises(InvalidValue, match=f"{field} of queue"):
        Signal("queue", value, target)


@settings(deadline=None)
@given(value=st.integers(0, 10_000), target=st.integers(1, 1_000), ready=st.integers(0, 100))
def test_replicas_for_keeps_each_replica_near_its_target(value: int, target: int, ready: int) -> None:
    asked = replicas_for(Signal("queue", value, target), ready)
    assert asked is not None
    assert asked == ceil(value / target) or abs(value - target * ready) <= 0.1 * target * ready + 1e-9
