"""`watchkeeper cost budgets`: how much of each budget is spent, and whether it will hold."""

from __future__ import annotations

from datetime import datetime

import click

from cli.output import as_json, print_json, print_table, say
from cli.times import TIME, checked_now


@click.command("budgets")
@click.option("--as-of", type=TIME, help="Judge as if it were this time, UTC.")
@click.option("--top", type=click.IntRange(1), default=20, show_default=True, help="Rows of the table; JSON has all.")
@as_json
def command(as_of: datetime | None, top: int, as_json: bool) -> None:
    """Show every budget of the settings (`budgets`): spent, projected, and how it stands, the gravest first.

    A month's budgets are projected, but for those of users; the 80 % interval decides. Of users, those are shown who
    have spent half of theirs. Nobody is told; the flow check-budgets tells.

    \b
    Example:
      watchkeeper cost budgets --json
    """
    from tasks.check_budgets import budget_standings
    from tasks.load_settings import load_settings
    from tasks.resources import open_database
    from tasks.tabulate_costs import BUDGET_COLUMNS, budget_rows, budgets_json, gravest_first

    settings, now = load_settings(), checked_now(as_of)
    with open_database(settings) as engine:
        found = budget_standings(engine, settings, now)
    standings = gravest_first(found.standings)
    if as_json:
        print_json({"as_of": now, "held": found.held, **budgets_json(standings)})
    elif not settings.budgets:
        say("no budgets are configured")
    elif not standings:
        say("no budget has anything to count yet")
    else:
        print_table("", BUDGET_COLUMNS, budget_rows(standings[:top]))
    if found.held and not as_json:
        say(f"nothing is foretold: {found.held}", "yellow")
    if len(standings) > top and not as_json:
        say(f"and {len(standings) - top:,} more (--top)")
