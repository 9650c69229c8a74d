"""`watchkeeper evaluations`: golden sets, asked of the system and scored."""

from __future__ import annotations

from datetime import UTC, datetime

import click

from cli.output import as_json, print_json, print_table, say


@click.group("evaluations")
def command() -> None:
    """Run golden sets, and show how they were answered; `evaluation` of the settings says which there are.

    \b
    Example:
      watchkeeper evaluations run faq
      watchkeeper evaluations show
    """


@command.command("run")
@click.argument("sets", nargs=-1, metavar="[SET]...")
@as_json
def run(sets: tuple[str, ...], as_json: bool) -> None:
    """Ask every golden set, or each SET, and score what comes; `judge-probes` is the judge's own.

    A run that was killed is gone on with: nothing is asked twice. What it may cost is reserved before each call;
    without room in the set's budget no call is made. Failed calls are counted by their kind and have no score. The exit
    code is 1 when nothing of a set was scored, and 2 when it could not be run for its file or settings.

    \b
    Example:
      watchkeeper evaluations run faq --json
    """
    from tasks.load_settings import load_settings
    from tasks.plan_evaluations import plans
    from tasks.resources import open_database, open_http
    from tasks.run_evaluations import run_all, run_set
    from tasks.show_evaluations import RUN_COLUMNS, as_document, run_row

    settings = load_settings()
    chosen = plans(settings.evaluation, sets)
    if not chosen and not as_json:
        say("no evaluation is configured")
    with open_database(settings) as engine, open_http() as http:
        done = run_all(chosen, lambda plan: run_set(engine, http, settings, plan, lambda: datetime.now(UTC)))
    if as_json:
        print_json([as_document(each) for each in done.runs])
    elif done.runs:
        print_table("", RUN_COLUMNS, (run_row(each) for each in done.runs))
    if done.failure:
        raise done.failure
    if not all(each.results for each in done.runs):
        raise click.exceptions.Exit(1)


@command.command("show")
@click.argument("name", required=False, metavar="[RUN]")
@click.option("--texts", is_flag=True, help="Show the answers too.")
@as_json
def show(name: str | None, texts: bool, as_json: bool) -> None:
    """Show the newest runs; of a RUN, or the newest one of a set, its failed calls and its lowest scores.

    \b
    Example:
      watchkeeper evaluations show
      watchkeeper evaluations show faq --texts
    """
    from tasks.load_settings import load_settings
    from tasks.resources import open_database
    from tasks.show_evaluations import (
        CALL_COLUMNS,
        NEWEST,
        RUN_COLUMNS,
        as_document,
        call_document,
        call_row,
        run_row,
        worst,
    )
    from tasks.stores import evaluation_runs as store

    settings = load_settings()
    with open_database(settings) as engine, engine.connect() as connection:
        of_one = [store.one_run(connection, settings.tenant, name)] if name else None
        runs = of_one or store.newest(connection, settings.tenant, NEWEST)
        calls = store.calls(connection, settings.tenant, runs[0].run_id) if of_one else []
    if as_json:
        told = [as_document(each) for each in runs]
        print_json({**told[0], "calls": [call_document(call, texts=texts) for call in calls]} if of_one else told)
        return
    if not runs:
        say("no evaluation was run yet")
        return
    print_table("", RUN_COLUMNS, (run_row(each) for each in runs))
    if of_one:
        say()
        print_table("", CALL_COLUMNS, (call_row(call, texts=texts) for call in worst(calls)))
