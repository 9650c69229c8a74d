"""`watchkeeper run`: one flow, by hand, recorded in Prefect."""

from __future__ import annotations

from datetime import datetime

import click

from cli.output import as_json, print_json

FLOWS = (
    "advance-rollouts", "check-quality", "dispatch-alerts", "evaluate-alerts", "ingest-usage", "keep-watch",
    "project-costs", "recommend-scale", "warm-caches",
)  # fmt: skip
_TIMES = click.DateTime(["%Y-%m-%d", "%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S"])


@click.command("run")
@click.argument("flow", type=click.Choice(FLOWS))
@click.option("--as-of", type=_TIMES, help="Decide as if it were this time, UTC.")
@as_json
def command(flow: str, as_of: datetime | None, as_json: bool) -> None:
    """Run one FLOW now, in a Prefect server that answers, else in one for this run.

    \b
    Example:
      watchkeeper run project-costs
      watchkeeper run keep-watch --as-of 2026-11-23T12:00
    """
    from flows.run import prefect_api, run_flow
    from tasks.load_settings import load_settings

    with prefect_api(load_settings()):
        state = run_flow(flow, as_of)
    if as_json:
        print_json({"flow": flow, "state": state.name, "type": state.type.value, "message": state.message})
    else:
        click.echo(f"{flow}: {state.name}. {state.message or ''}")
    if not state.is_completed():
        raise click.exceptions.Exit(1)
