"""`watchkeeper quality docs`: Great Expectations' Data Docs, on demand."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import click

from cli.output import say
from cli.times import TIME, checked_now


@click.command("docs")
@click.option("--to", "folder", type=click.Path(file_okay=False, path_type=Path), help="Folder [default: home/docs].")
@click.option("--as-of", type=TIME, help="Check the day that ends at this time, UTC.")
@click.option("--open", "opens", is_flag=True, help="Open them in the browser.")
def command(folder: Path | None, as_of: datetime | None, opens: bool) -> None:
    """Check the data of the last day, and write what came of it as HTML pages: Great Expectations' Data Docs.

    The pages need no network. They know no outcome but success and failure: a check that had no data succeeds there.

    \b
    Example:
      watchkeeper quality docs --to site --open
    """
    from tasks.check_quality import check_quality, summary
    from tasks.load_settings import load_settings
    from tasks.resources import open_database

    now = checked_now(as_of)
    settings = load_settings()
    site = _writable((folder or settings.home / "docs").absolute())
    with open_database(settings) as engine:
        results = check_quality.fn(engine, settings, now, docs=site)
    say(f"{site / 'index.html'}: {summary(results)}")
    if opens:
        click.launch(str(site / "index.html"))


def _writable(folder: Path) -> Path:
    from tempfile import TemporaryFile

    from ops.errors import InvalidValue

    try:
        folder.mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=folder):
            return folder
    except OSError as error:
        raise InvalidValue("--to", str(folder), f"a folder that can be written: {error.strerror}") from None
