"""`watchkeeper alerts`: what somebody was told of."""

from __future__ import annotations

import click

from cli.output import as_json, coloured, print_json, print_table, say

_COLOURS = {"critical": "red", "warning": "yellow", "info": "blue"}


@click.command("alerts")
@as_json
def command(as_json: bool) -> None:
    """List every alert that fired, the newest last.

    \b
    Example:
      watchkeeper alerts --json
    """
    from tasks.load_settings import load_settings
    from tasks.resources import open_database
    from tasks.stores import alerts

    settings = load_settings()
    with open_database(settings) as engine, engine.connect() as connection:
        found = alerts.all_alerts(connection, settings.tenant)
    if as_json:
        print_json(
            [{"tier": a.tier, "rule": a.rule, "key": a.key, "state": a.state, "since": a.since, "value": a.value}
             for a in found]
        )  # fmt: skip
        return
    rows = (
        (coloured(a.tier, _COLOURS[a.tier]), a.state, f"{a.since:%Y-%m-%d %H:%M}", a.rule, a.key,
         str(a.summary))
        for a in found
    )  # fmt: skip
    if not found:
        say("no alert has fired")
        return
    print_table("Alerts", ("Tier", "State", "Since (UTC)", "Rule", "About", "What"), rows)
