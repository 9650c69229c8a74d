"""The demo, as a user starts it: one run, then what it says and what it left behind."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture(scope="module")
def document(
    server_url: str, clean_environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Any]:
    """What `watchkeeper demo --json` prints."""
    untraced = {name: value for name, value in clean_environment.items() if not name.startswith("COVERAGE")}
    home = tmp_path_factory.mktemp("demo home")
    done = subprocess.run(
        [sys.executable, "-m", "cli.main", "demo", "--as-of", "2026-11-23", "--days", "15", "--rate", "200", "--json"],
        env=untraced | {"WATCHKEEPER_HOME": str(home), "DATABASE_URL": server_url},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_demo_prices_every_event_and_projects_the_month(document: dict[str, Any]) -> None:
    assert document["events"] > 50_000
    assert document["unpriced_events"] == 0
    assert document["cost_usd"] > 0
    projection = document["projection"]
    assert 0 < projection["low80"] < projection["month_end_usd"] < projection["high80"]


def test_demo_checks_its_data(document: dict[str, Any]) -> None:
    assert document["quality_checks"] == document["quality_outcomes"]["passed"] == 44


def test_demo_rolls_the_bad_canary_back_and_promotes_the_good_one(document: dict[str, Any]) -> None:
    states = {rollout["canary_release"]: rollout["state"] for rollout in document["rollouts"]}
    assert states == {"v2": "rolled_back", "v3": "promoted"}
    good = next(rollout for rollout in document["rollouts"] if rollout["canary_release"] == "v3")
    assert [decision["weight"] for decision in good["decisions"]] == [50, 100]


def test_demo_finds_the_spike_the_slide_and_the_outage(document: dict[str, Any]) -> None:
    found = {(alert["rule"], alert["key"]): alert["tier"] for alert in document["alerts"]}
    assert found[("spend", "total")] == "critical"
    slid = {
        key: tier for (rule, key), tier in found.items() if rule == "quality" and key.startswith("judge_relevance ")
    }
    assert set(slid.values()) == {"warning"}, found
    assert found[("vendor", "vendor:anthropic")] == "critical"


def test_demo_warms_the_cache_and_draws_the_plot(document: dict[str, Any]) -> None:
    assert document["warmed"] > 0
    assert document["saved_usd"] > 0
    assert Path(document["plot"]).read_bytes().startswith(b"\x89PNG")
