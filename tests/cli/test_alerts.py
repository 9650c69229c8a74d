from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from click.testing import CliRunner

from cli.main import watchkeeper
from ops.errors import Unavailable
from ops.monitoring.alerts import Alert, State, Summary, Tier
from tasks.settings import Settings
from tasks.stores import alerts
from tests.hand_made import NOW

HOUR = timedelta(hours=1)


@pytest.fixture(autouse=True)
def _place(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")


def save(engine: sa.Engine, name: str, tenant: str = "default", **changes: Any) -> None:
    usual = {
        "rule": "spend", "key": "total", "tier": Tier.CRITICAL, "state": State.FIRING, "since": NOW, "revision": 1,
        "value": 2.5, "limit": 2.0, "summary": Summary("Spend", "$5.00, 2.5x normal", "2x"), "evidence": {},
    }  # fmt: skip
    with engine.begin() as connection:
        alerts.save(connection, tenant, Alert(alert_id=name, **{**usual, **changes}))


def shown(*arguments: str) -> str:
    result = CliRunner().invoke(watchkeeper, ["alerts", *arguments])
    assert result.exit_code == 0, result.output
    return result.stdout


def test_alerts_as_json_are_those_that_somebody_was_told_of(engine: sa.Engine) -> None:
    save(engine, "second", since=NOW + HOUR)
    save(engine, "first", key="feature:chat", tier=Tier.WARNING, state=State.RESOLVED, value=None)
    save(engine, "quiet", key="feature:search", revision=0, state=State.PENDING)
    save(engine, "theirs", tenant="other")
    start = "2026-03-05T12:00:00+00:00"
    assert json.loads(shown("--json")) == [
        {"tier": "warning", "rule": "spend", "key": "feature:chat", "state": "resolved", "since": start, "value": None},
        {"tier": "critical", "rule": "spend", "key": "total", "state": "firing", "since": start.replace("12", "13"),
         "value": 2.5},
    ]  # fmt: skip


def test_alerts_of_nothing_are_an_empty_list() -> None:
    assert json.loads(shown("--json")) == []


def test_alerts_are_a_table_for_people(engine: sa.Engine) -> None:
    for tier in Tier:
        save(engine, tier.value, tier=tier, key=tier.value)
    rows = [line.split("  ") for line in shown().splitlines()[2:]]
    assert [[cell.strip() for cell in row if cell.strip()] for row in rows] == [
        [tier, "firing", "2026-03-05 12:00", "spend", tier, "Spend $5.00, 2.5x normal (limit 2x)"]
        for tier in sorted(Tier)
    ]


def test_alerts_show_keys_that_look_like_markup_as_they_are(engine: sa.Engine) -> None:
    save(engine, "odd", key="feature:[/b][red]x")
    assert "feature:[/b][red]x" in shown()


def test_alerts_without_a_database_say_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://nobody@127.0.0.1:1/nothing")
    result = CliRunner().invoke(watchkeeper, ["alerts"])
    assert isinstance(result.exception, Unavailable)
