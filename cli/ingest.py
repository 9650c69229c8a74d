"""`watchkeeper ingest`: load files by hand, and see what became of sources and of rows that were no events."""

from __future__ import annotations

from pathlib import PurePath
from typing import TYPE_CHECKING, Any

import click

from cli import ingest_rejects, ingest_sources
from cli.output import as_json, print_json, progress_bar
from cli.source_options import mapping_options, source_of
from ops.plain_text import printable

if TYPE_CHECKING:
    from tasks.settings import Source
    from tasks.write_usage import Loaded

_FILES = "FILES"


class FilesOrCommand(click.Group):
    """A group whose first word is a file to load unless it is one of its commands."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Put the name of the hidden command before files and their options."""
        if args and args[0] in self.commands:
            return super().parse_args(ctx, args)
        asks_for_help = not {*ctx.help_option_names}.isdisjoint(args)
        return super().parse_args(ctx, ["--help"] if asks_for_help else [_FILES, *args])

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return a command; what is none is a file."""
        return super().get_command(ctx, cmd_name) or load

    def format_usage(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write both ways to use it."""
        formatter.write_usage(ctx.command_path, "[OPTIONS] FILES...")
        formatter.write_usage(ctx.command_path, "COMMAND [ARGS]...", prefix="   or: ")

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options of files, and the commands."""
        load.format_options(ctx, formatter)
        self.format_commands(ctx, formatter)


@click.group("ingest", cls=FilesOrCommand, no_args_is_help=False)
def command() -> None:
    """Load usage from FILES: exactly once, priced, rolled up; gzip and zstd are fine.

    A file loaded again adds nothing. Lines that are no events are kept with the reason (see `rejects`); the exit code
    is 1 when no line was one. A file that is called like a command is given as ./sources.

    \b
    Example:
      watchkeeper ingest proxy-log.jsonl
      watchkeeper ingest trace.csv.gz --map occurred_at=timestamp --timezone UTC \\
          --set vendor=openai --set model=gpt-4o --json
      watchkeeper ingest sources
      watchkeeper ingest rejects list
    """


command.add_command(ingest_sources.sources)
command.add_command(ingest_rejects.rejects)


@click.command(_FILES)
@click.argument("files", nargs=-1, required=True, type=click.Path())
@click.option("--kind", help="litellm, jsonl, csv, …; found from the name and --map when left out.")
@mapping_options
@click.option("--source", "name", default="manual", show_default=True, help="The source's name.")
@click.option("--resume", is_flag=True, help="Read on where the last load of the same file ended.")
@as_json
def load(files: tuple[str, ...], as_json: bool, resume: bool, **options: Any) -> None:
    """Load FILES."""
    total = _load([_source(path, **options) for path in files], resume=resume, quiet=as_json)
    if as_json:
        print_json(total.as_json())
    else:
        report(total)
    if total.read and total.rejected == total.read:
        raise click.exceptions.Exit(1)


def _source(path: str, *, kind: str | None, maps: tuple[str, ...], values: tuple[str, ...], **options: Any) -> Source:
    suffixes = PurePath(path).suffixes
    table = next((known for known in ("csv", "parquet") if f".{known}" in suffixes), None)
    found = kind or table or ("jsonl" if maps or values else "litellm")
    return source_of(path, kind=found, maps=maps, values=values, **options)


def _load(sources: list[Source], *, resume: bool, quiet: bool) -> Loaded:
    from datetime import UTC, datetime

    from tasks.load_file import load_file
    from tasks.load_settings import load_settings
    from tasks.log_file import LogFile
    from tasks.resources import open_database
    from tasks.write_usage import Loaded, Target

    settings = load_settings()
    total = Loaded()
    with open_database(settings) as engine, progress_bar("reading", quiet=quiet) as show:
        target = Target(engine, settings.tenant, keep_texts=settings.warming.store_texts)
        for source in sources:
            before = total

            def advance(done: Loaded, before: Loaded = before, source: Source = source) -> None:
                show(before.read + done.read, f"{source.path}: {done.read:,} rows")

            file = LogFile(source.path)
            total = total.plus(load_file(target, source, file, datetime.now(UTC), resume=resume, progress=advance))
    return total


def report(total: Loaded) -> None:
    """Say what a load did, to a person."""
    others = {"corrected": total.corrected, "skipped": total.skipped}
    more = "".join(f", {count:,} {name}" for name, count in others.items() if count)
    click.echo(
        f"{total.read:,} read, {total.inserted:,} inserted, {total.duplicates:,} duplicates, "
        f"{total.rejected:,} rejected{more} in {total.seconds:.1f} s"
    )
    if total.unknown_models:
        models = printable(", ".join(total.unknown_models).replace("\n", " "))
        click.secho(f"no price is known for {models}: their cost is unknown", fg="yellow")
    if total.first_reject:
        click.secho(f"rejected, the first in {printable(total.first_reject)}", fg="yellow")
        click.secho("all are kept: watchkeeper ingest rejects list", fg="yellow")
