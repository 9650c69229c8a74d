"""`watchkeeper quality baselines`: what quality is held to."""

from __future__ import annotations

import click

from cli.output import as_json, print_json, print_table, say


@click.command("baselines")
@click.argument("metric", required=False)
@click.option("--replaced", is_flag=True, help="Show those too that are in force no more.")
@as_json
def command(metric: str | None, replaced: bool, as_json: bool) -> None:
    """Show what each series of scores is held to, or those of METRIC: since when, who says so and why.

    A usual day is where the means of 9 of 10 days lie, of as many scores as were pinned a day. `(automatic)` are the
    first 7 and then the first 28 days of scores; after that only accept-baseline changes what is pinned.

    \b
    Example:
      watchkeeper quality baselines
      watchkeeper quality baselines judge_relevance --replaced --json
    """
    from tasks.load_settings import load_settings
    from tasks.resources import open_database
    from tasks.show_baselines import COLUMNS, as_document, rows, with_before
    from tasks.stores import baselines

    settings = load_settings()
    with open_database(settings) as engine, engine.connect() as connection:
        found = baselines.history(connection, settings.tenant, metric)
    kept = list(with_before(found, replaced=replaced))
    if as_json:
        print_json([as_document(baseline, before) for baseline, before in kept])
    elif not kept:
        say(f"no baseline of {metric} is pinned yet" if metric else "no baseline is pinned yet")
    else:
        print_table("", COLUMNS, rows(kept))
