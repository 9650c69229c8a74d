from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from click.testing import CliRunner, Result

from cli.main import watchkeeper
from ops.window import floor_day
from tasks.settings import Settings
from tests.hand_made import spend_daily

HORIZON = ["vs_run_rate", "vs_seasonal_naive", "coverage80", "coverage95", "width80"]


@pytest.fixture(autouse=True)
def _place(settings: Settings) -> None:
    """The settings' environment and working folder."""


def backtest(*words: str) -> Result:
    return CliRunner().invoke(watchkeeper, ["cost", "backtest", *words], catch_exceptions=False)


def panel(*names: str, days: int = 120) -> str:
    first = datetime(2026, 1, 1, tzinfo=UTC).date()
    rows = [f"{name},{first + timedelta(days=n)},{10 + n % 7}" for name in names for n in range(days)]
    Path("panel.csv").write_text("\n".join(["series,date,value", *rows]) + "\n")
    return "panel.csv"


def test_backtest_of_a_panel_prints_what_was_measured() -> None:
    document = json.loads(backtest("--panel", panel("a", "b"), "--json").stdout)
    assert list(document) == ["month_end", "seven_day", "series", "tasks", "ms_per_fit"]
    assert list(document["month_end"]) == list(document["seven_day"]) == HORIZON
    assert (document["series"], document["tasks"]) == (2, 16)
    assert document["seven_day"]["vs_run_rate"] < 0.5


def test_halves_divide_the_series() -> None:
    name = panel(*"abcdefgh")
    halves = [
        json.loads(backtest("--panel", name, "--half", half, "--json").stdout) for half in ("tuning", "reporting")
    ]
    assert sum(found["series"] for found in halves) == 8
    assert all(found["series"] for found in halves)


def test_backtest_of_ones_own_history_takes_every_part_of_it(engine: sa.Engine) -> None:
    spend_daily(engine, 100, feature="search", until=floor_day(datetime.now(UTC)))
    document = json.loads(backtest("--json").stdout)
    assert document["series"] == 3  # the total, the feature, the model
    assert "month end" in backtest().stdout


TOO_LITTLE = "too little history: no series has the 90 days that a backtest needs, half of them known\n"


def test_too_short_a_history_is_said_to_be() -> None:
    assert backtest().stdout == TOO_LITTLE


def test_one_old_day_does_not_make_a_history_of_few_new_ones(engine: sa.Engine) -> None:
    today = floor_day(datetime.now(UTC))
    spend_daily(engine, 55, until=today)
    spend_daily(engine, 1, "0.0001", until=today - timedelta(days=1000))
    assert backtest().stdout == TOO_LITTLE
    document = json.loads(backtest("--json").stdout)
    assert (document["month_end"], document["seven_day"], document["series"], document["tasks"]) == (None, None, 0, 0)


def test_real_series_are_projected_better_than_by_run_rate_and_seasonal_naive(shared_data: Path) -> None:
    file = str(shared_data / "daily_panel.csv.gz")
    found = json.loads(backtest("--panel", file, "--half", "reporting", "--json").stdout)
    month, week = found["month_end"], found["seven_day"]
    assert month["vs_run_rate"] < 0.75
    assert month["vs_seasonal_naive"] < 0.86
    assert week["vs_run_rate"] < 0.63
    assert 0.76 < month["coverage80"] < 0.84
    assert month["width80"] < 0.22
