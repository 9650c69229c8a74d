"""Show a cost projection: the plot for Slack and the Prefect UI, and the page around it.

Before it: `tasks/project_costs.py`. After it: `flows/project_costs.py` makes the page an artifact.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from matplotlib import dates
from matplotlib.axes import Axes

from ops.cost.budgets import BudgetState, Standing, judge
from ops.cost.projection import Projection
from ops.cost.scopes import TOTAL
from ops.money import usd
from ops.plain_text import markdown_cell
from ops.window import Window
from tasks.draw_costs import BLUE, GREY, RED, causes_png, legend_below, models_png, png
from tasks.project_costs import ProjectedCosts
from tasks.tabulate_costs import BUDGET_COLUMNS, budget_rows, gravest_first, interval, unpriced

PARTS_SHOWN = 20
_dates: Any = dates  # matplotlib leaves its module of dates untyped


def plot_png(projected: ProjectedCosts, now: datetime) -> bytes:
    """Draw the month's cumulative spend and the fan of its projection."""

    def draw(axes: Axes) -> None:
        if projected.projection is not None:
            _draw(axes, projected, projected.projection, now)
        axes.set_ylim(bottom=0)

    return png(draw)


def _draw(axes: Axes, projected: ProjectedCosts, projection: Projection, now: datetime) -> None:
    days, sums = _cumulative(projected, projection.month, now)
    axes.plot(_dates.date2num(days), sums, color=BLUE, linewidth=2, label=f"spent {usd(projection.spent_usd)}")
    ends, spent = _dates.date2num([days[-1], projection.month.end]), sums[-1]
    for share, low, high, alpha in (
        (95, projection.month_end.low95, projection.month_end.high95, 0.12),
        (80, projection.month_end.low80, projection.month_end.high80, 0.22),
    ):
        label = f"{share} %: {usd(low)} to {usd(high)}"
        axes.fill_between(ends, [spent, float(low)], [spent, float(high)], color=BLUE, alpha=alpha, label=label)
    expected = [spent, float(projection.month_end.expected)]
    axes.plot(ends, expected, "--", color=BLUE, label=f"projected {usd(projection.month_end.expected)}")
    if projected.budget_usd is not None:
        budget = projected.budget_usd
        label = f"budget {usd(budget)}: {_judged(projection, budget)}"
        axes.axhline(float(budget), color=RED, linewidth=1, label=label)
    axes.axvline(_dates.date2num(now), color=GREY, linestyle=":", label=f"now, {now.astimezone(UTC):%d %B %H:%M} UTC")
    _draw_days(axes, projection.month)
    axes.set_title(f"Cost of {projection.month.start + timedelta(days=1):%B %Y}, USD", loc="left")
    legend_below(axes)


def _draw_days(axes: Axes, month: Window) -> None:
    numbers = range(1, month.length // timedelta(days=1) + 1, 5)  # the first of them may be another day in UTC
    starts = [month.start + timedelta(days=number - 1) for number in numbers]
    axes.set_xticks(_dates.date2num(starts), [str(number) for number in numbers])
    axes.set_xlim(*_dates.date2num([month.start, month.end]))


def _cumulative(projected: ProjectedCosts, month: Window, now: datetime) -> tuple[list[datetime], list[float]]:
    days, sums = [month.start], [0.0]
    for day, paid in sorted(projected.paid.items()):
        days.append(min(day + timedelta(days=1), now))
        sums.append(sums[-1] + float(paid))
    return days, sums


def report_markdown(projected: ProjectedCosts, now: datetime, standings: Iterable[Standing] = ()) -> str:
    """Write the artifact: the figures and the budgets as tables, and the plots as images inside the page."""
    projection = projected.projection
    if projection is None:
        return f"# Cost projection\n\nNo cost is known yet, as of {now:%Y-%m-%d %H:%M} UTC.{_missing(projected)}"
    note = "\n\n**Low history:** under 14 days, so the intervals are wide." if projection.low_history else ""
    note += _missing(projected)
    if projected.blocked_by is not None:
        note += f"\n\n**Do not rely on it:** {markdown_cell(projected.blocked_by)}."
    week = projection.seven_days
    return (
        f"# Cost projection, as of {now:%Y-%m-%d %H:%M} UTC\n\n"
        "| | USD |\n|---|---:|\n"
        f"| Spent this month | {usd(projection.spent_usd)} |\n"
        f"| **Projected for the month** | **{usd(projection.month_end.expected)}** |\n"
        f"| 80 % interval | {usd(projection.month_end.low80)} to {usd(projection.month_end.high80)} |\n"
        f"| 95 % interval | {usd(projection.month_end.low95)} to {usd(projection.month_end.high95)} |\n"
        f"{_budget_row(projected.budget_usd, projection)}"
        f"| Level per day | {usd(projection.level_usd_per_day)} |\n"
        f"| Next seven days | {usd(week.expected)}, 80 %: {usd(week.low80)} to {usd(week.high80)} |\n"
        f"| Days of history | {projection.history_days} |{note}\n\n"
        f"{_image('Spend and projection', plot_png(projected, now))}{_budgets_table(standings)}"
        f"{_parts_table(projected)}{_other_plots(projected, now)}"
    )


def _missing(projected: ProjectedCosts) -> str:
    return f"\n\n**{unpriced(projected)}** and are missing." if projected.unpriced_events else ""


def _image(title: str, content: bytes) -> str:
    return f"![{title}](data:image/png;base64,{base64.b64encode(content).decode()})\n"


def _other_plots(projected: ProjectedCosts, now: datetime) -> str:
    end = now.astimezone(UTC).date()
    models = {scope.key: history for scope, history in projected.models.items()}
    found = "\n" + _image("Cost by model", models_png(models, end - timedelta(days=30), end)) if models else ""
    week = projected.week
    if week is None or week.before is None or week.causes is None or not (week.before.usd and week.whole.usd):
        return found
    title = f"Cost by cause: seven days to {end - timedelta(days=1):%d %B} against the seven before, USD"
    return found + "\n" + _image("Cost by cause", causes_png(week.before.usd, week.causes, title))


def _parts_table(projected: ProjectedCosts) -> str:
    if not projected.parts:
        return ""
    dearest = [part for part in projected.dearest_first() if part[0] != TOTAL][:PARTS_SHOWN]
    rows = "".join(f"| {markdown_cell(str(scope))} | {_amounts(projection)} |\n" for scope, projection in dearest)
    title = f"\n## The dearest {len(dearest):,} of {len(projected.parts):,} teams, features and models\n\n"
    return f"{title}| | Spent | Month | 80 % | Next 7 days |\n|---|---:|---:|---:|---:|\n{rows}"


def _amounts(projection: Projection) -> str:
    month = projection.month_end
    ends = interval(projection) + (" (low history)" if projection.low_history else "")
    amounts = (usd(projection.spent_usd), usd(month.expected), ends, usd(projection.seven_days.expected))
    return " | ".join(amounts)


def _budget_row(budget: Decimal | None, projection: Projection) -> str:
    return "" if budget is None else f"| Budget, {_judged(projection, budget)} | {usd(budget)} |\n"


def _judged(projection: Projection, budget: Decimal) -> str:
    state, day = judge(projection, budget), projection.exhausts(budget)
    return f"{state}, on {day:%Y-%m-%d}" if day and state is not BudgetState.CROSSED else state


def _budgets_table(standings: Iterable[Standing]) -> str:
    found = gravest_first(standings)
    if not found:
        return ""
    rows = "".join(f"| {' | '.join(map(markdown_cell, row))} |\n" for row in budget_rows(found[:PARTS_SHOWN]))
    heads = " | ".join(column.rstrip("#") for column in BUDGET_COLUMNS)
    rules = "|".join("---:" if column.endswith("#") else "---" for column in BUDGET_COLUMNS)
    title = f"\n## The gravest {min(len(found), PARTS_SHOWN)} of {len(found):,} budgets\n\n"
    return f"{title}| {heads} |\n|{rules}|\n{rows}"


def save_plot(projected: ProjectedCosts, now: datetime, folder: Path) -> Path:
    """Write the plot into `folder` and return its path."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"projection-{now:%Y-%m-%d}.png"
    path.write_bytes(plot_png(projected, now))
    return path
