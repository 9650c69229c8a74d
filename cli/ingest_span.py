"""`watchkeeper ingest --from --to`: a configured source's past, in parts, several at once."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from cli.load_report import report_load
from cli.output import as_json, print_json, progress_bar, say
from cli.times import TIME, checked_span

if TYPE_CHECKING:
    from ops.window import Window
    from tasks.backfill import Backfilled


@click.command("SPAN")
@click.option(
    "--from",
    "start",
    type=TIME,
    metavar="TIME",
    required=True,
    help="The first time, UTC: 2026-10-01 or 2026-10-01T12:30.",
)
@click.option(
    "--to", "end", type=TIME, metavar="TIME", required=True, help="The first time that is no part of it, UTC."
)
@click.option("--source", "name", required=True, help="A source of the settings.")
@click.option(
    "--workers", type=click.IntRange(1, 8), default=4, show_default=True, help="So many windows or files at once."
)
@click.option("--again", is_flag=True, help="Also the parts that were done in a run before.")
@as_json
def span(start: datetime, end: datetime, name: str, workers: int, again: bool, as_json: bool) -> None:
    """Load the past of a configured source: a polled one window by window, one of files file by file.

    Of files, rows outside the span are skipped, and where the next load begins stays as it is. What failed is listed,
    and the exit code is 1; run again, it goes on with what is not done.
    """
    done = _backfill(name, checked_span(start, end), workers=workers, again=again, quiet=as_json)
    if as_json:
        print_json(done.as_json())
    else:
        _report(done)
    if done.failures:
        raise click.exceptions.Exit(1)


def _backfill(name: str, span: Window, *, workers: int, again: bool, quiet: bool) -> Backfilled:
    from tasks import backfill
    from tasks.load_settings import load_settings
    from tasks.resources import open_database
    from tasks.write_usage import Target

    settings = load_settings()
    source = backfill.source_named(settings, name)
    with open_database(settings) as engine:
        target = Target.of(engine, settings)
        todo, before = backfill.plan(target, source, span, _now(), again=again)
        with progress_bar("loading", total=before.parts, quiet=quiet) as show:

            def advance(number: int, done: Backfilled) -> None:
                show(number, f"{number:,} of {done.parts:,} parts, {done.loaded.read:,} rows")

            advance(before.done_before, before)
            return backfill.backfill(target, source, todo, before, _now, workers=workers, progress=advance)


def _now() -> datetime:
    return datetime.now(UTC)


def _report(done: Backfilled) -> None:
    report_load(done.loaded)
    new = done.parts - done.done_before
    say(f"{new:,} of {done.parts:,} parts, {done.done_before:,} done before, {len(done.failures):,} failed")
    for part, error in done.failures:
        say(f"{part}: {error}", "red")
