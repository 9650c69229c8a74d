"""Our logs beside the vendors' bills, as a person and as a script see them."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa
from click.testing import CliRunner, Result

from cli.main import watchkeeper
from ops.vendor_usage import VendorUsage
from ops.window import Window, floor_day
from tasks.settings import Settings
from tasks.sources.interface import Batch
from tasks.stores import ingest
from tests.hand_made import TENANT, event, load

NOW = datetime.now(UTC)
MIDNIGHT, DAY, HOUR = floor_day(NOW), timedelta(days=1), timedelta(hours=1)


@pytest.fixture(autouse=True)
def _place(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")


def reconcile(*words: str) -> Result:
    return CliRunner().invoke(watchkeeper, ["cost", "reconcile", *words], catch_exceptions=False)


def reported(engine: sa.Engine, tokens: int, days_ago: int = 3) -> Window:
    """Report so many tokens of a day, on which our logs have a million."""
    day = Window(MIDNIGHT - days_ago * DAY, MIDNIGHT - (days_ago - 1) * DAY)
    load(engine, [event(NOW - day.start - HOUR, now=NOW, input_tokens=1_000_000, output_tokens=0)], at=NOW)
    row = VendorUsage(
        vendor="openai", endpoint="completions", window=day, model="gpt-4o-mini", input_tokens=tokens, output_tokens=0
    )
    with engine.begin() as connection:
        ingest.replace_reports(connection, TENANT, "bill", Batch(usage=[row], covers=day), NOW)
    return day


def test_reconcile_without_reports_says_so_and_succeeds(engine: sa.Engine) -> None:
    result = reconcile()
    assert (result.exit_code, result.stdout) == (0, "no vendor has reported these days\n")


def test_reconcile_of_equal_sides_succeeds(engine: sa.Engine) -> None:
    day = reported(engine, 1_000_000)
    result = reconcile("--json")
    document = json.loads(result.stdout)
    assert (result.exit_code, document["agrees"]) == (0, True)
    [whole, model] = document["lines"]
    assert (whole["day"], whole["model"], model["model"]) == (day.start.date().isoformat(), "", "gpt-4o-mini")
    assert (model["coverage"], model["agreement"], model["ours"]["cost_usd"]) == (1.0, "agrees", 0.15)


def test_reconcile_of_sides_that_differ_fails_and_shows_where(engine: sa.Engine) -> None:
    day = reported(engine, 2_000_000)
    result = reconcile()
    assert result.exit_code == 1
    lines = [" ".join(line.split()) for line in result.stdout.splitlines()]
    assert lines[0] == f"1 days of vendors compared, 1 differ: openai {day.start:%Y-%m-%d}"
    assert (
        f"{day.start:%Y-%m-%d} openai gpt-4o-mini 1,000,000 2,000,000 50.0% $0.15 unknown our logs miss usage" in lines
    )


def test_reconcile_names_the_models_that_leave_our_dollars_unknown(engine: sa.Engine) -> None:
    day = reported(engine, 1_000_000)
    load(engine, [event(NOW - day.start - HOUR, now=NOW, model="mystery", input_tokens=0, output_tokens=0)], at=NOW)
    told = f"openai {day.start:%Y-%m-%d}: our dollars are unknown, as requests have no price: mystery"
    assert reconcile().stdout.splitlines()[-1] == told


def test_reconcile_looks_back_as_far_as_asked(engine: sa.Engine) -> None:
    reported(engine, 2_000_000, days_ago=9)
    assert reconcile().exit_code == 0
    assert reconcile("--days", "9").exit_code == 1
