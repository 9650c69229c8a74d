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
from tasks.stores.tables import outbox, quality_baselines, scores
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


def still_falls(end: datetime) -> str:
    """Say where the least squares line through the last 14 days goes: slope -4.95 / 227.5 a day round .736."""
    middle, slope = (11 * 0.8 + 3 * 0.5) / 14, -0.3 * (4.5 + 5.5 + 6.5) / 227.5
    start, last = middle - 6.5 * slope, middle + 6.5 * slope
    first, until = end - 14 * DAY, end - DAY
    return (
        f"from {start:.3f} on {first:%Y-%m-%d} to {last:.3f} on {until:%Y-%m-%d}, "
        f"{100 * (1 - last / start):.1f} % below it"
    )


def test_accept_baseline_refuses_scores_that_still_fall(scored: Settings, engine: sa.Engine) -> None:
    done = CliRunner().invoke(watchkeeper, ["quality", "accept-baseline", "thumb", "--reason", "as agreed"])
    assert (done.exit_code, done.stdout) == (1, "")
    told = f"thumb model:gpt-4o still moves {still_falls(TODAY)}"
    assert done.stderr == f"watchkeeper: {told}: not accepted (--yes accepts it all the same)\n"
    assert (rows_of(engine, quality_baselines), rows_of(engine, outbox)) == ([], [])


def test_accept_baseline_refuses_in_json_too(scored: Settings) -> None:
    words = ["quality", "accept-baseline", "thumb", "--reason", "as agreed", "--json"]
    done = CliRunner().invoke(watchkeeper, words)
    document = json.loads(done.stdout)
    assert (done.exit_code, document["outcome"], document["moves"]) == (1, "refused", still_falls(TODAY))


def test_accept_baseline_says_what_it_replaces(scored: Settings) -> None:
    until = f"{TODAY - 3 * DAY:%Y-%m-%d}"
    accept("--to", until)
    told = accept("--yes", "--reason", "lower, as agreed").splitlines()
    now = datetime.now(UTC)
    mean = (11 * 0.8 + 3 * 0.5) / 14
    assert told[1] == (
        f"replaces 0.800 since {now:%Y-%m-%d}, now {100 * (1 - mean / 0.8):.1f} % below it (ann: as agreed)"
    )


def test_accept_baseline_again_changes_nothing(scored: Settings, engine: sa.Engine) -> None:
    until = f"{TODAY - 3 * DAY:%Y-%m-%d}"
    accept("--to", until)
    again = accept("--to", until)
    assert "it was already, since " in again
    assert again.endswith(" UTC: nothing is changed\n")
    assert (len(rows_of(engine, quality_baselines)), len(rows_of(engine, outbox))) == (1, 1)


def test_accept_baseline_takes_the_last_fourteen_days(scored: Settings, engine: sa.Engine) -> None:
    mean = (11 * 0.8 + 3 * 0.5) / 14
    way = still_falls(TODAY)
    assert accept("--yes") == (f"thumb model:gpt-4o: held to {mean:.3f}, 140 scores on 14 days\nit still moves {way}\n")
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
    accept("--yes")
    [row] = rows_of(engine, quality_baselines)
    assert row.accepted_by == f"user {os.getuid()}"


def test_quality_lists_its_commands(tmp_path: Path) -> None:
    done = CliRunner().invoke(watchkeeper, ["quality", "--help"])
    assert "accept-baseline" in done.output
    assert CliRunner().invoke(watchkeeper, ["quality", "nothing"]).exit_code == 2


# What is pinned


def baselines(*options: str) -> str:
    done = CliRunner().invoke(watchkeeper, ["quality", "baselines", *options], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output


def test_baselines_show_what_is_held_to_and_what_it_replaced(scored: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "250")
    until = f"{TODAY - 3 * DAY:%Y-%m-%d}"
    accept("--to", until)
    accept("--yes", "--reason", "lower, [as agreed]")
    now, mean = datetime.now(UTC), (11 * 0.8 + 3 * 0.5) / 14
    [_, row] = baselines().splitlines()
    cells = [cell for cell in row.split("  ") if cell.strip()]
    assert [cells[number].strip() for number in (0, 1, 4, 5, 7, 8, 9)] == [
        "thumb model:gpt-4o", f"{mean:.3f}", "140", f"14 of {TODAY - 14 * DAY:%Y-%m-%d} to {TODAY:%Y-%m-%d}", "ann",
        "lower, [as agreed]", f"0.800 since {now:%Y-%m-%d}, now {100 * (1 - mean / 0.8):.1f} % below it",
    ]  # fmt: skip
    assert len(baselines("--replaced").splitlines()) == 3


def test_baselines_in_json_name_their_band_and_what_they_replaced(scored: Settings) -> None:
    accept("--to", f"{TODAY - 3 * DAY:%Y-%m-%d}")
    accept("--yes")
    first, before = json.loads(baselines("thumb", "--replaced", "--json"))
    assert (first["replaces"]["mean"], first["replaces"]["accepted_by"], before["replaces"]) == (
        pytest.approx(0.8), "ann", None,
    )  # fmt: skip
    # ten scores a day of 140, and three unseen ones of 0; their days scatter by nothing else: 1.645 of that
    sigma = ((140 * 0.1**2 + 3 * 0.8**2) / 139) ** 0.5
    assert before["usual_low"] == pytest.approx(0.8 - 1.645 * sigma / 10**0.5, abs=1e-4)
    assert json.loads(baselines("judge_relevance", "--json")) == []


def test_baselines_before_anything_is_pinned(settings: Settings, engine: sa.Engine) -> None:
    assert baselines() == "no baseline is pinned yet\n"
    assert baselines("thumb") == "no baseline of thumb is pinned yet\n"
