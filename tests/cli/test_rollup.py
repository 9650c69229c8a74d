"""The roll-ups proved and repaired, as a person and as a script see it."""

from __future__ import annotations

import json
from typing import Any

import pytest
import sqlalchemy as sa
from click.testing import CliRunner, Result

from cli.main import watchkeeper
from ops.errors import InvalidValue
from ops.rollup import latency_bin
from tasks.settings import Settings
from tasks.stores import retention
from tests.loaded_days import DAY, HOUR, TENANT, TODAY, daily, event, execute, write


@pytest.fixture(autouse=True)
def _place(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")


def rollup(*words: str) -> Result:
    return CliRunner().invoke(watchkeeper, ["rollup", *words], catch_exceptions=False)


def document(*words: str, code: int = 0) -> dict[str, Any]:
    result = rollup(*words, "--json")
    assert result.exit_code == code, result.output
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def lines(*words: str, code: int = 0) -> list[str]:
    result = rollup(*words)
    assert result.exit_code == code, result.output
    return [" ".join(line.split()) for line in result.stdout.splitlines()]


def spoil(engine: sa.Engine) -> None:
    execute(engine, "UPDATE watchkeeper.usage_hourly SET events = 7, cost_usd = 1.50 WHERE hour = :h", h=TODAY + HOUR)


def test_verify_of_sound_rollups_says_how_much_was_compared(engine: sa.Engine) -> None:
    daily(engine, 3)
    assert lines("verify") == [
        "days compared: 3",
        "Roll-up Keys Differ",
        f"usage_hourly {3 * 2} 0",
        f"latency_hourly {3 * 2} 0",
        "usage_daily_users 0 0",
    ]
    assert document("verify") == {
        "kept_from": None, "days": 3, "differences": [],
        "tables": [
            {"table": "usage_hourly", "keys": 6, "differing": 0},
            {"table": "latency_hourly", "keys": 6, "differing": 0},
            {"table": "usage_daily_users", "keys": 0, "differing": 0},
        ],
    }  # fmt: skip


def test_verify_shows_what_differs_and_ends_with_1(engine: sa.Engine) -> None:
    write(engine, [event(TODAY + HOUR, feature="search", input_tokens=0, output_tokens=0)])
    spoil(engine)
    execute(engine, "DELETE FROM watchkeeper.latency_hourly")
    shown = lines("verify", code=1)
    key = "vendor=openai model=gpt-4o-mini operation=chat service=assistant feature=search"
    assert shown[2:4] == ["usage_hourly 1 1", "latency_hourly 1 1"]
    assert shown[5:] == [
        "",
        "The first differences",
        "Roll-up Time (UTC) Key Rolled up Counted",
        f"usage_hourly 2026-03-05 01:00 {key} events=7 cost_usd=1.5 events=1 cost_usd=0",
        "latency_hourly 2026-03-05 01:00 vendor=openai model=gpt-4o-mini service=assistant "
        f"bin={latency_bin(100)} nothing n=1",
    ]


def test_verify_as_json_holds_both_sides(engine: sa.Engine) -> None:
    write(engine, [event(TODAY + HOUR)])
    execute(engine, "UPDATE watchkeeper.latency_hourly SET n = 3")
    [difference] = document("verify", code=1)["differences"]
    assert difference == {
        "table": "latency_hourly", "rolled_up": {"n": 3}, "counted": {"n": 1},
        "key": {
            "hour": "2026-03-05T01:00:00+00:00", "vendor": "openai", "model": "gpt-4o-mini", "service": "assistant",
            "release": None, "bin": latency_bin(100),
        },
    }  # fmt: skip


def test_verify_shows_a_name_as_it_is_and_not_what_it_would_do_to_a_terminal(engine: sa.Engine) -> None:
    write(engine, [event(TODAY + HOUR, feature="\x1b[2J[red]")])
    spoil(engine)
    shown = "\n".join(lines("verify", code=1))
    assert "\x1b" not in shown
    assert "[2J[red]" in shown


@pytest.mark.parametrize(
    ("words", "days"),
    [
        pytest.param((), 3, id="all that there are"),
        pytest.param(("--from", "2026-03-04"), 2, id="from a day on"),
        pytest.param(("--to", "2026-03-05"), 2, id="up to a day, which is not one of them"),
        pytest.param(("--from", "2026-03-04", "--to", "2026-03-05"), 1, id="one day"),
        pytest.param(("--from", "2026-04-01"), 0, id="none"),
    ],
)
@pytest.mark.parametrize("command", ["verify", "rebuild"])
def test_days_are_those(engine: sa.Engine, command: str, words: tuple[str, ...], days: int) -> None:
    daily(engine, 3)
    assert document(command, *words)["days"] == days


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        pytest.param(
            ("--from", "2026-03-05", "--to", "2026-03-04"),
            "--to: '2026-03-04 00:00' is not after --from 2026-03-05 00:00",
            id="ends before it begins",
        ),
        pytest.param(
            ("--from", "2030-01-01"),
            "--to: .* is not after --from 2030-01-01 00:00",
            id="begins after all that there is",
        ),
        pytest.param(("--to", "2015-01-01"), "--to: '2015-01-01 00:00' is not after --from 2015", id="is nothing"),
        pytest.param(("--from", "1999-01-01"), "--from: '1999-01-01'", id="before there was usage"),
        pytest.param(("--to", "2999-01-01"), "--to: '2999-01-01'", id="in a thousand years"),
    ],
)
def test_span_is_refused_that(words: tuple[str, ...], complaint: str) -> None:
    with pytest.raises(InvalidValue, match=complaint):
        rollup("verify", *words)


def test_rebuild_repairs_and_names_the_days(engine: sa.Engine) -> None:
    daily(engine, 2)
    spoil(engine)
    assert lines("rebuild") == ["days looked at: 2; keys that differed: 1; days repaired: 2026-03-05"]
    assert lines("rebuild") == ["days looked at: 2; keys that differed: 0; days repaired: none"]
    assert rollup("verify").exit_code == 0


def test_rebuild_as_json(engine: sa.Engine) -> None:
    daily(engine, 2)
    spoil(engine)
    assert document("rebuild") == {"days": 2, "keys": 1, "repaired": ["2026-03-05"], "left_alone": []}


def test_rebuild_leaves_days_alone_of_which_it_cannot_know(engine: sa.Engine) -> None:
    first, _ = daily(engine, 2)
    execute(engine, f"DROP TABLE watchkeeper.usage_events_{first:%Y%m%d}")
    assert lines("rebuild")[1] == ("left alone, without events to count: 2026-03-04 (--orphans deletes their roll-ups)")
    assert lines("rebuild", "--orphans") == [
        f"days looked at: 2; keys that differed: {2 + 2}; days repaired: 2026-03-04"
    ]


def test_days_that_were_dropped_are_refused_by_rebuild_and_left_out_by_verify(engine: sa.Engine) -> None:
    first, second = daily(engine, 2)
    with engine.begin() as connection:
        retention.drop_day(connection, TENANT, first)
    with pytest.raises(InvalidValue, match="the events before it were dropped"):
        rollup("rebuild", "--from", f"{first:%Y-%m-%d}")
    assert lines("verify")[0] == "days compared: 1, from 2026-03-05 on"
    assert document("verify")["kept_from"] == second.isoformat()
    assert document("rebuild", "--from", f"{first + DAY:%Y-%m-%d}")["days"] == 1
