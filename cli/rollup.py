"""`watchkeeper rollup`: prove that the roll-ups equal the events, and repair them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import reduce
from typing import TYPE_CHECKING

import click

from cli.output import as_json, print_json, print_table, progress_bar, say
from cli.times import DAY, checked_span

if TYPE_CHECKING:
    import sqlalchemy as sa

    from ops.window import Window
    from tasks.stores.rollups import Difference
    from tasks.verify_rollups import Progress, Verified


def _span_options(function: Callable[..., None]) -> Callable[..., None]:
    options = (
        click.option("--from", "start", type=DAY, help="The first day, UTC; by default the first that is kept."),
        click.option("--to", "end", type=DAY, help="The day after the last one; by default all that there are."),
        as_json,
    )
    return reduce(lambda found, option: option(found), reversed(options), function)


@click.group("rollup")
def command() -> None:
    """Compare the hourly roll-ups with the events that they sum up, and repair them.

    \b
    Example:
      watchkeeper rollup verify
    """


@command.command()
@_span_options
def verify(start: datetime | None, end: datetime | None, as_json: bool) -> None:
    """Count the kept events anew and compare: exit code 1 when a roll-up differs.

    A running loader makes no difference: each day is one snapshot.

    \b
    Example:
      watchkeeper rollup verify --from 2026-11-01 --json
    """
    from tasks.verify_rollups import verify_rollups

    with _opened("Comparing", quiet=as_json) as (engine, tenant, progress):
        done = verify_rollups(engine, tenant, _span(start, end), progress)
    if as_json:
        print_json(done.as_json())
    else:
        _show(done)
    if done.differing:
        raise click.exceptions.Exit(1)


@command.command()
@click.option("--orphans", is_flag=True, help="Also delete roll-ups of days that have no partition of events.")
@_span_options
def rebuild(start: datetime | None, end: datetime | None, as_json: bool, orphans: bool) -> None:
    """Put what the events add up to in the place of roll-ups that differ, a day a transaction; loaders may run.

    Days whose events retention dropped are refused.

    \b
    Example:
      watchkeeper rollup rebuild --from 2026-11-20 --to 2026-11-22
    """
    from tasks.rebuild_rollups import rebuild_rollups

    with _opened("Rebuilding", quiet=as_json) as (engine, tenant, progress):
        done = rebuild_rollups(engine, tenant, _span(start, end), progress, orphans=orphans)
    if as_json:
        print_json(done.as_json())
        return
    days = ", ".join(f"{day:%Y-%m-%d}" for day in done.repaired) or "none"
    say(f"days looked at: {done.days:,}; keys that differed: {done.keys:,}; days repaired: {days}")
    if done.left_alone:
        names = ", ".join(f"{day:%Y-%m-%d}" for day in done.left_alone)
        say(f"left alone, without events to count: {names} (--orphans deletes their roll-ups)", "yellow")


@contextmanager
def _opened(title: str, *, quiet: bool) -> Iterator[tuple[sa.Engine, str, Progress]]:
    from tasks.load_settings import load_settings
    from tasks.resources import open_database

    settings = load_settings()
    with open_database(settings) as engine, progress_bar(title, total=1, quiet=quiet) as show:

        def progress(done: int, total: int, day: datetime) -> None:
            show(done / total, f"{day:%Y-%m-%d}, {done:,} of {total:,} days")

        yield engine, settings.tenant, progress


def _span(start: datetime | None, end: datetime | None) -> Window | None:
    from ops.usage import EARLIEST

    if start is None and end is None:
        return None
    return checked_span(start or EARLIEST, end or datetime.now(UTC) + timedelta(days=2))


def _show(done: Verified) -> None:
    since = f", from {done.floor:%Y-%m-%d} on" if done.floor else ""
    say(f"days compared: {done.days:,}{since}")
    rows = [(table.table, f"{table.keys:,}", f"{table.differing:,}") for table in done.tables]
    print_table("", ("Roll-up", "Keys#", "Differ#"), rows)
    first = [difference for table in done.tables for difference in table.first]
    if first:
        say()
        print_table("The first differences", ("Roll-up", "Time (UTC)", "Key", "Rolled up", "Counted"),
                    map(_row, first))  # fmt: skip


def _row(difference: Difference) -> tuple[object, ...]:
    key = dict(difference.key)
    time = key.pop(next(iter(key)))
    names = " ".join(f"{name}={value}" for name, value in key.items() if value is not None)
    kept, counted = difference.rolled_up, difference.counted
    return difference.table, f"{time:%Y-%m-%d %H:%M}", names, _sums(kept, counted), _sums(counted, kept)


def _sums(sums: Mapping[str, Decimal] | None, others: Mapping[str, Decimal] | None) -> str:
    """Write the sums that differ from the other side's; where that has none, those that are not 0."""
    if sums is None:
        return "nothing"
    other = others or dict.fromkeys(sums, Decimal(0))
    return " ".join(f"{name}={_plain(amount)}" for name, amount in sums.items() if amount != other[name])


def _plain(amount: Decimal) -> str:
    return f"{amount.normalize():f}"
