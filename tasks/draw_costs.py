"""Draw costs for people: PNG on an opaque background, for Slack and the Prefect UI.

Before it: `tasks/project_costs.py` and `tasks/report_costs.py`. After it: `tasks/show_projection.py` makes a page.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import matplotlib as mpl
from matplotlib import dates
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ops.cost.breakdown import CauseShares
from ops.cost.projection import DaySpend
from ops.money import usd

BLUE, RED, GREEN, GREY, ORANGE = "#1D4ED8", "#D92D20", "#12B76A", "#667085", "#F79009"
MODELS_SHOWN = 6
_COLOURS = (BLUE, ORANGE, GREEN, "#7A5AF8", "#06AED4", "#EE46BC", "#98A2B3")
_WEEK = 7
_HEADROOM = 1.1  # of the highest bar, for what is written above it
_SLIVER = 2  # times the span of the steps: when every bar is higher than that, the axis is cut
_dates: Any = dates  # matplotlib leaves its module of dates untyped


def png(draw: Callable[[Axes], None]) -> bytes:
    """Return a plot."""
    with mpl.rc_context({"text.parse_math": False}):  # a dollar sign is a dollar sign
        figure = Figure(figsize=(8, 4.2), dpi=110, facecolor="white", layout="constrained")
        axes = figure.subplots()
        draw(axes)
        axes.spines[["top", "right"]].set_visible(False)
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png")
    return buffer.getvalue()


def legend_below(axes: Axes) -> None:
    """Explain the colours where they hide nothing and take no width."""
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.08), ncols=2, frameon=False, fontsize="small")


def models_png(models: Mapping[str, Sequence[DaySpend]], since: date, end: date) -> bytes:
    """Draw the cost of every day in [since, end) by model: the dearest ones, and the others as one."""
    days = [since + timedelta(days=number) for number in range((end - since).days)]
    rows = _dearest({name: _by_day(history, days) for name, history in models.items()})

    def draw(axes: Axes) -> None:
        bottom = [0.0] * len(days)
        for (name, costs), colour in zip(rows, _COLOURS, strict=False):
            label = f"{plain(name)}, {usd(sum(costs))}"
            axes.bar(_dates.date2num(days), costs, 0.9, bottom=bottom, color=colour, label=label)
            bottom = [low + cost for low, cost in zip(bottom, costs, strict=True)]
        shown = days[::-_WEEK]
        axes.set_xticks(_dates.date2num(shown), [f"{day:%d %b}" for day in shown])
        axes.set_ylim(0, max(bottom, default=0.0) * _HEADROOM or None)
        axes.set_title("Cost by day and model, at today's prices, USD", loc="left")
        if rows:
            legend_below(axes)

    return png(draw)


def _by_day(history: Sequence[DaySpend], days: Sequence[date]) -> list[float]:
    known = {entry.day: float(entry.cost_usd or 0) for entry in history}
    return [known.get(day, 0.0) for day in days]


def _dearest(rows: Mapping[str, list[float]]) -> list[tuple[str, list[float]]]:
    ordered = sorted(((name, costs) for name, costs in rows.items() if any(costs)), key=lambda row: -sum(row[1]))
    shown, rest = ordered[:MODELS_SHOWN], ordered[MODELS_SHOWN:]
    if rest:
        shown.append((f"{len(rest)} others", [sum(costs) for costs in zip(*(row[1] for row in rest), strict=True)]))
    return shown


def causes_png(before_usd: Decimal, causes: CauseShares, title: str) -> bytes:
    """Draw why spend changed: from one bar to the other, a step for each cause."""
    steps = [
        ("requests", causes.requests_usd), ("tokens per request", causes.tokens_per_request_usd),
        ("$ per token", causes.price_per_token_usd),
    ]  # fmt: skip
    after = before_usd + causes.change_usd

    def draw(axes: Axes) -> None:
        axes.bar(["before"], [float(before_usd)], color=GREY)
        level = lowest = before_usd
        for name, change in steps:
            axes.bar([name], [float(change)], bottom=float(level), color=RED if change > 0 else GREEN)
            level += change
            lowest = min(lowest, level)
        axes.bar(["after"], [float(after)], color=GREY)
        amounts = [usd(before_usd), *(f"{'+' if change > 0 else ''}{usd(change)}" for _, change in steps), usd(after)]
        tops = [before_usd, *_tops(before_usd, [change for _, change in steps]), after]
        for spot, (amount, top) in enumerate(zip(amounts, tops, strict=True)):
            axes.annotate(amount, (spot, float(top)), ha="center", va="bottom")
        axes.set_title(title, loc="left")
        _frame(axes, float(lowest), float(max(tops)))

    return png(draw)


def _frame(axes: Axes, low: float, high: float) -> None:
    """Cut off what all bars share where the steps would else be slivers, and say so."""
    span, bottom = high - low, min(0.0, low * _HEADROOM)  # a cause alone may save more than all
    if low > _SLIVER * span > 0:
        bottom = low - span
        axes.set_ylabel(f"cut: the axis begins at {usd(bottom)}")
    axes.set_ylim(bottom, bottom + (high - bottom) * _HEADROOM)


def _tops(level: Decimal, changes: Sequence[Decimal]) -> list[Decimal]:
    found = []
    for change in changes:
        found.append(max(level, level + change))
        level += change
    return found


def plain(name: str, most: int = 40) -> str:
    """Return what matplotlib's own font has."""
    return "".join(char if char.isascii() and char.isprintable() else "?" for char in name)[:most]
