"""`watchkeeper cost reconcile`: our logs beside the vendors' own reports, by day and model."""

from __future__ import annotations

from datetime import UTC, datetime

import click

from cli.output import as_json, print_json, print_table, say
from cli.times import full_days_option


@click.command("reconcile")
@full_days_option(7)
@as_json
def command(days: int, as_json: bool) -> None:
    """Compare our logs with the vendors' own reports: exit code 1 when a final day differs by more than is allowed.

    The reports come from sources of kind openai and anthropic; `alerting.bill_tolerance` is what is allowed.

    \b
    Example:
      watchkeeper cost reconcile --days 30 --json
    """
    from tasks.load_settings import load_settings
    from tasks.reconcile_costs import COLUMNS, reconcile_costs, summary
    from tasks.resources import open_database

    settings = load_settings()
    with open_database(settings) as engine:
        done = reconcile_costs.fn(engine, settings, datetime.now(UTC), days)
    if as_json:
        print_json(done.as_json())
    else:
        say(summary(done))
        if done.lines:
            print_table("", COLUMNS, done.rows())
        for line in done.notes():
            say(line, "yellow")
    if done.differing:
        raise click.exceptions.Exit(1)
