"""`watchkeeper ingest sources`: how every source is doing."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import click

from cli.output import as_json, coloured, print_json, print_table, say

_COLOURS = {"loaded": "green", "failing": "yellow", "silent": "red", "never loaded": "yellow", "not configured": "dim"}


@click.command()
@as_json
def sources(as_json: bool) -> None:
    """Show every source: when it was loaded last, how new its newest event is, and what went wrong.

    A source is silent when it was not loaded for its `silent_after_minutes`: an alert tells of it.

    \b
    Example:
      watchkeeper ingest sources --json
    """
    from tasks.load_settings import load_settings
    from tasks.resources import open_database
    from tasks.show_sources import source_rows
    from tasks.stores import source_states

    settings, now = load_settings(), datetime.now(UTC)
    with open_database(settings) as engine, engine.connect() as connection:
        known = source_states.states(connection, settings.tenant)
    rows = source_rows(settings, known, now)
    if as_json:
        print_json(rows)
    elif rows:
        print_table("Sources", _COLUMNS, [_cells(row) for row in rows])
    else:
        say("no source is configured: see `sources` in the settings")


_COLUMNS = ("Source", "Kind", "State", "Loaded (UTC)", "Newest event (UTC)", "Lag#", "Failures#", "Last error")


def _cells(row: dict[str, Any]) -> tuple[object, ...]:
    times = [f"{when:%Y-%m-%d %H:%M}" if when else None for when in (row["last_success_at"], row["newest_event_at"])]
    state = coloured(row["state"], _COLOURS[row["state"]])
    return (row["source"], row["kind"], state, *times, _lag(row["lag_s"]), row["failures"], row["last_error"])


def _lag(seconds: int | None) -> str | None:
    from ops.window import in_one_unit

    return None if seconds is None else in_one_unit(timedelta(seconds=seconds))
