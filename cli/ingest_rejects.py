"""`watchkeeper ingest rejects`: the rows that were no events: to look at, and to try again."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from cli.output import as_json, print_json, print_table, say
from cli.source_options import mapping_options, source_of
from ops.plain_text import printable

if TYPE_CHECKING:
    import sqlalchemy as sa

    from tasks.retry_rejects import Retried
    from tasks.settings import Settings

_SHOWN = 60  # characters of a row in the table


@click.group()
def rejects() -> None:
    """Look at the rows that were no events, and try them again.

    \b
    Example:
      watchkeeper ingest rejects list
    """


@rejects.command("list")
@click.option("--source", "name", help="Of this source only.")
@click.option("--limit", type=click.IntRange(1, 10_000), default=20, show_default=True, help="So many, the newest.")
@as_json
def show(name: str | None, limit: int, as_json: bool) -> None:
    """List rejected rows with the reason, the newest first.

    \b
    Example:
      watchkeeper ingest rejects list --source gateway --limit 5 --json
    """
    from tasks.load_settings import load_settings
    from tasks.resources import open_database
    from tasks.stores import rejects

    settings = load_settings()
    with open_database(settings) as engine, engine.connect() as connection:
        _check_name(engine, settings, name)
        found = rejects.newest(connection, settings.tenant, name, limit)
        total = rejects.count(connection, settings.tenant, name)
    if as_json:
        print_json({"total": total, "rejects": found})
    elif found:
        title = f"Rejected rows ({len(found):,} of {total:,})"
        print_table(title, ("Source", "Place", "Position#", "Reason", "Row"), [_cells(row) for row in found])
    else:
        say("no row is rejected")


def _check_name(engine: sa.Engine, settings: Settings, name: str | None) -> None:
    """Raise InvalidValue for a source that neither settings nor tables know: no rejects is no good news then."""
    from ops.errors import InvalidValue
    from tasks.stores import rejects

    known = {source.name for source in settings.sources}
    if name is None or name in known:
        return
    with engine.connect() as connection:
        known |= rejects.sources(connection, settings.tenant)
    if name not in known:
        names = ", ".join(sorted(known)) or "none"
        raise InvalidValue("--source", name, f"configured, and never told anything; known are: {names}")


def _cells(row: dict[str, Any]) -> tuple[object, ...]:
    raw = " ".join(printable(row["raw"]).split())
    shown = raw if len(raw) <= _SHOWN and not row["cut"] else f"{raw[: _SHOWN - 1]}…"
    return row["source"], row["place"], row["position"], row["reason"], shown


@rejects.command()
@click.option("--source", "name", help="Of this source only.")
@click.option("--kind", metavar="KIND", help="Rows of this kind only: litellm, jsonl, csv, …")
@mapping_options
@as_json
def retry(name: str | None, kind: str | None, as_json: bool, **options: Any) -> None:
    """Try rejected rows again, with what the settings say now of their source and kind; others are read by the options.

    Rows that are events now are loaded, exactly once, and are no rejects any more; the rest stays, with its reason of
    now. A row of which only the beginning is kept is left alone. The exit code is 1 when no row is an event.

    \b
    Example:
      watchkeeper ingest rejects retry --source manual --kind csv --map occurred_at=timestamp --timezone UTC \\
          --set vendor=openai --set model=gpt-4o
    """
    from ops.errors import UnknownName
    from tasks.load_settings import load_settings
    from tasks.resources import open_database
    from tasks.retry_rejects import retry_rejects
    from tasks.sources import KINDS
    from tasks.write_usage import Target

    settings = load_settings()
    if kind is not None and kind not in KINDS:
        raise UnknownName("--kind", kind, KINDS)
    fallback = source_of("(rejects)", kind="litellm", name="manual", **options)
    with open_database(settings) as engine:
        _check_name(engine, settings, name)
        target = Target.of(engine, settings)
        configured = {source.name: source for source in settings.sources}
        done = retry_rejects(target, configured, fallback, datetime.now(UTC), name, kind)
    if as_json:
        print_json(done.as_json())
    else:
        _tell(done)
    if done.tried and done.rejected == done.tried:
        raise click.exceptions.Exit(1)


def _tell(done: Retried) -> None:
    others = {"corrected": done.corrected, "skipped": done.skipped, "not kept whole": done.cut}
    more = "".join(f", {count:,} {name}" for name, count in others.items() if count)
    say(
        f"{done.tried:,} tried, {done.inserted:,} inserted, {done.duplicates:,} duplicates, "
        f"{done.rejected:,} still rejected{more}"
    )
    if done.first_reject:
        say(f"the first in {done.first_reject}", "yellow")
