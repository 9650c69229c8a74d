"""`watchkeeper quality docs`: Great Expectations' Data Docs, on demand."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import click

from cli.output import say
from cli.times import TIME, checked_time


@click.command("docs")
@click.option("--to", "folder", type=click.Path(file_okay=False, path_type=Path), help="Folder [default: home/docs].")
@click.option("--as-of", type=TIME, help="Check the day that ends at this time, UTC.")
@click.option("--open", "opens", is_flag=True, help="Open them in the browser.")
def command(folder: Path | None, as_of: datetime | None, opens: bool) -> None:
    """Check the data of the last day, and write what came of it as HTML pages: Great Expectations' Data Docs.

    \b
    Example:
      watchkeeper quality docs --to site --open
    """
    from tasks.check_quality import check_quality, summary
    from tasks.load_settings import load_settings
    from tasks.resources import open_database

    now = checked_time("--as-of", as_of) or datetime.now(UTC)
    settings = load_settings()
    site = (folder or settings.home / "docs").absolute()
    with open_database(settings) as engine:
        results = check_quality.fn(engine, settings, now, docs=site)
    say(f"{site / 'index.html'}: {summary(results)}")
    if opens:
        click.launch(str(site / "index.html"))
