"""`watchkeeper ingest`: load files by hand, and see what became of sources and of rows that were no events."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from cli import ingest_rejects, ingest_sources
from cli.ingest_span import span
from cli.lazy_group import check_texts
from cli.load_report import report_load
from cli.output import as_json, complain, print_json, progress_bar, say
from cli.source_options import mapping_options, source_of

if TYPE_CHECKING:
    from ops.errors import WatchkeeperError
    from tasks.find_kind import Found
    from tasks.settings import Source
    from tasks.write_usage import Loaded

_FILES, _SPAN = "FILES", "SPAN"


class FilesOrCommand(click.Group):
    """A group whose first word is a file to load unless it is one of its commands."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Put the name of the hidden command before files and their options."""
        if args and args[0] in self.commands:
            return super().parse_args(ctx, args)
        if not {*ctx.help_option_names}.isdisjoint(args):
            return super().parse_args(ctx, ["--help"])
        is_span = any(word.partition("=")[0] in {"--from", "--to"} for word in args)
        return super().parse_args(ctx, [_SPAN if is_span else _FILES, *args])

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return a command; what is none is a file."""
        return super().get_command(ctx, cmd_name) or check_texts(span if cmd_name == _SPAN else load)

    def format_usage(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write every way to use it."""
        formatter.write_usage(ctx.command_path, "[OPTIONS] FILES...")
        formatter.write_usage(ctx.command_path, "--from TIME --to TIME --source NAME [OPTIONS]", prefix="   or: ")
        formatter.write_usage(ctx.command_path, "COMMAND [ARGS]...", prefix="   or: ")

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options of files, those of a span, and the commands."""
        load.format_options(ctx, formatter)
        records = [parameter.get_help_record(ctx) for parameter in span.params]
        with formatter.section("Options of a span"):
            formatter.write_dl([record for record in records if record])
        self.format_commands(ctx, formatter)


@click.group("ingest", cls=FilesOrCommand, no_args_is_help=False)
def command() -> None:
    """Load usage from FILES: exactly once, priced, rolled up; gzip and zstd are fine.

    A file loaded again adds nothing, and one that cannot be read keeps no other from being loaded. Lines that are no
    events are kept with the reason (see `rejects`); the exit code is 1 when no line was one. A file that is called like
    a command is given as ./sources.

    With --from and --to, the past of a configured SOURCE: a polled one window by window, one of files file by file,
    several at once. Of files, rows outside the span are skipped, and where the next load begins stays as it is. What
    failed twice is listed, and the exit code is 1; run again, it goes on with what is not done.

    \b
    Example:
      watchkeeper ingest proxy-log.jsonl
      watchkeeper ingest trace.csv.gz --map occurred_at=timestamp --timezone UTC \\
          --set vendor=openai --set model=gpt-4o --json
      watchkeeper ingest --from 2026-10-01 --to 2026-11-01 --source gateway
      watchkeeper ingest sources
      watchkeeper ingest rejects list
    """


command.add_command(ingest_sources.sources)
command.add_command(ingest_rejects.rejects)


@click.command(_FILES)
@click.argument("files", nargs=-1, required=True, type=click.Path())
@click.option("--kind", help="litellm, jsonl, csv, …; found from the name, --map or the first record when left out.")
@mapping_options
@click.option("--source", "name", default="manual", show_default=True, help="The source's name.")
@click.option("--resume", is_flag=True, help="Read on where the last load of the same file ended.")
@as_json
def load(files: tuple[str, ...], as_json: bool, resume: bool, kind: str | None, **options: Any) -> None:
    """Load FILES."""
    kinds = _kinds(files, kind, is_mapped=bool(options["maps"] or options["values"]))
    sources = [source_of(path, kind=kinds[path].kind, **options) for path in files]
    if not as_json:
        _say_found(kinds)
    total, failures = _load(sources, resume=resume, quiet=as_json)
    if total.read or not failures:
        told = {path: found.kind for path, found in kinds.items()}
        print_json({**total.as_json(), "kinds": told}) if as_json else report_load(total)
    for failure in failures[:-1]:
        complain(str(failure))
    if failures:
        raise failures[-1]  # what was loaded is told
    if total.read and total.rejected == total.read:
        raise click.exceptions.Exit(1)


def _kinds(files: tuple[str, ...], kind: str | None, *, is_mapped: bool) -> dict[str, Found]:
    from tasks.find_kind import Found, find_kind
    from tasks.log_file import LogFile

    return {path: Found(kind) if kind else find_kind(LogFile(path), is_mapped=is_mapped) for path in files}


def _say_found(kinds: dict[str, Found]) -> None:
    """Say of what kind a file is where neither its name nor an option tells, and it is no LiteLLM log."""
    from tasks.find_kind import DEFAULT

    for path, found in kinds.items():
        if found.keys and found.kind != DEFAULT:
            say(f"{path}: read as {found.kind}, for its first record has {', '.join(found.keys)}")


def _load(sources: list[Source], *, resume: bool, quiet: bool) -> tuple[Loaded, list[WatchkeeperError]]:
    """Load file after file; return what was loaded, and why of those that were not."""
    from datetime import UTC, datetime

    from ops.errors import WatchkeeperError
    from tasks.load_file import load_file
    from tasks.load_settings import load_settings
    from tasks.log_file import LogFile
    from tasks.resources import open_database
    from tasks.write_usage import Loaded, Target

    settings = load_settings()
    total, failures = Loaded(), []
    with open_database(settings) as engine, progress_bar("reading", quiet=quiet) as show:
        target = Target.of(engine, settings)
        for source in sources:
            before = total

            def advance(done: Loaded, before: Loaded = before, source: Source = source) -> None:
                show(before.read + done.read, f"{source.path}: {done.read:,} rows")

            try:
                file = LogFile(source.path)
                total = total.plus(load_file(target, source, file, datetime.now(UTC), resume=resume, progress=advance))
            except WatchkeeperError as failure:
                failures.append(failure)
    return total, failures
