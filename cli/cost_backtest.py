"""`watchkeeper cost backtest`: how well the projection would have done on past months."""

from __future__ import annotations

import hashlib
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from cli.output import as_json, print_json, print_table, progress_bar, say

if TYPE_CHECKING:
    from ops.cost.backtest import Backtest, Horizon, Series
    from tasks.settings import Settings

HALVES = ("all", "tuning", "reporting")


@click.command("backtest")
@click.option("--panel", type=click.Path(), metavar="FILE", help="Daily series in CSV (series,date,value) instead.")
@click.option(
    "--half", type=click.Choice(HALVES), default="all", show_default=True,
    help="Of the series, by a hash of their names: what the method was tuned on and what it was not.",
)  # fmt: skip
@as_json
def command(panel: str | None, half: str, as_json: bool) -> None:
    """Project past months as they were known on their 3rd, 7th, 14th and 21st day, and compare with what came.

    A month is 30 days, the first one from the 60th day of a series on; one is left out when less than half of it, or of
    the 60 days before it, is known. Errors are multiples of those of run-rate and of seasonal naive (the geometric mean
    over the series; below 1 is better). Your own history is that of the total and of every team, feature and model, as
    far as roll-ups go back.

    \b
    Example:
      watchkeeper cost backtest
      watchkeeper cost backtest --panel days.csv.gz --json
    """
    from ops.cost.backtest import backtest

    series = {name: days for name, days in _series(panel).items() if half in ("all", _half_of(name))}
    with progress_bar("projecting", total=len(series), quiet=as_json) as show:
        found = backtest(series, lambda done, total: show(done, f"{done:,} of {total:,} series"))
    if as_json:
        print_json(asdict(found))
    elif found.month_end is None:
        say("too little history: no series has the 90 days that a backtest needs, half of them known")
    else:
        _show(found)


def _series(panel: str | None) -> Series:
    from tasks.load_settings import load_settings
    from tasks.log_file import LogFile
    from tasks.read_panel import read_panel

    return read_panel(LogFile(panel)) if panel else _own(load_settings())


def _own(settings: Settings) -> Series:
    from datetime import UTC, datetime, timedelta

    from ops.window import Window
    from tasks.project_costs import daily
    from tasks.resources import open_database

    with open_database(settings) as engine, engine.connect() as connection:
        now, tenant = datetime.now(UTC), settings.tenant
        month = Window.month_of(now, settings.zone)
        days = daily(connection, tenant, now, month, timedelta(days=3650), settings.overrides)
    return {str(scope): known.history for scope, known in days.items()}


def _half_of(name: str) -> str:
    return HALVES[1 + hashlib.sha256(name.encode()).digest()[0] % 2]


def _show(found: Backtest) -> None:
    columns = ("Horizon", "vs run-rate#", "vs seasonal naive#", "in 80 %#", "in 95 %#", "80 % width#")
    horizons = (("month end", found.month_end), ("seven days", found.seven_day))
    print_table("", columns, [_row(name, horizon) for name, horizon in horizons if horizon is not None])
    say(f"{found.tasks:,} projections of {found.series:,} series, {found.ms_per_fit:.2f} ms each")


def _row(name: str, horizon: Horizon) -> tuple[str, ...]:
    ratios = (f"{horizon.vs_run_rate:.3f}", f"{horizon.vs_seasonal_naive:.3f}")
    return name, *ratios, *(f"{share:.1%}" for share in (horizon.coverage80, horizon.coverage95, horizon.width80))
