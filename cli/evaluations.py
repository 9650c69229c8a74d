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
@click.argument("items", nargs=-1, metavar="[ITEM]...")
@click.option("--texts", is_flag=True, help="Show the beginnings of questions and answers, which are redacted else.")
@click.option("--full", is_flag=True, help="Show them whole.")
@as_json
def show(name: str | None, items: tuple[str, ...], texts: bool, full: bool, as_json: bool) -> None:
    """Show the newest runs; of a RUN, or the newest one of a set, its worst items, or each ITEM.

    A run is interrupted when its process is gone: within a day the next run goes on with it. Of an item it shows what
    was asked and expected, what came back, how that was marked, what the judge said, and what each call cost. Without
    --texts, of a failed call only its kind and status are shown: the rest may quote a question or an answer.

    \b
    Example:
      watchkeeper evaluations show
      watchkeeper evaluations show faq --texts
      watchkeeper evaluations show faq backups --full
    """
    from tasks.load_settings import load_settings
    from tasks.resources import open_database
    from tasks.show_evaluations import NEWEST, RUN_COLUMNS, as_document, run_row
    from tasks.show_items import COLUMNS, CUT, REDACTED, WHOLE, call_document, item_rows, items_of
    from tasks.stores import evaluation_runs as store

    settings, now = load_settings(), datetime.now(UTC)
    with open_database(settings) as engine, engine.connect() as connection:
        of_one = [store.one_run(connection, settings.tenant, name, now)] if name else None
        runs = of_one or store.newest(connection, settings.tenant, NEWEST, now)
        calls = store.calls(connection, settings.tenant, runs[0].run_id) if of_one else []
    found = items_of(calls, items)
    if as_json:
        chosen = [call for some in found for call in some] if items else calls
        told = [as_document(each) for each in runs]
        each = [call_document(call, texts=texts or full) for call in chosen]
        print_json({**told[0], "calls": each} if of_one else told)
        return
    if not runs:
        say("no evaluation was run yet")
        return
    print_table("", RUN_COLUMNS, (run_row(each) for each in runs))
    if of_one:
        say()
        shown = WHOLE if full else CUT if texts else REDACTED
        print_table("", COLUMNS, (row for some in found for row in item_rows(some, shown)))
