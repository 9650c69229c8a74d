"""The options that say how the rows of a file become events: for files, and for rejects of sources without settings."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from tasks.settings import Source

Command = TypeVar("Command", bound=Callable[..., Any])

_OPTIONS = (
    click.option(
        "--map", "maps", multiple=True, metavar="FIELD=COLUMN", help="A field's column; repeat or use commas."
    ),
    click.option("--set", "values", multiple=True, metavar="FIELD=VALUE", help="A field's value for every row."),
    click.option("--timezone", help="Of times that name none, such as UTC; without it they are rejected."),
)


def mapping_options(command: Command) -> Command:
    """Add --map, --set and --timezone."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def source_of(
    path: str, *, kind: str, maps: tuple[str, ...], values: tuple[str, ...], timezone: str | None, name: str
) -> Source:
    """Return the source that options describe.

    Raises:
        InvalidValue: naming the option that is wrong.
    """
    from pydantic import ValidationError

    from ops.errors import InvalidValue
    from tasks.settings import Source
    from tasks.sources import problems_of

    columns, constants = pairs("--map", maps), pairs("--set", values)
    try:
        source = Source(name=name, kind=kind, path=path, columns=columns, values=constants, timezone=timezone)
    except ValidationError as error:
        problem = error.errors()[0]
        raise InvalidValue(_option(str(problem["loc"][0])), problem["input"], f"right: {problem['msg']}") from None
    for wrong in problems_of(source):
        setting, dot, field = wrong.field.removeprefix(f"sources.{name}.").partition(".")
        raise InvalidValue(f"{_option(setting)}{dot and ' '}{field}", wrong.value, wrong.limit)
    return source


def _option(setting: str) -> str:
    return {"name": "--source", "path": "FILES", "columns": "--map", "values": "--set"}.get(setting, f"--{setting}")


def pairs(option: str, texts: tuple[str, ...]) -> dict[str, str]:
    """Read `FIELD=NAME` pairs, several in one text with commas between them.

    Raises:
        InvalidValue: a side is missing.
    """
    from ops.errors import InvalidValue

    found = {}
    for text in (part for given in texts for part in given.split(",")):
        field, _, value = (part.strip() for part in text.partition("="))
        if not (field and value):
            raise InvalidValue(option, text, "FIELD=COLUMN" if option == "--map" else "FIELD=VALUE")
        found[field] = value
    return found
