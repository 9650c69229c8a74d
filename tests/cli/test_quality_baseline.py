"""`watchkeeper quality accept-baseline`, as a person starts it."""

from __future__ import annotations

import json
import os
import pwd
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from click.testing import CliRunner

from cli.main import watchkeeper
from ops.errors import InvalidValue
from ops.window import floor_day
from tasks.settings import Settings
from tasks.stores.tables import quality_baselines, scores
from tests.hand_made import insert, rows_of, score_row

DAY = timedelta(days=1)
TODAY = floor_day(datetime.now(UTC))


@pytest.fixture
def scored(settings: Settings, engine: sa.Engine, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Twenty days of ten scores; the last three are lower."""
    monkeypatch.setenv("LOGNAME", "ann")
    for number in range(1, 21):
        value = 0.5 if number <= 3 else 0.8
        rows = [score_row(timedelta(0), value + 0.1 * (-1) ** each, model="gpt-4o") for each in range(10)]
        insert(engine, scores, [{**row, "occurred_at": TODAY - number * DAY} for row in rows])
    return settings


def accept(*options: str) -> str:
    done = CliRunner().invoke(
        watchkeeper, ["quality", "accept-baseline", "thumb", "--reason", "as agreed", *options], catch_exceptions=False
    )
    assert done.exit_code == 0, done.output
    return done.output


def test_accept_baseline_takes_the_last_fourteen_days(scored: Settings, engine: sa.Engine) -> None:
    mean = (11 * 0.8 + 3 * 0.5) / 14
    assert accept() == f"thumb model:gpt-4o: held to {mean:.3f}, 140 scores on 14 days\n"
    [row] = rows_of(engine, quality_baselines)
    assert (row.starts_at, row.ends_at, row.accepted_by, row.reason) == (TODAY - 14 * DAY, TODAY, "ann", "as agreed")


def test_accept_baseline_takes_the_days_that_are_named(scored: Settings) -> None:
    start, end = f"{TODAY - 20 * DAY:%Y-%m-%d}", f"{TODAY - 3 * DAY:%Y-%m-%d}"
    document = json.loads(accept("--model", "gpt-4o", "--from", start, "--to", end, "--json"))
    assert document["mean"] == pytest.approx(0.8)
    assert (document["n"], document["days"], len(document["weekdays"])) == (170, 17, 7)
    assert (document["metric"], document["model"], document["judge"]) == ("thumb", "gpt-4o", None)
    assert (document["from"][:10], document["to"][:10], document["accepted_by"]) == (start, end, "ann")


def test_accept_baseline_refuses_days_in_the_wrong_order(scored: Settings) -> None:
    with pytest.raises(InvalidValue, match="--to"):
        accept("--from", f"{TODAY:%Y-%m-%d}", "--to", f"{TODAY - DAY:%Y-%m-%d}")


def test_accept_baseline_refuses_days_at_the_beginning_of_the_calendar(scored: Settings) -> None:
    with pytest.raises(InvalidValue, match="--to: '1-01-05' is not between 2015-01-01"):
        accept("--to", "0001-01-05")


def test_accept_baseline_takes_a_user_without_a_name(
    scored: Settings, engine: sa.Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def nobody(uid: int) -> pwd.struct_passwd:
        raise KeyError(f"getpwuid(): uid not found: {uid}")

    monkeypatch.setattr(pwd, "getpwuid", nobody)
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.delenv(name, raising=False)
    accept()
    [row] = rows_of(engine, quality_baselines)
    assert row.accepted_by == f"user {os.getuid()}"


def test_quality_lists_its_commands(tmp_path: Path) -> None:
    done = CliRunner().invoke(watchkeeper, ["quality", "--help"])
    assert "accept-baseline" in done.output
    assert CliRunner().invoke(watchkeeper, ["quality", "nothing"]).exit_code == 2
