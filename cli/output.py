"""What commands print: JSON for machines, aligned tables for people."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ops.plain_text import printable, printable_json

if TYPE_CHECKING:
    from rich.text import Text


_UNBOUNDED = 100_000
Show = Callable[[float, str], None]

as_json = click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")


def say(text: object = "", colour: str | None = None, *, err: bool = False) -> None:
    """Print a line, or some; what would steer the reader's terminal is left out, whoever wrote it."""
    click.secho(printable(str(text)), fg=colour, err=err)


def complain(text: str) -> None:
    """Print an error as lines on standard error, each behind our name."""
    for line in text.splitlines():
        say(f"watchkeeper: {line}", "red", err=True)


def print_json(document: Any) -> None:
    """Print a JSON document; amounts of money as numbers, times in ISO 8601."""
    click.echo(printable_json(json.dumps(document, default=_plain, indent=2, ensure_ascii=False)))


def print_table(title: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print an aligned table; columns whose name ends in a number sign are right-aligned; `[red]` is no colour here."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    name = Text(_words(title)) if title else None
    table = Table(title=name, title_justify="left", header_style="bold", box=None, pad_edge=False)
    for column in columns:
        table.add_column(column.rstrip("#"), justify="right" if column.endswith("#") else "left", overflow="fold")
    for row in rows:
        table.add_row(*(cell if isinstance(cell, Text) else Text(_words(cell)) for cell in row))
    console = Console()
    console.width = width()
    console.print(table)


def width() -> int:
    """Return how many characters a line has; a file or a pipe has no edge to wrap at."""
    from rich.console import Console

    console = Console()
    return console.width if console.is_terminal else _UNBOUNDED


def escaped(text: object) -> str:
    """Return a text as rich's markup shows it: for texts that stand between marks of ours."""
    from rich.markup import escape

    return escape(_words(text))


def _words(cell: object) -> str:
    return "" if cell is None else printable(" ".join(str(cell).split()))


def coloured(text: str, colour: str) -> Text:
    """Return a cell of `print_table` in a colour."""
    from rich.text import Text

    return Text(_words(text), style=colour)


def joined(*cells: Text) -> Text:
    """Put cells, each in its own colour, into one."""
    from rich.text import Text

    return Text("  ").join(cells)


@contextmanager
def progress_bar(title: str, *, total: float | None = None, quiet: bool = False) -> Iterator[Show]:
    """Yield a function (done, text) that moves a bar on standard error; nothing shows where there is no terminal.

    With `total` it says how long it still takes.
    """
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    console = Console(file=sys.stderr)
    name, text = (TextColumn(form, markup=False) for form in ("{task.description:<12}", "{task.fields[text]}"))
    left = () if total is None else (TextColumn("left"), TimeRemainingColumn())
    columns = (name, BarColumn(24), TimeElapsedColumn(), *left, text)
    with Progress(*columns, console=console, disable=quiet or not console.is_terminal) as bar:
        task = bar.add_task(title, total=total, text="")
        yield lambda done, text: bar.update(task, completed=done, text=printable(text))


def _plain(value: Any) -> Any:
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, datetime | date):
        return value.isoformat()
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, frozenset):
        return sorted(value)
    raise TypeError(f"cannot write {type(value).__name__} as JSON")
