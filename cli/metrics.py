"""`watchkeeper metrics`: the catalogue of metrics, and what they are in a window."""

from __future__ import annotations

from datetime import datetime
from itertools import groupby
from typing import TYPE_CHECKING

import click

from cli.output import as_json, coloured, print_json, print_table, say
from cli.times import TIME, checked_now
from ops.plain_text import UNKNOWN

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ops.monitoring.readings import Reading

_BY = ("model", "release", "feature", "vendor")
_WINDOWS = ("5m", "1h", "6h", "1d", "3d")


@click.group("metrics")
def command() -> None:
    """Quality, performance, cost and system metrics, by model, release, feature and vendor.

    \b
    Example:
      watchkeeper metrics show
    """


@command.command("list")
@as_json
def list_metrics(as_json: bool) -> None:
    """Show the metrics that there are: units, which way is better, the least number of observations, formulas.

    \b
    Example:
      watchkeeper metrics list --json
    """
    from ops.monitoring.metrics import METRICS

    rows = [metric.facts() for metric in METRICS.values()]
    if as_json:
        print_json(rows)
        return
    columns = ("Metric", "Group", "Unit", "Better", "From n#", "By", "Apart", "What")
    print_table("", columns, [[", ".join(cell) if isinstance(cell, list) else cell for cell in row.values()]
                              for row in rows])  # fmt: skip


@command.command()
@click.argument("metric", required=False)
@click.option("--by", type=click.Choice(_BY), help="Tell it apart by that; by default it is of everything.")
@click.option("--window", type=click.Choice(_WINDOWS), default="1h", show_default=True, help="How long it looks back.")
@click.option("--as-of", type=TIME, help="The end of the window, UTC; now by default.")
@click.option("--top", type=click.IntRange(1), default=20, show_default=True, help="Rows a metric; JSON has all.")
@as_json
def show(metric: str | None, by: str | None, window: str, as_of: datetime | None, top: int, as_json: bool) -> None:
    """Show one METRIC, or all of them, in a window.

    From fewer observations than a metric needs there is no value but `insufficient data`. Costs of users are of full
    UTC days, whatever the window. What users, judges and evaluations of golden sets say is never in one mean: each has
    a row.

    \b
    Example:
      watchkeeper metrics show --window 1d
      watchkeeper metrics show latency_p95_ms --by model --window 3d
      watchkeeper metrics show error_rate --by vendor --as-of 2026-11-20T16:30 --json
    """
    from ops.monitoring.metrics import WINDOWS
    from ops.monitoring.readings import Dimension
    from ops.window import Window
    from tasks.load_settings import load_settings
    from tasks.read_metrics import Asked, read_metrics
    from tasks.resources import open_database

    end = checked_now(as_of)
    asked = Asked(window=Window.before(end, WINDOWS[window]), metric=metric, by=Dimension(by) if by else None)
    settings = load_settings()
    asked.metrics()  # what cannot be asked for is refused before anything starts
    with open_database(settings) as engine:
        found = read_metrics(engine, settings, asked)
    if as_json:
        head = {"from": asked.window.start, "to": asked.window.end, "by": by}
        print_json({**head, "metrics": [reading.as_json() for reading in found]})
    else:
        say(f"{window} to {end:%Y-%m-%d %H:%M} UTC")
        _show(found, by, top)


def _show(readings: Sequence[Reading], by: str | None, top: int) -> None:
    columns = ("Metric", *((by.capitalize(),) if by else ()), "Value#", "n#", "")
    print_table("", columns, (row for _, group in groupby(readings, lambda reading: reading.metric.name)
                              for row in _rows(list(group), by, top)))  # fmt: skip


def _rows(readings: Sequence[Reading], by: str | None, top: int) -> Iterator[tuple[object, ...]]:
    for reading in readings[:top]:
        value = reading.words() if reading.value is not None else coloured(reading.words(), "yellow")
        key = (reading.key or UNKNOWN,) if by else ()
        yield reading.metric.name, *key, value, f"{reading.n:,}", reading.scorer or reading.detail
    if len(readings) > top:
        yield readings[0].metric.name, f"and {len(readings) - top:,} more (--top)", "", "", ""
