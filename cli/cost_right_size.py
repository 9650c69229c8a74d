"""`watchkeeper cost right-size`: how long contexts and answers are, and how long they should be at most."""

from __future__ import annotations

from datetime import UTC, datetime

import click

from cli.output import as_json, print_json, print_table, say
from cli.times import full_days_option


@click.command("right-size")
@full_days_option(30)
@as_json
def command(days: int, as_json: bool) -> None:
    """Show how many tokens each route's calls use, limits that would do, and what they would have saved.

    The limit of the input is the smallest context with which answers are as good, by evaluations of the variants
    trimmed-N (`watchkeeper cost evaluations`); without any, and for the output, what 99 % of the calls stay below.

    \b
    Example:
      watchkeeper cost right-size --days 7 --json
    """
    from ops.plain_text import UNKNOWN
    from ops.window import full_days
    from tasks.judge_routes import LIMIT_COLUMNS, right_size
    from tasks.load_settings import load_settings
    from tasks.resources import open_database

    settings = load_settings()
    with open_database(settings) as engine:
        found = right_size(engine, settings, full_days(datetime.now(UTC), days))
    if as_json:
        print_json(found.as_json())
        return
    if not found.routes:
        say(f"no route was called in the last {days} full days")
        return
    print_table("", LIMIT_COLUMNS, (row for each in found.routes for row in each.rows()))
    for each in found.routes:
        if each.limits.basis is not None:
            say(f"{each.limits.use.route or UNKNOWN}: input by {each.limits.basis.value}")
