"""The example runs alone, repeats itself, and its cache keeps to the policy."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest

import ops
from ops import caching_strategy
from ops.caching_strategy import START, Cache, Outcome, Request

ROOT = Path(ops.__file__).parents[1]


@pytest.fixture(scope="module")
def printed() -> str:
    command = [sys.executable, str(ROOT / "ops" / "caching_strategy.py")]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True, timeout=30)
    assert done.stderr == ""
    return done.stdout


def test_caching_strategy_prints_the_same_every_time(printed: str, capsys: pytest.CaptureFixture[str]) -> None:
    caching_strategy.main()
    assert capsys.readouterr().out == printed


def test_caching_strategy_warms_between_cold_and_never_restarted(printed: str) -> None:
    rates = {
        name: float(line.split("%")[0].split()[-1])
        for line in printed.split("after a restart")[1].splitlines()
        for name in ("cold", "warmed", "never restarted")
        if line.startswith(f"  {name} ")
    }
    assert rates["cold"] < rates["warmed"] < rates["never restarted"]


def test_caching_strategy_plans_within_its_budget_and_says_why_others_stay_out(printed: str) -> None:
    assert "$0.25 of $0.25" in printed
    for reason in ("seen too few times", "expected hits do not repay the call"):
        assert f": {reason}" in printed


@pytest.mark.parametrize(
    ("minutes", "outcome"),
    [
        pytest.param(1, Outcome.HIT, id="a fresh answer is a hit"),
        pytest.param(50, Outcome.REFRESHED, id="an old answer is refreshed while it serves"),
        pytest.param(67, Outcome.MISS, id="an answer older than any jitter is a miss"),
    ],
)
def test_cache_asked_again_after(minutes: int, outcome: Outcome) -> None:
    cache = Cache()
    assert cache.ask(Request(START, "hello", {"temperature": 0})) is Outcome.MISS
    assert cache.ask(Request(START + timedelta(minutes=minutes), "hello", {"temperature": 0})) is outcome


def test_cache_keeps_nothing_of_a_random_answer() -> None:
    cache = Cache()
    assert cache.ask(Request(START, "hello", {})) is Outcome.UNCACHEABLE
    assert cache.stored == {}
