import os
import random
import subprocess
import sys
from pathlib import Path

import pytest

import ops
from ops import deployment_patterns
from ops.deployment.canary import Action

ROOT = Path(ops.__file__).parents[1]


def test_deployment_patterns_runs_as_a_script_and_prints_the_same_every_time():
    def run():
        command = [sys.executable, str(ROOT / "ops" / "deployment_patterns.py")]
        environment = os.environ | {"PYTHONPATH": str(ROOT)}
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=True, timeout=30)

    first, second = run(), run()
    assert first.stderr == ""
    assert first.stdout == second.stdout
    for mark in ("promote -> 100 %", "roll back -> 0 %", "1000 users see green", "100 %  1000 users"):
        assert mark in first.stdout


def test_deployment_patterns_shows_a_rollout_as_an_aligned_table(capsys):
    deployment_patterns.show_canary("A good canary", canary_success=0.97)
    title, header, *rows = capsys.readouterr().out.rstrip().splitlines()
    assert title == "A good canary"
    for row in rows:
        assert all(row[header.index(name) - 1] == " " for name in ("canary", "verdict", "decision", "reason"))


@pytest.mark.parametrize(
    ("canary_success", "moves"),
    [
        pytest.param(0.97, [Action.ADVANCE, Action.ADVANCE, Action.PROMOTE], id="an equal canary climbs to the top"),
        pytest.param(0.80, [Action.ROLL_BACK], id="a bad canary is rolled back in its first stage"),
        pytest.param(0.10, [Action.ROLL_BACK], id="a broken canary is rolled back by the error burst"),
    ],
)
def test_deployment_patterns_moves(canary_success, moves):
    looks = deployment_patterns.run_rollout(canary_success, random.Random(1))  # noqa: S311  (a simulation)
    decisions = [decision for *_, decision in looks]
    assert [decision.action for decision in decisions if decision.action is not Action.HOLD] == moves


def test_deployment_patterns_flag_takes_nothing_away(capsys):
    deployment_patterns.show_flag()
    assert capsys.readouterr().out.count(" 0 lost") == 4
