"""`watchkeeper status`: the state of everything on one screen."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from cli.output import as_json, coloured, print_json, print_table, say

if TYPE_CHECKING:
    from ops.status import Section

_COLOURS = {"critical": "red", "unreadable": "magenta", "warning": "yellow", "info": "blue", "ok": "green"}
_MOST = 5  # rows of a section: all of them are to fit on one screen


@click.command("status")
@as_json
def command(as_json: bool) -> None:
    """Show how everything is doing, from the sources over budgets and alerts to the last run of each flow.

    The colours are those of the alert tiers. Exit code 1: something is critical, or could not be read. It reads
    roll-ups and changes nothing.

    \b
    Example:
      watchkeeper status
      watchkeeper status --json | jq '.sections[] | select(.level == "critical")'
    """
    from datetime import UTC, datetime

    from deployments.schedules import SCHEDULES
    from ops.status import Level, counted
    from tasks.load_settings import load_settings
    from tasks.read_status import read_status

    page = read_status(load_settings(), datetime.now(UTC), SCHEDULES)
    worst = Level.gravest(page.levels)
    if as_json:
        print_json(page.as_json())
    else:
        say(f"{page.tenant}, {page.now:%Y-%m-%d %H:%M} UTC: {counted(page.levels)}", _COLOURS.get(worst))
        print_table("", ("", "State", "About", "What"), (row for section in page.sections for row in _rows(section)))
    if worst in (Level.CRITICAL, Level.UNREADABLE):
        raise click.exceptions.Exit(1)


def _rows(section: Section) -> Iterator[tuple[object, ...]]:
    name = section.name.capitalize()
    for row in section.shown(_MOST):
        yield name, coloured(row.level, _COLOURS.get(row.level, "dim")), row.about, row.text
        name = ""
