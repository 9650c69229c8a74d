from __future__ import annotations

import json
import os
import pty
import sys
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from cli.output import coloured, escaped, print_json, print_table, progress_bar, say


def test_json_writes_money_as_numbers_and_times_in_iso_8601(capsys: pytest.CaptureFixture[str]) -> None:
    print_json(
        {
            "cost_usd": Decimal("1.50"), "at": datetime(2026, 3, 5, 12, tzinfo=UTC), "day": date(2026, 3, 5),
            "path": Path("a/b"), "tiers": frozenset({"warning", "critical"}), "none": None, "name": "Zoë",
        }
    )  # fmt: skip
    said = capsys.readouterr().out
    assert json.loads(said) == {
        "cost_usd": 1.5, "at": "2026-03-05T12:00:00+00:00", "day": "2026-03-05",
        "path": "a/b", "tiers": ["critical", "warning"], "none": None, "name": "Zoë",
    }  # fmt: skip
    assert "Zoë" in said


def test_json_refuses_what_it_does_not_know() -> None:
    with pytest.raises(TypeError, match="cannot write object as JSON"):
        print_json({"thing": object()})


def test_table_aligns_numbers_right_and_leaves_unknown_cells_empty(capsys: pytest.CaptureFixture[str]) -> None:
    print_table("Costs", ("Model", "USD#"), [("a", 5), ("bb", 12.5), ("c", None)])
    lines = [line.rstrip() for line in capsys.readouterr().out.splitlines()]
    assert lines == ["Costs", "Model   USD", "a         5", "bb     12.5", "c"]


@pytest.mark.parametrize("cell", ["[/nonsense]", "[red]alert[/red]", "[", "\\[x]"])
def test_table_shows_a_cell_as_it_is_whatever_a_user_wrote_there(cell: str, capsys: pytest.CaptureFixture[str]) -> None:
    print_table("Reasons", ("Reason",), [(cell,)])
    assert capsys.readouterr().out.splitlines()[-1].rstrip() == cell


STEERING = "a\x1b[2J\x9b31m\x85\u202eb\tc\nd"  # clears the screen; the same in C1; turns the direction of reading


def test_table_shows_nothing_that_steers_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(f"[red]{STEERING}", ("Reason", "State"), [(STEERING, coloured(STEERING, "red"))])
    title, _, row = capsys.readouterr().out.splitlines()
    assert title.rstrip() == "[red]a[2J31m b c d"
    assert row.rstrip() == "a[2J31m b c d  a[2J31m b c d"


def test_line_shows_nothing_that_steers_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    say(f"[red]{STEERING}")
    assert capsys.readouterr().out == "[red]a[2J31mbc\nd\n"


def test_json_writes_what_steers_a_terminal_as_escapes(capsys: pytest.CaptureFixture[str]) -> None:
    print_json({STEERING: STEERING})
    said = capsys.readouterr().out
    assert json.loads(said) == {STEERING: STEERING}
    assert said.replace("\n", "").isprintable()


def test_escaped_text_is_no_markup(capsys: pytest.CaptureFixture[str]) -> None:
    from rich.text import Text

    assert Text.from_markup(f"[bold]{escaped('[red]x[/red]')}[/]").plain == "[red]x[/red]"


def test_table_for_a_file_is_as_wide_as_its_cells(capsys: pytest.CaptureFixture[str]) -> None:
    print_table("", ("One", "Two"), [("a" * 300, "b c " * 100)])
    assert len(capsys.readouterr().out.splitlines()) == 2


def test_table_shows_colours_on_a_terminal_only(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    row = [(coloured("critical", "red"),)]
    print_table("Alerts", ("Tier",), row)
    assert "\x1b[" not in capsys.readouterr().out
    for name in ("NO_COLOR", "TERM"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("FORCE_COLOR", "1")
    print_table("Alerts", ("Tier",), row)
    assert "\x1b[31mcritical" in capsys.readouterr().out


def test_progress_bar_without_a_terminal_shows_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with progress_bar("reading", total=2) as show:
        show(1, "half")
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(("quiet", "shown"), [(False, True), (True, False)], ids=["shows", "is quiet when asked"])
def test_progress_bar_on_a_terminal(quiet: bool, shown: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    said = on_a_terminal(monkeypatch, total=2, quiet=quiet)
    assert ("[red]two of two[/red]" in said) == shown
    assert said.endswith("end")


@pytest.mark.parametrize(("total", "told"), [(2, True), (None, False)], ids=["of a known total", "of an unknown one"])
def test_progress_bar_tells_how_long_it_still_takes(
    total: float | None, told: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert ("left" in on_a_terminal(monkeypatch, total=total)) == told


def on_a_terminal(monkeypatch: pytest.MonkeyPatch, **options: Any) -> str:
    """Return what a bar writes to one."""
    monkeypatch.setenv("TERM", "xterm")
    ours, theirs = pty.openpty()
    with os.fdopen(theirs, "w") as terminal:
        monkeypatch.setattr(sys, "stderr", terminal)
        with progress_bar("reading", **options) as show:
            show(2, "[red]two of two[/red]")
        terminal.write("end")
        terminal.flush()
        said = _read_until(b"end", ours)
    os.close(ours)
    return said


def _read_until(mark: bytes, terminal: int) -> str:
    """Read a terminal, which hands out what was written piece by piece, up to `mark`."""
    said = b""
    while not said.endswith(mark):
        said += os.read(terminal, 65536)
    return said.decode()
