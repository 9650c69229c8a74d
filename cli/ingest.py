"""`watchkeeper ingest`: load files by hand."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cli.output import as_json, print_json, progress_bar
from ops.plain_text import printable

if TYPE_CHECKING:
    from tasks.settings import Source
    from tasks.write_usage import Loaded


@click.command("ingest")
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--kind", help="litellm, jsonl, csv or scores; found from the name and --map when left out.")
@click.option("--map", "maps", multiple=True, metavar="FIELD=COLUMN", help="A field's column; repeat or use commas.")
@click.option("--set", "values", multiple=True, metavar="FIELD=VALUE", help="A field's value for every row.")
@click.option("--timezone", help="Of times that name none, such as UTC; without it they are rejected.")
@click.option("--source", "name", default="manual", show_default=True, help="The source's name.")
@click.option("--resume", is_flag=True, help="Read on where the last load of the same file ended.")
@as_json
def command(files: tuple[Path, ...], as_json: bool, resume: bool, **options: Any) -> None:
    """Load usage from FILES: exactly once, priced, rolled up; gzip is fine.

    A file loaded again adds nothing. Lines that are no events are kept in usage_rejects with the reason; the exit code
    is 1 when no line was one.

    \b
    Example:
      watchkeeper ingest proxy-log.jsonl
      watchkeeper ingest trace.csv.gz --map occurred_at=timestamp --timezone UTC \\
          --set vendor=openai --set model=gpt-4o --json
    """
    total = _load([_source(path, **options) for path in files], resume=resume, quiet=as_json)
    if as_json:
        print_json(total.as_json())
    else:
        _report(total)
    if total.read and total.rejected == total.read:
        raise click.exceptions.Exit(1)


def _source(
    path: Path, *, kind: str | None, maps: tuple[str, ...], values: tuple[str, ...], timezone: str | None, name: str
) -> Source:  # fmt: skip
    from pydantic import ValidationError

    from ops.errors import InvalidValue
    from tasks.settings import Source

    columns, constants = _pairs("--map", maps), _pairs("--set", values)
    found = kind or ("csv" if ".csv" in path.suffixes else "jsonl" if columns or constants else "litellm")
    try:
        return Source(name=name, kind=found, path=str(path), columns=columns, values=constants, timezone=timezone)
    except ValidationError as error:
        problem = error.errors()[0]
        field = {"name": "source", "path": "file"}.get(str(problem["loc"][0]), problem["loc"][0])
        raise InvalidValue(f"--{field}", problem["input"], f"right: {problem['msg']}") from None


def _pairs(option: str, texts: tuple[str, ...]) -> dict[str, str]:
    from ops.errors import InvalidValue

    pairs = {}
    for text in (part for given in texts for part in given.split(",")):
        field, _, value = (part.strip() for part in text.partition("="))
        if not (field and value):
            raise InvalidValue(option, text, "FIELD=COLUMN" if option == "--map" else "FIELD=VALUE")
        pairs[field] = value
    return pairs


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


def _report(total: Loaded) -> None:
    click.echo(
        f"{total.read:,} read, {total.inserted:,} inserted, {total.duplicates:,} duplicates, "
        f"{total.rejected:,} rejected in {total.seconds:.1f} s"
    )
    if total.unknown_models:
        models = printable(", ".join(total.unknown_models).replace("\n", " "))
        click.secho(f"no price is known for {models}: their cost is unknown", fg="yellow")
    if total.first_reject:
        hint = "SELECT line, reason FROM usage_rejects LIMIT 20"
        click.secho(f"rejected, the first in {printable(total.first_reject)}", fg="yellow")
        click.secho(f'all are kept: watchkeeper db psql -c "{hint}"', fg="yellow")
