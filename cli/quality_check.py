"""`watchkeeper quality check`: the data checks, now."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime

import click

from cli.output import as_json, coloured, print_json, print_table, say
from cli.times import TIME, checked_now
from ops.monitoring.data_quality import SUITES
from ops.monitoring.data_quality.checks import Outcome

COLOURS: dict[str, str] = {
    Outcome.FAILED: "red", Outcome.ERRORED: "magenta", Outcome.NO_DATA: "yellow", Outcome.PASSED: "green"
}  # fmt: skip


@click.command("check")
@click.option("--suite", "suites", type=click.Choice(list(SUITES)), multiple=True, help="This one; again for others.")
@click.option("--as-of", type=TIME, help="Check the day that ends at this time, UTC.")
@as_json
def command(suites: tuple[str, ...], as_of: datetime | None, as_json: bool) -> None:
    """Check the data of the last day, and keep the outcomes: exit code 1 when a critical check failed.

    While one fails, rollouts do not move forward and projections say that nobody should rely on them. A check that had
    nothing to look at has no data, one that could not be evaluated errored: neither passed, neither changes what is
    held, and for them alone the exit code is 0.

    \b
    Example:
      watchkeeper quality check --suite events --suite prices --json
    """
    from tasks.check_quality import COLUMNS, as_rows, check_quality, summary
    from tasks.load_settings import load_settings
    from tasks.resources import open_database

    now = checked_now(as_of)
    settings = load_settings()
    with open_database(settings) as engine:
        results = check_quality.fn(engine, settings, now, suites or None)
    if as_json:
        print_json({"as_of": now, "checks": [asdict(result) for result in results]})
    else:
        colours = {outcome.words: COLOURS[outcome] for outcome in Outcome}
        rows = as_rows(results)
        print_table("", COLUMNS, ((coloured(name, colours[name]), *rest) for name, *rest in rows))
        say(summary(results))
    if any(result.outcome == Outcome.FAILED and result.severity == "critical" for result in results):
        raise click.exceptions.Exit(1)
