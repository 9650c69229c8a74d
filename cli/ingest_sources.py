"""`watchkeeper ingest sources`: how every source is doing."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from cli.output import as_json, coloured, print_json, print_table, say

if TYPE_CHECKING:
    import sqlalchemy as sa

    from tasks.settings import Settings, Source

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
    from tasks.stores import source_states

    settings, now = load_settings(), datetime.now(UTC)
    with open_database(settings) as engine, engine.connect() as connection:
        known = source_states.states(connection, settings.tenant)
    rows = _rows(settings, known, now)
    if as_json:
        print_json(rows)
    elif rows:
        print_table("Sources", _COLUMNS, [_cells(row) for row in rows])
    else:
        say("no source is configured: see `sources` in the settings")


_COLUMNS = ("Source", "Kind", "State", "Loaded (UTC)", "Newest event (UTC)", "Lag#", "Failures#", "Last error")


def _rows(settings: Settings, known: dict[str, sa.Row[Any]], now: datetime) -> list[dict[str, Any]]:
    """Return the configured sources in their order, then those that once were."""
    configured = {source.name: source for source in settings.sources}
    names = [*configured, *(name for name in known if name not in configured)]
    return [_row(name, configured.get(name), known.get(name), now) for name in names]


def _row(name: str, source: Source | None, state: sa.Row[Any] | None, now: datetime) -> dict[str, Any]:
    newest = state.newest_event_at if state else None
    return {
        "source": name,
        "kind": source.kind if source else state.kind if state else None,
        "state": _state(source, state, now),
        "last_success_at": state.last_success_at if state else None,
        "last_tried_at": state.last_tried_at if state else None,
        "last_new_at": state.last_new_at if state else None,
        "newest_event_at": newest,
        "lag_s": round((now - newest).total_seconds()) if newest else None,
        "failures": state.failures if state else 0,
        "last_error": state.last_error if state else None,
    }


def _state(source: Source | None, state: sa.Row[Any] | None, now: datetime) -> str:
    from ops.monitoring.rules.silence import evaluate
    from tasks.stores.measures import source_sample

    if source is None:
        return "not configured"
    if state is not None and evaluate(source_sample(state, now)).tier:
        return "silent"
    if state is None or state.last_success_at is None:
        return "failing" if state is not None and state.failures else "never loaded"
    return "failing" if state.failures else "loaded"


def _cells(row: dict[str, Any]) -> tuple[object, ...]:
    times = [f"{when:%Y-%m-%d %H:%M}" if when else None for when in (row["last_success_at"], row["newest_event_at"])]
    state = coloured(row["state"], _COLOURS[row["state"]])
    return (row["source"], row["kind"], state, *times, _lag(row["lag_s"]), row["failures"], row["last_error"])


def _lag(seconds: int | None) -> str | None:
    if seconds is None:
        return None
    minutes, hours = seconds // 60, seconds // 3600
    return f"{minutes} min" if hours < 2 else f"{hours} h" if hours < 48 else f"{hours // 24} d"
