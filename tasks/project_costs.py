"""Project the month's cost from the daily roll-up, keep the projection, and draw it.

Before it: `tasks/load_file.py` priced and rolled up. Between: `ops.cost.projection` decides. After it: the flow shows
the plot as an artifact.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from prefect import task
from prefect.cache_policies import NO_CACHE

from ops.cost.projection import DaySpend, Projection, project_month
from ops.money import usd
from ops.window import Window, floor_day
from tasks.settings import Settings
from tasks.stores import costs


@dataclass(frozen=True, slots=True)
class ProjectedCosts:
    """A projection, the days it was made of, and how much of the month has no price."""

    projection: Projection | None  # None: nothing was ever spent
    history: Sequence[DaySpend]
    today_usd: Decimal
    month_events: int
    unpriced_events: int


@task(cache_policy=NO_CACHE, persist_result=False)
def project_costs(engine: sa.Engine, settings: Settings, now: datetime) -> ProjectedCosts:
    """Project the cost of the calendar month of `now`, in the settings' time zone."""
    month = Window.month_of(now, settings.zone)
    with engine.begin() as connection:
        history = costs.daily(connection, settings.tenant, now)
        today = costs.spent(connection, settings.tenant, Window(max(floor_day(now), month.start), now))
        events, unpriced, _ = costs.totals(connection, settings.tenant, Window(month.start, now))
        projection = project_month(history, today, month, now)
        if projection is not None:
            costs.save_projection(connection, settings.tenant, projection, now, unpriced)
    return ProjectedCosts(projection, history, today, events, unpriced)


def plot_png(projected: ProjectedCosts, now: datetime) -> bytes:
    """Draw the month's cumulative spend and the fan of its projection, on an opaque background."""
    import matplotlib as mpl

    mpl.use("Agg")
    mpl.rcParams["text.parse_math"] = False  # a dollar sign is a dollar sign
    from matplotlib import dates
    from matplotlib.figure import Figure

    date2num: Any = dates.date2num  # matplotlib leaves it untyped

    projection = projected.projection
    figure = Figure(figsize=(8, 4.2), dpi=110, facecolor="white", layout="constrained")
    axes = figure.subplots()
    if projection is not None:
        days, sums = _cumulative(projected, projection.month, now)
        axes.plot(date2num(days), sums, color="#1D4ED8", linewidth=2, label=f"spent {usd(projection.spent_usd)}")
        fan, end = date2num([days[-1], projection.month.end]), float(projection.spent_usd)
        axes.xaxis_date()
        for low, high, share, alpha in (
            (projection.low95, projection.high95, 95, 0.12),
            (projection.low80, projection.high80, 80, 0.22),
        ):
            label = f"{share} %: {usd(low)} to {usd(high)}"
            axes.fill_between(fan, [end, float(low)], [end, float(high)], color="#1D4ED8", alpha=alpha, label=label)
        label = f"projected {usd(projection.month_end_usd)}"
        axes.plot(fan, [end, float(projection.month_end_usd)], "--", color="#1D4ED8", label=label)
        axes.legend(loc="upper left", frameon=False)
        axes.set_title(f"Cost of {projection.month.start + timedelta(days=1):%B %Y}, USD", loc="left")
    axes.spines[["top", "right"]].set_visible(False)
    axes.set_ylim(bottom=0)
    axes.xaxis.set_major_formatter(dates.DateFormatter("%d"))
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return buffer.getvalue()


def _cumulative(projected: ProjectedCosts, month: Window, now: datetime) -> tuple[list[datetime], list[float]]:
    days, sums = [month.start], [0.0]
    for entry in projected.history:
        end = datetime.combine(entry.day, time(0), tzinfo=UTC) + timedelta(days=1)
        if month.start < end <= month.end:
            days.append(end)
            sums.append(sums[-1] + float(entry.cost_usd or 0))
    return [*days, now], [*sums, sums[-1] + float(projected.today_usd)]


def report_markdown(projected: ProjectedCosts, now: datetime) -> str:
    """Write the artifact: the figures as a table, and the plot as an image inside the page."""
    projection = projected.projection
    if projection is None:
        return f"# Cost projection\n\nNo cost is known yet, as of {now:%Y-%m-%d %H:%M} UTC."
    note = "\n\n**Low history:** under 14 days, so the intervals are wide." if projection.low_history else ""
    if projected.unpriced_events:
        note += (
            f"\n\n**{projected.unpriced_events:,} of {projected.month_events:,} events have no price** and are missing."
        )
    image = base64.b64encode(plot_png(projected, now)).decode()
    return (
        f"# Cost projection, as of {now:%Y-%m-%d %H:%M} UTC\n\n"
        "| | USD |\n|---|---:|\n"
        f"| Spent this month | {usd(projection.spent_usd)} |\n"
        f"| **Projected for the month** | **{usd(projection.month_end_usd)}** |\n"
        f"| 80 % interval | {usd(projection.low80)} to {usd(projection.high80)} |\n"
        f"| 95 % interval | {usd(projection.low95)} to {usd(projection.high95)} |\n"
        f"| Level per day | {usd(projection.level_usd_per_day)} |\n"
        f"| Days of history | {projection.history_days} |{note}\n\n"
        f"![Spend and projection](data:image/png;base64,{image})\n"
    )


def save_plot(projected: ProjectedCosts, now: datetime, folder: Path) -> Path:
    """Write the plot into `folder` and return its path."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"projection-{now:%Y-%m-%d}.png"
    path.write_bytes(plot_png(projected, now))
    return path
