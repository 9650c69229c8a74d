"""What people and machines read of the state of everything, and the exit code."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import click
import pytest
import sqlalchemy as sa
from click.testing import CliRunner, Result

from cli.main import watchkeeper
from deployments.schedules import SCHEDULES
from ops.monitoring.alerts import Alert, State, Summary, Tier
from tasks.settings import Settings
from tasks.stores import alerts, ingest
from tasks.stores.tables import watermarks
from tests.hand_made import insert
from tests.loaded_modules import loaded_by

HEAVY = (
    "great_expectations", "matplotlib", "prefect", "numpy", "httpx", "httpx2", "genai_prices", "slack_sdk", "alembic",
)  # fmt: skip


@pytest.fixture(autouse=True)
def _place(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")


def status(*arguments: str) -> Result:
    return CliRunner().invoke(watchkeeper, ["status", *arguments], catch_exceptions=False)


def fired(engine: sa.Engine, tier: Tier, number: int = 0) -> None:
    since = datetime.now(UTC) - timedelta(minutes=10 + number)
    alert = Alert(
        alert_id=f"{tier}{number}", rule="spend", key=f"team:{tier}{number}", tier=tier, state=State.FIRING,
        since=since, revision=1, value=2.5, limit=2.0, summary=Summary("Spend", "\x1b[2J[red]$5[/red]", "$2"),
        evidence={},
    )  # fmt: skip
    with engine.begin() as connection:
        alerts.save(connection, "default", alert)


def test_screen_names_every_section_once_with_its_state(engine: sa.Engine) -> None:
    result = status()
    title, header, *rows = [line.rstrip() for line in result.stdout.splitlines()]
    assert result.exit_code == 0
    assert title.startswith("default, 20")
    assert title.endswith(" UTC: 3 unknown")  # rules, data checks and steps
    assert header.split() == ["State", "About", "What"]
    names = [row[:11].rstrip() for row in rows]
    assert [name for name in names if name] == [
        "Alerts", "Data checks", "Steps", "Database", "Sources", "Spend", "Budgets", "Vendors", "Outbox", "Rollouts",
        "Last hour", "Scores", "Evaluations",
    ]  # fmt: skip
    assert names.count("") == 2  # the second rows of spend and scores


@pytest.mark.parametrize(
    ("tier", "code"),
    [
        pytest.param(Tier.INFO, 0, id="something to know"),
        pytest.param(Tier.WARNING, 0, id="a warning"),
        pytest.param(Tier.CRITICAL, 1, id="something critical"),
    ],
)
def test_exit_code_tells_whether_something_critical_is_firing(engine: sa.Engine, tier: Tier, code: int) -> None:
    fired(engine, tier)
    assert (status().exit_code, status("--json").exit_code) == (code, code)


def test_exit_code_tells_that_something_could_not_be_read(engine: sa.Engine) -> None:
    with engine.begin() as connection:
        connection.execute(sa.text("DROP TABLE watchkeeper.outbox"))
    result = status()
    assert result.exit_code == 1
    assert 'Outbox       unreadable                   relation "watchkeeper.outbox" does not exist' in result.stdout


def test_database_that_is_away_is_a_row_of_either_form(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://nobody@127.0.0.1:1/nothing")
    people, machines = status(), status("--json")
    assert (people.exit_code, machines.exit_code) == (1, 1)
    assert "database is unavailable: connection failed" in people.stdout
    [section] = json.loads(machines.stdout)["sections"]
    assert (section["section"], section["level"]) == ("database", "critical")


def test_screen_shows_the_gravest_rows_and_counts_the_rest(engine: sa.Engine) -> None:
    for number in range(10):
        fired(engine, Tier.WARNING, number)
    fired(engine, Tier.CRITICAL)
    result = status()
    told = [word for word in result.stdout.split() if word.startswith("team:")]
    assert result.stdout.splitlines()[0].endswith("1 critical, 10 warning, 3 unknown")
    assert told == ["team:critical0", *(f"team:warning{number}" for number in range(9, 2, -1))]
    assert "rules" in result.stdout
    assert "and 3 more: --json has all" in result.stdout
    document = json.loads(status("--json").stdout)
    [found] = [each for each in document["sections"] if each["section"] == "alerts"]
    assert len(found["rows"]) == 12  # with that of the rules
    assert document["counts"] == {"critical": 1, "warning": 10, "unknown": 3}


def test_no_text_steers_the_terminal(engine: sa.Engine) -> None:
    fired(engine, Tier.WARNING)
    assert "Spend [2J[red]$5[/red] (limit $2), for 10 min" in status().stdout


def test_machines_get_the_values_behind_the_words(engine: sa.Engine) -> None:
    now = datetime.now(UTC)
    with engine.begin() as connection:
        ingest.set_watermark(connection, "default", "keep-watch", now)
    insert(engine, watermarks, [{"step": "project-costs", "reached_at": now - timedelta(days=1)}])
    document = json.loads(status("--json").stdout)
    assert (document["tenant"], document["level"]) == ("default", "warning")
    steps = document["sections"][-1]
    assert [(row["level"], row["about"]) for row in steps["rows"]] == [
        ("warning", "project-costs"), ("ok", "1 on time"),
        ("none", f"{sum(map(bool, SCHEDULES.values())) - 2} never ran"),
    ]  # fmt: skip
    assert steps["rows"][1]["facts"] == {"keep-watch": now.isoformat()}


def test_status_loads_nothing_that_is_slow_to_load(clean_environment: dict[str, str], settings: Settings) -> None:
    assert settings.database_url is not None
    known = {"DATABASE_URL": settings.database_url.get_secret_value(), "WATCHKEEPER_HOME": str(settings.home)}
    known["WATCHKEEPER_VENDORS"] = '[{"name": "openai", "status_url": "https://status.openai.com/api/v2/summary.json"}]'
    assert loaded_by("status", of=HEAVY, env=clean_environment | known) == ""


@pytest.mark.parametrize(
    ("columns", "head"),
    [pytest.param(80, ["State", "What"], id="narrow"), pytest.param(120, ["State", "About", "What"], id="wide")],
)
def test_terminal_gets_colours_and_no_line_beyond_its_edge(
    engine: sa.Engine, monkeypatch: pytest.MonkeyPatch, columns: int, head: list[str]
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setenv("FORCE_COLOR", "1")  # to rich a terminal
    monkeypatch.delenv("NO_COLOR", raising=False)
    fired(engine, Tier.CRITICAL)
    coloured = status().stdout
    lines = [click.unstyle(line) for line in coloured.splitlines()]
    assert lines[1].split() == head
    assert max(map(len, lines)) <= columns
    assert {f"\x1b[{code}m{word}" in coloured for code, word in ((31, "critical"), (36, "unknown"), (32, "ok"))} == {
        True
    }
