"""`watchkeeper cost reprice`: price what is loaded anew, by the contracts and the price book of now."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

import click

from cli.output import as_json, print_json, print_table, progress_bar, say
from cli.times import DAY, checked_span

if TYPE_CHECKING:
    from tasks.reprice_usage import Repriced

_COLUMNS = ("Model", "Requests#", "Before#", "After#", "Change#", "Price found#", "Price lost#")


@click.command("reprice")
@click.option("--from", "start", type=DAY, required=True, help="The first day, UTC.")
@click.option("--to", "end", type=DAY, required=True, help="The day after the last one, UTC.")
@click.option("--model", help="Only this one: gpt-4o or openai/gpt-4o.")
@click.option("--dry-run", is_flag=True, help="Say what would change, and change nothing.")
@as_json
def command(start: datetime, end: datetime, model: str | None, dry_run: bool, as_json: bool) -> None:
    """Price stored requests anew, with their roll-ups, a day a transaction; loaders may run.

    By `prices` of the settings, then the price book. Run again it changes nothing; killed, it goes on where it stopped.

    \b
    Example:
      watchkeeper cost reprice --from 2026-11-01 --to 2026-12-01 --dry-run
      watchkeeper cost reprice --from 2026-11-01 --to 2026-12-01 --model openai/gpt-4o --json
    """
    from ops.usage import check_text
    from tasks.load_settings import load_settings
    from tasks.reprice_usage import reprice_usage
    from tasks.resources import open_database

    span = checked_span(start, end)
    check_text("--model", model or "")
    settings = load_settings()
    with open_database(settings) as engine, progress_bar("Repricing", total=1, quiet=as_json) as show:

        def progress(done: int, total: int, day: datetime) -> None:
            show(done / total, f"{day:%Y-%m-%d}, {done:,} of {total:,} days")

        done = reprice_usage(engine, settings, span, progress, model=model, dry_run=dry_run)
    if as_json:
        print_json(done.as_json())
    else:
        _show(done)


def _show(done: Repriced) -> None:
    from ops.money import usd

    total = done.total
    would = "would change" if done.dry_run else "changed"
    say(
        f"{done.events:,} requests of {done.days:,} days: {total.events:,} {would},"
        f" from {usd(total.known_before_usd)} to {usd(total.known_after_usd)}"
    )
    rows = [
        (name, f"{change.events:,}", usd(change.known_before_usd), usd(change.known_after_usd),
         usd(change.change_usd), f"{change.became_priced:,}", f"{change.became_unpriced:,}")
        for name, change in done.models.items()
    ]  # fmt: skip
    if rows:
        print_table("", _COLUMNS, rows)
