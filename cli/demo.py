"""`watchkeeper demo`: the whole watch once, on a simulated system, in fast motion."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import click

from cli.output import as_json, print_json
from cli.times import DAY, checked_time


@click.command("demo")
@click.option("--as-of", type=DAY, help="Which day is today [default: the real one].")
@click.option("--seed", type=int, default=7, show_default=True)
@click.option("--days", type=click.IntRange(15, 90), default=30, show_default=True, help="Days of history.")
@click.option("--rate", type=click.FloatRange(50, 5000), default=300, show_default=True, help="Requests an hour.")
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), help="Where logs and the plot go.")
@as_json
def command(as_of: datetime | None, seed: int, days: int, rate: float, out: Path | None, as_json: bool) -> None:
    """Show everything in about a minute: history, a bad and a good canary, a cost spike, an outage, a slide.

    Real Postgres, real Prefect flows, simulated traffic; databases of its own, apart from those of `watchkeeper up`.

    \b
    Example:
      watchkeeper demo
      watchkeeper demo --as-of 2026-11-23 --json
    """
    from flows.run import quieten_prefect
    from tasks.load_settings import load_settings

    quieten_prefect(load_settings())
    from cli.demo_play import play
    from cli.demo_report import print_report, report_json
    from cli.demo_story import Story

    today = (checked_time("--as-of", as_of) or datetime.now(UTC)).replace(hour=0, minute=0, second=0, microsecond=0)
    result = play(Story(today=today, seed=seed, history_days=days, rate=rate), out, quiet=as_json)
    if as_json:
        print_json(report_json(result))
    else:
        print_report(result)
