"""The example runs alone, repeats itself, and shows what it claims to show."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

import ops
from ops import cost_monitoring
from ops.usage import Status, UsageEvent
from ops.window import Window

ROOT = Path(ops.__file__).parents[1]


@pytest.fixture(scope="module")
def printed() -> str:
    command = [sys.executable, str(ROOT / "ops" / "cost_monitoring.py")]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True, timeout=30)
    assert done.stderr == ""
    return done.stdout


def row(printed: str, name: str) -> list[str]:
    return next(line.split() for line in printed.splitlines() if line.startswith(f"  {name} "))


def test_cost_monitoring_prints_the_same_every_time(printed: str, capsys: pytest.CaptureFixture[str]) -> None:
    cost_monitoring.main()
    assert capsys.readouterr().out == printed


def test_cost_monitoring_leaves_an_unknown_price_unknown(printed: str) -> None:
    assert row(printed, "house-llm-1")[-1] == row(printed, "research")[-1] == "unknown"


def test_cost_monitoring_prices_every_known_model(printed: str) -> None:
    for model in ("claude-sonnet-4-5", "gpt-4o-mini", "gemini-2.5-pro", "text-embedding-3-small"):
        assert row(printed, model)[-1].startswith("$")


def test_cost_monitoring_orders_its_projection(printed: str) -> None:
    spent, expected = (float(row(printed, name)[-1].strip("$")) for name in ("spent", "expected"))
    low, high = (float(bound.strip("$")) for bound in row(printed, "95")[-3::2])
    assert spent < low < expected < high


def test_cost_monitoring_alerts_on_the_spike_only(printed: str) -> None:
    spikes = printed.split("Spend of the hour that began")[1]
    assert row(spikes, "support")[-1] == "critical"
    assert row(spikes, "summaries")[-1] == "none"


def test_cost_monitoring_aligns_its_columns(capsys: pytest.CaptureFixture[str]) -> None:
    event = UsageEvent(
        event_id="e",
        occurred_at=datetime(2026, 3, 1, tzinfo=UTC),
        vendor="openai",
        model="gpt-4o",
        operation="chat",
        status=Status.SUCCESS,
    )
    cost_monitoring.show_breakdown("Model", [(event, Decimal(1234))], lambda each: each.model)
    _, *table = capsys.readouterr().out.rstrip().splitlines()
    assert len({len(line) for line in table}) == 1


def test_cost_monitoring_projects_nothing_from_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    today = cost_monitoring.NOW
    cost_monitoring.show_projection([], Window(today - timedelta(hours=12), today))
    assert capsys.readouterr().out == ""
