"""`watchkeeper rollout`: start, look at and abort canary rollouts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from cli.output import as_json, coloured, print_json, print_table, say

if TYPE_CHECKING:
    from rich.text import Text

_COLOURS = {"promoted": "green", "rolled_back": "red", "aborted": "red", "running": "cyan"}


@click.group("rollout")
def command() -> None:
    """Start, look at and abort canary rollouts; `keep-watch` moves them.

    \b
    Example:
      watchkeeper rollout status
    """


@command.command()
@click.option("--service", required=True, help="Whose traffic moves.")
@click.option("--canary", required=True, help="The release that may take over.")
@click.option("--control", help="The release that serves now; known after the first rollout.")
@click.option("--plan", default="careful", show_default=True, help="A plan of the settings.")
@as_json
def start(service: str, canary: str, control: str | None, plan: str, as_json: bool) -> None:
    """Give a release its first share of a service's traffic.

    \b
    Example:
      watchkeeper rollout start --service chat-api --control v41 --canary v42
    """
    from tasks.advance_rollout import start_rollout

    with _opened() as (engine, settings, now):
        rollout = start_rollout(engine, settings, service=service, canary=canary, plan=plan, now=now, control=control)
    if as_json:
        print_json({"rollout_id": rollout.rollout_id, "canary_percent": rollout.canary_percent})
    else:
        say(f"{rollout.rollout_id}: {rollout.canary_percent} % on {canary}")


@command.command()
@as_json
def status(as_json: bool) -> None:
    """Show every rollout and why it stands where it does.

    \b
    Example:
      watchkeeper rollout status --json
    """
    from tasks.stores import rollouts

    with _opened() as (engine, settings, _), engine.connect() as connection:
        rows = rollouts.history(connection, settings.tenant)
    if as_json:
        print_json(rows)
        return
    columns = ("Rollout", "Control", "Canary", "State", "Canary#", "Reason")
    shown = (
        (row["rollout_id"], row["control_release"], row["canary_release"], _coloured(row["state"]), _percent(row),
         row["reason"])
        for row in rows
    )  # fmt: skip
    print_table("Rollouts", columns, shown)


@command.command()
@click.argument("rollout_id")
@click.option("--reason", required=True, help="Why; it is kept and told.")
@as_json
def abort(rollout_id: str, reason: str, as_json: bool) -> None:
    """Give all traffic back to the control release.

    \b
    Example:
      watchkeeper rollout abort chat-api:v42:20261123T120000 --reason "wrong prompt"
    """
    from tasks.advance_rollout import abort_rollout

    with _opened() as (engine, settings, now):
        after = abort_rollout(engine, settings, rollout_id, reason, now)
    if as_json:
        print_json({"rollout_id": after.rollout_id, "state": after.state})
    else:
        say(f"{after.rollout_id}: {after.state.value}")


@contextmanager
def _opened() -> Iterator[tuple[Any, Any, Any]]:
    from datetime import UTC, datetime

    from tasks.load_settings import load_settings
    from tasks.resources import open_database

    settings = load_settings()
    with open_database(settings) as engine:
        yield engine, settings, datetime.now(UTC)


def _percent(row: Mapping[str, Any]) -> str:
    """Write the canary's share of traffic: the stage's while it is open, else all or nothing."""
    ended = {"promoted": 100, "rolled_back": 0, "aborted": 0}
    return f"{ended.get(row['state'], row['plan']['steps'][row['stage']])} %"


def _coloured(state: str) -> Text:
    colour = _COLOURS.get(state, "yellow")
    return coloured(state.replace("_", " "), colour)
