"""`watchkeeper cost project`: what the month and the next seven days will cost, and of which budgets too much."""

from __future__ import annotations

from datetime import datetime

import click

from cli.output import as_json, print_json, print_table, say
from cli.times import TIME, checked_now


@click.command("project")
@click.option("--as-of", type=TIME, help="Project as if it were this time, UTC.")
@click.option("--top", type=click.IntRange(1), default=20, show_default=True, help="Rows of the table; JSON has all.")
@as_json
def command(as_of: datetime | None, top: int, as_json: bool) -> None:
    """Project this month's and the next seven days' cost: the total, then teams, features and models.

    Crossed on is the day on which a monthly budget will have been spent. Nothing is stored; the flow project-costs
    keeps its projections.

    \b
    Example:
      watchkeeper cost project --json
    """
    from tasks.check_budgets import budget_standings
    from tasks.load_settings import load_settings
    from tasks.project_costs import projected_costs
    from tasks.resources import open_database
    from tasks.tabulate_costs import PROJECTION_COLUMNS, projection_rows, projections_json, summary, unpriced

    settings, now = load_settings(), checked_now(as_of)
    with open_database(settings) as engine:
        projected = projected_costs(engine, settings, now)
        standings = budget_standings(engine, settings, now).standings
    if as_json:
        print_json({"as_of": now, **projections_json(projected, standings)})
        return
    say(summary(projected))
    rows = projection_rows(projected, standings)
    if rows:
        print_table("", PROJECTION_COLUMNS, rows[:top])
    if len(rows) > top:
        say(f"and {len(rows) - top:,} more (--top)")
    if rows and projected.unpriced_events:
        say(f"{unpriced(projected)} and are missing", "yellow")
