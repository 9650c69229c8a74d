"""`watchkeeper cost advise`: what would make the bill smaller, from the log itself."""

from __future__ import annotations

from datetime import UTC, datetime

import click

from cli.output import as_json, print_json, print_table, say
from cli.times import full_days_option


@click.command("advise")
@full_days_option(30)
@as_json
def command(days: int, as_json: bool) -> None:
    """Say what each lever would have saved: alone, and of what the levers before it left; the total is never the sum.

    A lever that the log cannot judge is unknown, with the reason. Cheaper models and shorter contexts count only where
    evaluations admit them (`watchkeeper cost evaluations`); `savings.*` sets the cache, the routes that can wait, and
    what is switched on. The flow advise-savings keeps the advice and tells it every week.

    \b
    Example:
      watchkeeper cost advise --days 14 --json
    """
    from tasks.advise_savings import advise_savings
    from tasks.load_settings import load_settings
    from tasks.resources import open_database
    from tasks.show_savings import COLUMNS, headline, realised_lines

    settings = load_settings()
    with open_database(settings) as engine:
        advised = advise_savings.fn(engine, settings, datetime.now(UTC), days)
    if as_json:
        print_json(advised.as_json())
        return
    say(headline(advised))
    if not advised.advice.cost_usd:
        return
    print_table("", COLUMNS, advised.rows())
    changes = [f"proposed: {change['flag']}: from {change['from']} to {change['to']}" for change in advised.proposals]
    for line in (*advised.notes(), *changes, *realised_lines(advised)):
        say(line)
    if advised.unpriced_events:
        say(f"{advised.unpriced_events:,} calls have no price and are in no figure", "yellow")
