"""The times that options take: ISO 8601, UTC."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import click

from ops.errors import InvalidValue
from ops.window import Window

_Command = TypeVar("_Command", bound=Callable[..., Any])

DAY = click.DateTime(["%Y-%m-%d"])
TIME = click.DateTime(["%Y-%m-%d", "%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S"])


def full_days_option(default: int) -> Callable[[_Command], _Command]:
    """Return the option `--days` of a command that looks back from today."""
    return click.option(
        "--days", type=click.IntRange(1, 366), default=default, show_default=True,
        help="So many full UTC days before today.",
    )  # fmt: skip


def checked_time(option: str, when: datetime | None) -> datetime | None:
    """Return a time of an option as UTC when there can be usage at it.

    Raises:
        InvalidValue: before 2015, or more than ten years from now.
    """
    from ops.usage import EARLIEST

    if when is None:
        return None
    when, latest = when.replace(tzinfo=UTC), datetime.now(UTC) + timedelta(days=3650)
    if not EARLIEST <= when <= latest:
        raise InvalidValue(option, f"{when:%Y-%m-%d}", f"between {EARLIEST:%Y-%m-%d} and {latest:%Y-%m-%d}")
    return when


def checked_now(as_of: datetime | None) -> datetime:
    """Return the time that a command decides as of: that of its option `--as-of`, else this one.

    Raises:
        InvalidValue: there can be no usage at it, or it is still to come: what is decided would stand as the latest.
    """
    now = datetime.now(UTC)
    when = checked_time("--as-of", as_of) or now
    if when > now:
        raise InvalidValue("--as-of", f"{when:%Y-%m-%dT%H:%M:%S}", f"at or before now, {now:%Y-%m-%dT%H:%M:%S} UTC")
    return when


def checked_span(start: datetime, end: datetime, names: tuple[str, str] = ("--from", "--to")) -> Window:
    """Return the span of two options.

    Raises:
        InvalidValue: there can be no usage at one of them, or the second is not after the first.
    """
    first, last = checked_time(names[0], start), checked_time(names[1], end)
    if not first or not last or first >= last:
        raise InvalidValue(names[1], f"{end:%Y-%m-%d %H:%M}", f"after {names[0]} {start:%Y-%m-%d %H:%M}")
    return Window(first, last)
