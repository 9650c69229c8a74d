"""`watchkeeper quality report`: the page in the terminal, and what it takes to show it."""

from __future__ import annotations

import json
import os
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from click.testing import CliRunner

from cli.main import watchkeeper
from ops.errors import InvalidValue
from ops.window import floor_day
from tasks.pin_baselines import pin_missing
from tasks.settings import Settings
from tasks.stores.tables import metadata, prompt_texts, scores
from tests.hand_made import event, insert, load, score_row
from tests.loaded_modules import loaded_by

DAY, HOUR = timedelta(days=1), timedelta(hours=1)
TODAY = floor_day(datetime.now(UTC))
LAST = TODAY - DAY  # a day that is over


@pytest.fixture(autouse=True)
def _place(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "250")


@pytest.fixture
def slid(engine: sa.Engine, settings: Settings) -> Settings:
    """Forty days until yesterday, of which the last eight slide by 1 % each; German questions are worst."""
    for day in range(40, 0, -1):
        level = 0.8 - 0.008 * max(0, 9 - day)
        made = {"model": "gpt-4o", "judge_version": "r1", "occurred_at": TODAY - day * DAY + HOUR}
        rows = [score_row(HOUR, level + off, metric="judge_relevance") for off in [-0.1, 0.1] * 30]
        insert(engine, scores, [{**row, **made, "tags": {"language": "de" if number % 2 == 0 else "en"}}
                                for number, row in enumerate(rows)])  # fmt: skip
    with engine.begin() as connection:
        pin_missing(connection, settings, TODAY - 12 * DAY)
    return settings


def report(*options: str) -> str:
    done = CliRunner().invoke(watchkeeper, ["quality", "report", *options], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output


def test_report_shows_the_slide_its_onset_and_when_it_reaches_the_limit(slid: Settings) -> None:
    told = report("--day", f"{LAST:%Y-%m-%d}")
    head = "2 series: 0 fine, 1 below their baseline, 1 unknown\n"
    assert told.startswith(f"default, {TODAY:%Y-%m-%d} 00:00 UTC: {head}")
    row = next(line for line in told.splitlines() if line.startswith("warning"))
    assert re.split(r"  +", row.strip()) == [
        "warning", "judge_relevance model:gpt-4o judge:r1", "0.736", "60", "0.800",
        "▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▃▃▃▃▃▂", f"{TODAY - 7 * DAY:%Y-%m-%d}",
        "Quality sliding to 0.736, 8.0 % below its baseline (limit 10 % below, reached in ~2 d)",
    ]  # fmt: skip
    assert "language: de" in told
    assert "below the whole" in told


def test_report_as_json_has_every_day_with_its_band(slid: Settings) -> None:
    document = json.loads(report("--day", f"{LAST:%Y-%m-%d}", "--json"))
    series = next(each for each in document["series"] if each["key"].startswith("judge_relevance"))
    assert (series["state"], series["slide"]["days_left"], series["last_24_h"]["n"]) == ("warning", 2, 60)
    assert series["slide"]["slope"] == pytest.approx(-0.008)
    assert (series["baseline"]["mean"], len(series["days"])) == (pytest.approx(0.8), 40)
    # sixty scores of the 28 days' 1,680, and three unseen ones of 0: 1.645 of what their mean scatters by
    sigma = ((1680 * 0.1**2 + 3 * 0.8**2) / 1679) ** 0.5
    assert series["days"][-1]["usual_low"] == pytest.approx(0.8 - 1.645 * sigma / 60**0.5, abs=1e-4)
    [worst] = document["segments"]
    assert (worst["dimension"], worst["value"], worst["is_below"]) == ("language", "de", True)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        pytest.param([], "redacted, 17 characters", id="redacted by default"),
        pytest.param(["--texts"], "where is my order", id="when it is asked for"),
    ],
)
def test_report_shows_texts_only_when_asked(engine: sa.Engine, options: list[str], told: str) -> None:
    load(engine, [event(2 * HOUR, now=LAST + 12 * HOUR, event_id="r1", prompt_hash="h1")])
    insert(engine, prompt_texts, [{"prompt_hash": "h1", "text": "where is my order"}])
    insert(engine, scores, [{**score_row(HOUR, 0.0, event_id="r1"), "occurred_at": LAST + 11 * HOUR}])
    shown = report("--day", f"{LAST:%Y-%m-%d}", *options)
    assert told in shown
    assert ("order" in shown) is bool(options)
    assert ("order" in report("--day", f"{LAST:%Y-%m-%d}", "--json", *options)) is bool(options)


def test_report_shows_so_many_answers_and_says_how_many_more_there_are(engine: sa.Engine) -> None:
    insert(engine, scores, [{**score_row(HOUR, 0.1), "occurred_at": LAST + HOUR} for _ in range(7)])
    assert "and 4 more (--top)" in report("--day", f"{LAST:%Y-%m-%d}", "--top", "3")


def test_report_tells_latency_and_failures_of_the_last_days(engine: sa.Engine) -> None:
    load(engine, [event(HOUR, now=LAST + 12 * HOUR)])
    row = next(line for line in report().splitlines() if line.startswith(f"{LAST:%Y-%m-%d}"))
    assert row.split() == [f"{LAST:%Y-%m-%d}", "100", "100", "1", "0.00%"]


def test_report_draws_into_a_file(slid: Settings, tmp_path: Path) -> None:
    told = report("--png", str(tmp_path / "quality.png"))
    assert (tmp_path / "quality.png").read_bytes().startswith(b"\x89PNG")
    assert told.endswith("quality.png: 1 of 1 series with scores are drawn\n")


def test_report_of_nothing_says_so(engine: sa.Engine, tmp_path: Path) -> None:
    told = report("--png", str(tmp_path / "quality.png"))
    assert "The worst answers of the last 24 hours: none\n" in told
    assert "Judges, on probes that never change: none\n" in told
    assert (tmp_path / "quality.png").exists()


def test_report_stores_nothing(slid: Settings, engine: sa.Engine) -> None:
    def counts() -> dict[str, int]:
        with engine.connect() as connection:
            return {
                table.name: connection.execute(sa.select(sa.func.count()).select_from(table)).scalar_one()
                for table in metadata.sorted_tables
            }

    before = counts()
    report("--json")
    assert counts() == before


def test_report_of_a_day_that_has_not_begun_is_refused() -> None:
    with pytest.raises(InvalidValue, match=r"--day: '.*' is not at most"):
        report("--day", f"{TODAY + DAY:%Y-%m-%d}")


@pytest.mark.parametrize(
    "words",
    [pytest.param(("report",), id="report"), pytest.param(("baselines",), id="baselines"),
     pytest.param(("history",), id="history")],
)  # fmt: skip
def test_commands_load_neither_prefect_nor_what_draws(engine: sa.Engine, settings: Settings, words: tuple[str]) -> None:
    env = {**os.environ, "DATABASE_URL": settings.database_url.get_secret_value() if settings.database_url else ""}
    assert loaded_by("quality", *words, of=("prefect", "matplotlib", "great_expectations", "httpx"), env=env) == ""
