"""`watchkeeper status`: the state of everything on one screen."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from cli.output import as_json, coloured, joined, print_json, print_table, say, width

if TYPE_CHECKING:
    from rich.text import Text

    from ops.status import Row, Section
    from tasks.read_status import Page

_COLOURS = {
    "critical": "red", "unreadable": "magenta", "warning": "yellow", "unknown": "cyan", "info": "blue", "ok": "green",
}  # fmt: skip
_MOST, _MOST_ALERTS = 5, 10  # rows of a section: all of them are to fit on one screen
_WIDE = 120  # characters: from here on what a row is about has a column of its own


@click.command("status")
@as_json
def command(as_json: bool) -> None:
    """Show how everything is doing, from the sources over budgets and alerts to the last run of each flow.

    What somebody should look at comes first, in the colours of the alert tiers. Unknown is what nobody has looked at
    for too long, or what there is too little data of. Exit code 1: something is critical, or could not be read; what is
    unknown alone is none. It reads roll-ups and states, and changes nothing.

    \b
    Example:
      watchkeeper status
      watchkeeper status --json | jq '.sections[] | select(.level == "critical")'
    """
    page = _read()
    worst = page.level
    if as_json:
        print_json(page.as_json())
    else:
        _print(page, _COLOURS.get(worst))
    if worst in ("critical", "unreadable"):
        raise click.exceptions.Exit(1)


def _read() -> Page:
    gc.disable()  # modules are no rubbish: to look for some at every few that are loaded takes a tenth of the time
    try:
        from datetime import UTC, datetime

        from deployments.schedules import SCHEDULES
        from tasks.load_settings import load_settings
        from tasks.read_status import read_status

        return read_status(load_settings(), datetime.now(UTC), SCHEDULES)
    finally:
        gc.enable()


def _print(page: Page, colour: str | None) -> None:
    from ops.status import counts, told_once, worst_first

    told = ", ".join(f"{number:,} {level}" for level, number in counts(page.levels).items()) or "no warning"
    say(f"{page.tenant}, {page.now:%Y-%m-%d %H:%M} UTC: {told}", colour)
    is_wide = width() >= _WIDE
    columns = ("", "State", "About", "What") if is_wide else ("", "State", "What")
    sections = worst_first(told_once(page.sections))
    print_table("", columns, (row for section in sections for row in _rows(section, is_wide=is_wide)))


def _rows(section: Section, *, is_wide: bool) -> Iterator[tuple[object, ...]]:
    from ops.status import ALERTS

    name = section.name.capitalize()
    for row in section.shown(_MOST_ALERTS if section.name == ALERTS else _MOST):
        yield name, coloured(row.level, _COLOURS.get(row.level, "dim")), *(_wide(row) if is_wide else _narrow(row))
        name = ""


def _wide(row: Row) -> tuple[Text, Text]:
    is_nothing = row.level == "none"
    return coloured(row.about, "dim" if is_nothing else "bold"), coloured(row.text, "dim" if is_nothing else "")


def _narrow(row: Row) -> tuple[object, ...]:
    about, text = _wide(row)
    return (joined(about, text) if row.about else text,)
