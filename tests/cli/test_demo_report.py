"""What the demo tells, of a small day made by hand on a real database."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from cli.demo_report import gather, print_report, report_json, sparkline
from cli.demo_story import Played, Story
from cli.output import print_json
from ops.cost.projection import DaySpend, Method, Projection, Spread
from ops.monitoring.alerts import Alert, State, Summary, Tier
from ops.monitoring.data_quality.checks import Outcome
from ops.monitoring.slack_message import render, render_note
from ops.window import Window
from tasks.advance_rollout import start_rollout
from tasks.project_costs import ProjectedCosts
from tasks.settings import Settings
from tasks.stores import alerts
from tasks.stores.tables import outbox, rollout_events, scaling_recommendations, usage_hourly, warm_entries
from tasks.validate_suites import Checked
from tests.hand_made import DAY, HOUR, MIDNIGHT, MINUTE, NOW, TENANT, event, hour_row, insert, load

MARCH = Window(MIDNIGHT - 4 * DAY, MIDNIGHT + 27 * DAY)
PROJECTION = Projection(
    month=MARCH, spent_usd=Decimal(40), month_end=Spread(*map(Decimal, (300, 250, 420, 200, 500))),
    seven_days=Spread(*map(Decimal, (70, 60, 80, 50, 90))), days=(),
    level_usd_per_day=Decimal(10), method=Method.WEEKDAY_LEVEL, history_days=2, low_history=True, change_point=None,
)  # fmt: skip
PROJECTED = ProjectedCosts(
    PROJECTION, [DaySpend(date(2026, 3, 3), Decimal(8)), DaySpend(date(2026, 3, 4), None)],
    today_usd=Decimal(4), month_events=9, unpriced_events=2,
)  # fmt: skip
ALERT = Alert(
    alert_id="spend:total:1", rule="spend", key="total", tier=Tier.CRITICAL, state=State.FIRING, since=NOW - HOUR,
    fired_at=NOW, revision=1, value=2.4, limit=2.0, summary=Summary("Spend", "$247.00 in 3 h, 2.4x normal", "2x"),
    evidence={"cause": "requests, $144.00 more than normal"},
)  # fmt: skip
CHECKS = [
    Checked("events", "vendor is known", "critical", Outcome.PASSED, None, None),
    Checked("events", "status is known", "critical", Outcome.PASSED, None, None),
    Checked("events", "model is known", "critical", Outcome.FAILED, "3", "3 of 9 are unknown"),
]


@pytest.fixture(autouse=True)
def _wide(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")


@pytest.fixture
def played(engine: sa.Engine, settings: Settings, tmp_path: Path) -> Played:
    """A day on which little happened, as `play` hands it over."""
    story = Story(today=MIDNIGHT, seed=1, history_days=2, rate=100)
    return Played(
        settings, story, tmp_path / "demo", NOW, PROJECTED, list(CHECKS), 7, Decimal("0.0042"), 61.5, engine=engine
    )


@pytest.fixture
def full(played: Played, engine: sa.Engine, settings: Settings) -> Played:
    """A day on which something of every kind happened."""
    insert(engine, usage_hourly, [
        hour_row(3 * HOUR, "1.5", events=1200, unpriced_events=2),
        hour_row(2 * DAY, "0.5", events=34, unpriced_events=1),
        hour_row(2 * DAY + 13 * HOUR, "99", events=1),  # before the story
        hour_row(timedelta(0), "99", events=1),  # after it
    ])  # fmt: skip
    rollout = start_rollout(
        engine, settings, service="assistant", canary="v2", control="v1", plan="careful", now=NOW - HOUR
    )
    insert(engine, rollout_events, [
        {"rollout_id": rollout.rollout_id, "version": 1, "decided_at": NOW - 40 * MINUTE, "action": "advance",
         "verdict": "pass", "weight": 25, "reason": "95% sure [bold]", "evidence": {}},
        {"rollout_id": rollout.rollout_id, "version": 2, "decided_at": NOW - 5 * MINUTE, "action": "roll_back",
         "verdict": "fail", "weight": 0, "reason": "error burst", "evidence": {}},
    ])  # fmt: skip
    with engine.begin() as connection:
        connection.execute(sa.delete(outbox))  # the rollout's own notice
        alerts.save(connection, TENANT, ALERT)
        alerts.save(connection, TENANT, replace(ALERT, alert_id="p", key="pending", state=State.PENDING, revision=0))
    insert(engine, outbox, [
        message("b", render(ALERT, NOW).payload(), "critical", created=MINUTE),
        message("a", render_note("Canary v2 starts", "plan careful").payload(), "info", created=HOUR),
    ])  # fmt: skip
    insert(engine, scaling_recommendations, [
        {"service": "assistant", "desired": 3, "reason": "a signal is above its target", "computed_at": NOW},
        {"service": "search-api", "desired": None, "reason": "no signal is fresh", "computed_at": NOW},
    ])  # fmt: skip
    warmed = {"prompt_hash": "h", "model": "text-embedding-3-small", "state": "warmed", "cost_usd": "0.01"}
    insert(engine, warm_entries, [warmed | {"warmed_on": MIDNIGHT.date(), "warmed_at": NOW - 3 * HOUR}])
    asked = {"model": "text-embedding-3-small", "operation": "embedding", "prompt_hash": "h", "cache_hit": True}
    load(engine, [event(HOUR, **asked), event(MINUTE, **asked)])
    return gather(played)


def message(key: str, payload: dict[str, Any], tier: str, created: timedelta) -> dict[str, Any]:
    times = {"not_before": NOW, "created_at": NOW - created}
    return {"dedup_key": key, "destination": "console", "tier": tier, "payload": payload, "desired_rev": 1, **times}


def printed(played: Played, capsys: pytest.CaptureFixture[str]) -> list[str]:
    print_report(played)
    return [line.rstrip() for line in capsys.readouterr().out.splitlines()]


def test_gather_counts_the_days_of_the_story_and_no_others(full: Played) -> None:
    assert full.facts["events"] == 1200 + 34 + 2
    assert full.facts["unpriced"] == 2 + 1
    hits = Decimal(0)  # what the gateway's cache answered costs nothing
    assert full.facts["cost_usd"] == Decimal("1.5") + Decimal("0.5") + hits


def test_gather_draws_the_plot_into_the_folder_of_the_demo(full: Played, tmp_path: Path) -> None:
    assert full.facts["plot"] == tmp_path / "demo" / "projection-2026-03-05.png"
    assert full.facts["plot"].read_bytes().startswith(b"\x89PNG")


def test_gather_lists_messages_as_they_were_made_and_leaves_out_alerts_that_nobody_was_told_of(full: Played) -> None:
    assert [tier for tier, _, _ in full.facts["messages"]] == ["info", "critical"]
    assert [alert.key for alert in full.facts["alerts"]] == ["total"]


def test_report_json_holds_what_the_database_says(full: Played, capsys: pytest.CaptureFixture[str]) -> None:
    print_json(report_json(full))
    document = json.loads(capsys.readouterr().out)
    rollouts = document.pop("rollouts")
    assert document == {
        "events": 1236,
        "unpriced_events": 3,
        "cost_usd": 2.0,
        "projection": {"month_end_usd": 300.0, "low80": 250.0, "high80": 420.0},
        "quality_checks": 3,
        "quality_outcomes": {"passed": 2, "failed": 1},
        "warmed": 7,
        "warm_cost_usd": 0.0042,
        "saved_usd": 2 * 0.01,  # two hits on an entry that costs a cent
        "alerts": [
            {"tier": "critical", "rule": "spend", "key": "total", "state": "firing",
             "since": "2026-03-05T11:00:00+00:00"},
        ],
        "messages": 2,
        "plot": str(full.facts["plot"]),
        "seconds": 61.5,
    }  # fmt: skip
    [rollout] = rollouts
    assert {name: rollout[name] for name in ("service", "control_release", "canary_release", "state", "reason")} == {
        "service": "assistant", "control_release": "v1", "canary_release": "v2",
        "state": "running", "reason": "started",
    }  # fmt: skip
    assert rollout["decisions"][1] == {
        "decided_at": "2026-03-05T11:55:00+00:00", "action": "roll_back", "verdict": "fail", "weight": 0,
        "reason": "error burst",
    }  # fmt: skip


def test_report_of_a_day_on_which_nothing_happened(played: Played, capsys: pytest.CaptureFixture[str]) -> None:
    quiet = gather(replace(played, checks=[], warmed=0))
    document = report_json(quiet)
    assert (document["events"], document["cost_usd"], document["saved_usd"]) == (0, 0, 0)
    assert document["rollouts"] == document["alerts"] == []
    assert "  0 events cost $0.00 in 3 days (0 without a price)" in printed(quiet, capsys)


@pytest.mark.parametrize(
    "line",
    [
        pytest.param("  1,236 events cost $2.00 in 3 days (3 without a price)", id="what was spent in 2 + 1 days"),
        # the top is 8 of (8, unknown, 4): 4 / 8 of 7.999 is bar 3 of 0 to 7
        pytest.param("  █▁▄  a day each, today $4.00", id="the days as bars, a gap as none"),
        pytest.param("  3 checks: 2 passed, 1 failed", id="how the checks ended"),
        pytest.param("  failed model is known: 3 of 9 are unknown", id="each check that did not pass"),
        pytest.param("  assistant: 3 replicas (a signal is above its target)", id="how many replicas"),
        pytest.param("  search-api: unknown replicas (no signal is fresh)", id="an unknown number of replicas"),
        pytest.param("┃ CRITICAL · Spend $247.00 in 3 h, 2.4x normal (limit 2x) · total", id="an alert with its tier"),
        pytest.param("    1 h 0 min, since 11:00 UTC · rule spend", id="the alert's details, set in"),
        pytest.param("    Cause: requests, $144.00 more than normal", id="its cause"),
        pytest.param("┃ INFO · Canary v2 starts: plan careful", id="a notice"),
        pytest.param(
            "  7 embeddings warmed for $0.0042; calls they answered would have cost $0.02", id="what warming cost"
        ),
    ],
)
def test_report_prints(full: Played, capsys: pytest.CaptureFixture[str], line: str) -> None:
    assert line in printed(full, capsys)


def test_report_prints_the_projection_with_its_interval_on_one_line(
    full: Played, capsys: pytest.CaptureFixture[str]
) -> None:
    plot = full.facts["plot"]
    expected = f"  this month so far $40.00, projected $300.00 (80 %: $250.00 to $420.00); plot: {plot}"
    assert expected in printed(full, capsys)


def test_report_prints_every_decision_and_takes_no_text_for_a_style(
    full: Played, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [line.split() for line in printed(full, capsys) if "→" in line]
    assert rows == [
        ["11:20", "v1", "→", "v2", "advance", "25", "%", "95%", "sure", "[bold]"],
        ["11:55", "v1", "→", "v2", "roll", "back", "0", "%", "error", "burst"],
    ]


def test_report_takes_no_text_of_the_data_for_a_style(
    played: Played, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    odd = [Checked("events", "model is known", "critical", Outcome.FAILED, "1", "unexpected: ['[/red]', '[bold]x']")]
    lines = printed(gather(replace(played, checks=odd, folder=tmp_path / "a [b] c")), capsys)
    assert "  failed model is known: unexpected: ['[/red]', '[bold]x']" in lines
    assert lines[-1].endswith(f"are in {tmp_path}/a [b] c")


def test_report_ends_with_what_to_try_and_where_things_are(full: Played, capsys: pytest.CaptureFixture[str]) -> None:
    lines = printed(full, capsys)
    heading = next(at for at, line in enumerate(lines) if line.startswith("What to try next"))
    assert [line.split()[:2] for line in lines[heading + 1 : heading + 6]] == [
        ["watchkeeper", name] for name in ("status", "up", "ingest", "simulate", "config")
    ]
    assert lines[-1] == f"61.5 s; settings, logs and the plot are in {full.folder}"


@pytest.mark.parametrize(
    ("values", "bars"),
    [
        pytest.param([], "", id="no values, no bars"),
        pytest.param([0.0, 0.0], "▁▁", id="nothing at all is flat"),
        pytest.param([1, 2, 3, 4, 5, 6, 7, 8], "▁▂▃▄▅▆▇█", id="eighths of the largest"),
        pytest.param([0, 100], "▁█", id="from zero, not from the smallest"),
        pytest.param([99, 100], "██", id="what is nearly the largest looks like it"),
    ],
)
def test_sparkline_draws(values: list[float], bars: str) -> None:
    assert sparkline(values) == bars
