"""`watchkeeper cost select-model`: the cheapest model of each route that evaluations admit."""

from __future__ import annotations

from datetime import UTC, datetime

import click

from cli.output import as_json, print_json, print_table, say
from cli.times import full_days_option


@click.command("select-model")
@full_days_option(30)
@as_json
def command(days: int, as_json: bool) -> None:
    """Show for each route (feature) which models may take over from the one it spends most on, and what they cost.

    A model is admitted when its pairs of evaluations (`watchkeeper cost evaluations`) show with 95 % confidence that it
    passes at most `savings.max_quality_drop` less often; the cheapest admitted is chosen. Costs are those of the
    route's own tokens. Nothing is changed: the flag is only named.

    \b
    Example:
      watchkeeper cost select-model --json
    """
    from ops.plain_text import UNKNOWN
    from ops.window import full_days
    from tasks.judge_routes import MODEL_COLUMNS, select_models
    from tasks.load_settings import load_settings
    from tasks.resources import open_database

    settings = load_settings()
    with open_database(settings) as engine:
        found = select_models(engine, settings, full_days(datetime.now(UTC), days))
    if as_json:
        print_json(found.as_json())
        return
    if not found.decisions:
        say(f"no route was called in the last {days} full days")
        return
    print_table("", MODEL_COLUMNS, found.rows())
    for decision in found.decisions:
        flag = decision.change
        said = f"{flag['flag']} from {flag['from']} to {flag['to']}" if flag else f"{decision.current} stays"
        say(f"{decision.route or UNKNOWN}: {said}: {decision.reason.value}")
