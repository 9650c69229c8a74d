"""`watchkeeper run`: one flow, by hand, recorded in Prefect."""

from __future__ import annotations

import json
import os
from datetime import datetime
from typing import Any

import click

from cli.output import as_json, print_json, say
from cli.times import TIME, checked_now
from deployments.schedules import SCHEDULES


@click.command("run")
@click.argument("flow", type=click.Choice(sorted(SCHEDULES)), metavar="FLOW")
@click.option("--as-of", type=TIME, help="Decide as if it were this time, UTC.")
@click.option("--set", "texts", multiple=True, metavar="NAME=VALUE", help="Another parameter; a text or JSON.")
@as_json
def command(flow: str, as_of: datetime | None, texts: tuple[str, ...], as_json: bool) -> None:
    """Run one FLOW now, in a Prefect server that answers, else in one for this run.

    \b
    Example:
      watchkeeper run project-costs
      watchkeeper run keep-watch --as-of 2026-11-23T12:00
      watchkeeper run ingest-usage --set sources='["gateway"]'
    """
    from flows.run import check_parameters, prefect_api, run_flow
    from ops.errors import InvalidValue
    from tasks.load_settings import load_settings
    from tasks.prefect_server import answers, api_url

    as_of, parameters = as_of and checked_now(as_of), dict(_parameter(text) for text in texts)
    settings = load_settings()
    check_parameters(settings, flow, parameters)
    if not as_json and not answers(os.environ.get("PREFECT_API_URL") or api_url(settings.prefect_port)):
        say("no Prefect server answers: starting one for this run", err=True)
    with prefect_api(settings):
        state = run_flow(flow, as_of, parameters)
    error = state.result(raise_on_failure=False)
    if isinstance(error, InvalidValue):  # what it was asked for, not what it met
        raise error
    if as_json:
        print_json({"flow": flow, "state": state.name, "type": state.type.value, "message": state.message})
    else:
        say(f"{flow}: {state.name}. {state.message or ''}".rstrip())
    if not state.is_completed():
        raise click.exceptions.Exit(1)


def _parameter(text: str) -> tuple[str, Any]:
    from ops.errors import InvalidValue

    name, _, value = text.partition("=")
    if not (name and value):
        raise InvalidValue("--set", text, "NAME=VALUE")
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value
