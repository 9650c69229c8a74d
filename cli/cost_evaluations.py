"""`watchkeeper cost evaluations`: verdicts on answers, which cheaper models and shorter contexts are judged by."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime

import click

from cli.output import as_json, print_json, say


@click.group("evaluations")
def command() -> None:
    """Bring evaluations of answers.

    \b
    Example:
      watchkeeper cost evaluations import pairs.jsonl
    """


@command.command("import")
@click.argument("file", type=click.Path())
@as_json
def load(file: str, as_json: bool) -> None:
    """Import verdicts from FILE: JSON lines or CSV, plain, gzip or zstd; imported again it adds nothing.

    A row has route (the feature), item_id, model (vendor/model), judge_version, passed, evaluated_at, and may have
    variant (full, or trimmed-4000: the context was cut to so many tokens), score and cost_usd. Two models' rows of the
    same route, item and judge are a pair; so are two variants of one model. Of the same verdict the later one stands.
    Bad rows are named and kept out; the exit code is 1 when no row is good.

    \b
    Example:
      watchkeeper cost evaluations import pairs.jsonl --json
    """
    from tasks.import_evaluations import import_evaluations
    from tasks.load_settings import load_settings
    from tasks.log_file import LogFile
    from tasks.resources import open_database

    settings = load_settings()
    with open_database(settings) as engine:
        done = import_evaluations(engine, settings.tenant, LogFile(file), datetime.now(UTC))
    if as_json:
        print_json({**asdict(done), "unchanged": done.unchanged})
    else:
        counts = f"{done.inserted:,} new, {done.corrected:,} corrected, {done.unchanged:,} unchanged"
        say(f"{done.read:,} rows: {counts}, {done.rejected:,} rejected")
        for line in done.rejects:
            say(line, "yellow")
    if done.rejected == done.read:
        raise click.exceptions.Exit(1)
