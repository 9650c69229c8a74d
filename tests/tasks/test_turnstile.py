"""Requests come one behind the other, whichever threads send them."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.http import Turnstile


class Time:
    """A clock that stands still but for what is slept."""

    def __init__(self, *, stands: bool = False) -> None:
        self.now, self.slept, self.stands = 1000.0, [], stands

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(round(seconds, 6))
        self.now += 0 if self.stands else seconds


def turnstile(time: Time, per_minute: float) -> Turnstile:
    return Turnstile(per_minute, time.sleep, time)


@pytest.mark.parametrize(
    ("per_minute", "pauses"),
    [
        pytest.param(60, [1.0, 1.0, 1.0], id="sixty a minute are one a second"),
        pytest.param(30, [2.0, 2.0, 2.0], id="thirty are one in two seconds"),
        pytest.param(0.5, [120.0, 120.0, 120.0], id="half of one is one in two minutes"),
    ],
)
def test_first_request_passes_at_once_and_each_other_waits(per_minute: float, pauses: list[float]) -> None:
    time = Time()
    gate = turnstile(time, per_minute)
    for _ in range(4):
        gate.wait()
    assert time.slept == pauses


def test_request_after_a_pause_passes_at_once_and_saves_up_nothing() -> None:
    time = Time()
    gate = turnstile(time, 60)
    gate.wait()
    time.now += 3600
    for _ in range(2):
        gate.wait()
    assert time.slept == [1.0]


@given(st.lists(st.floats(0, 10), min_size=1, max_size=30), st.floats(1, 6000))
def test_requests_never_come_closer_than_allowed(pauses: list[float], per_minute: float) -> None:
    time, passed = Time(), []
    gate = turnstile(time, per_minute)
    for pause in pauses:
        time.now += pause
        gate.wait()
        passed.append(time.now)
    gaps = [later - earlier for earlier, later in pairwise(passed)]
    assert all(gap >= 60 / per_minute - 1e-6 for gap in gaps)


def test_threads_that_come_at_once_get_different_turns() -> None:
    time = Time(stands=True)
    gate = turnstile(time, 60)
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda _: gate.wait(), range(200)))
    assert sorted(time.slept) == [float(turn) for turn in range(1, 200)]
