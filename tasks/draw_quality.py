"""Draw quality for people: each series' days against its pinned band, latency and errors below.

Before it: `tasks/read_quality.py`. After it: `tasks/show_quality.py` puts it on the page.
"""

from __future__ import annotations

import io
import textwrap
from collections.abc import Sequence
from datetime import date, datetime, timedelta
from math import ceil
from typing import Any

import matplotlib as mpl
from matplotlib import dates
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from ops.monitoring.alerts import Condition, Status
from ops.monitoring.baselines import DayScores
from ops.monitoring.drift import FEWEST_DAYS, Slide
from ops.monitoring.rules.quality import DROP, limit_words
from ops.proportions import Share
from tasks.draw_costs import BLUE, GREEN, GREY, ORANGE, RED, plain
from tasks.read_quality import Entry, QualityReport
from tasks.show_quality import verdict
from tasks.stores.baselines import Baseline
from tasks.stores.quality_reports import LatencyDay

INK = "#101828"
_WIDTH, _HEADER, _PANEL, _GROUND = 10.0, 0.6, 2.7, 2.5  # inches: of all, and how high the rows are
_LETTERS, _LINE = 130, 13  # that fit into a panel's width; points from one line to the next
_TICKS, _FEW_TICKS, _FEWEST_SHOWN = 9, 5, 7  # days
_dates: Any = dates  # matplotlib leaves its module of dates untyped


def plot_png(report: QualityReport) -> bytes:
    """Return the page's plot: the series with the most scores, what is told of first."""
    entries = report.drawn
    panels: Any = [["header"] * 2, *([f"series {number}"] * 2 for number in range(len(entries))), ["latency", "errors"]]
    heights = [_HEADER, *[_PANEL] * len(entries), _GROUND]
    with mpl.rc_context({"text.parse_math": False, "text.color": INK, "axes.titlecolor": INK}):
        figure = Figure(figsize=(_WIDTH, sum(heights)), dpi=110, facecolor="white", layout=_layout())
        axes: dict[str, Axes] = figure.subplot_mosaic(panels, height_ratios=heights)
        _write_header(axes.pop("header"), report)
        for number, entry in enumerate(entries):
            _draw_series(axes[f"series {number}"], entry, report.as_of)
        _draw_latency(axes["latency"], report.latency)
        _draw_errors(axes["errors"], report.errors)
        for name, panel in axes.items():
            _finish(panel, _first_day(report), report.as_of, _TICKS if name.startswith("series") else _FEW_TICKS)
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png")
    return buffer.getvalue()


def _layout() -> Any:
    return ConstrainedLayoutEngine(w_pad=0.12, h_pad=0.08)  # inches


def _write_header(axes: Axes, report: QualityReport) -> None:
    """Say whose quality it is, as of when, and what the picture leaves out."""
    axes.set_axis_off()
    title = f"Quality of tenant {plain(report.tenant)}, as of {report.as_of:%Y-%m-%d %H:%M} UTC"
    axes.text(0, 1, title, transform=axes.transAxes, va="top", fontsize=13, fontweight="bold")
    axes.text(0, 0.42, _shown(report), transform=axes.transAxes, va="top", fontsize=9, color=GREY)


def _shown(report: QualityReport) -> str:
    drawn, scored = len(report.drawn), report.scored
    if drawn == len(scored):
        return f"{drawn} series with scores in 90 days" if scored else "no scores in 90 days"
    told = sum(entry.condition.tier is not None for entry in scored[drawn:])
    others = f"; of the others {told} are below their baseline" if told else ""
    return f"{drawn} of {len(scored)} series: those below their baseline, then those with the most scores{others}"


def _draw_series(axes: Axes, entry: Entry, as_of: datetime) -> None:
    days, sample = entry.full_days(as_of), entry.sample
    if entry.baseline is not None:
        _draw_baseline(axes, entry.baseline, days)
    if days:
        at = _at([day.day for day in days])
        axes.plot(at, [day.mean for day in days], ".-", color=BLUE, linewidth=1, label="mean of a day")
    if entry.slide is not None:
        _draw_slide(axes, entry.slide, days[-1].day)
    if sample.mean is not None:
        name = f"last 24 h: {sample.mean:.3f} of {sample.n:,} scores"
        colour = _colour(entry.condition)
        axes.plot(_dates.date2num([as_of]), [sample.mean], "D", color=colour, markeredgecolor=INK, label=name)
    if entry.baseline is None:
        _widen(axes)
    _entitle(axes, entry.condition)
    _explain(axes, 4)


def _widen(axes: Axes) -> None:
    """Show at least 10 % of the values to each side: without a baseline, noise would fill the panel."""
    low, high = axes.get_ylim()
    middle = (low + high) / 2
    axes.set_ylim(min(low, middle - DROP * abs(middle)), max(high, middle + DROP * abs(middle)))


def _colour(condition: Condition) -> str:
    if condition.tier:
        return condition.tier.colour
    return GREY if condition.status is Status.INSUFFICIENT_DATA else GREEN


def _entitle(axes: Axes, condition: Condition) -> None:
    """Name the series, and below that what the alert rule finds, behind the colour of its tier."""
    tier = f"{condition.tier.upper()}: " if condition.tier else ""
    lines = textwrap.wrap(f"{tier}{plain(verdict(condition), 300)}", _LETTERS, max_lines=2, placeholder=" ...")
    axes.set_title(_cut(condition.key), loc="left", fontsize=10, fontweight="bold", pad=6 + _LINE * len(lines))
    place: Any = {"xycoords": "axes fraction", "textcoords": "offset points", "va": "top", "fontsize": 9}
    top = 2 + _LINE * len(lines)
    axes.annotate("■", (0, 1), xytext=(0, top), color=_colour(condition), **place)
    axes.annotate("\n".join(lines), (0, 1), xytext=(12, top), **place)


def _cut(name: str) -> str:
    """Fit a name: the ends of long ones tell them apart."""
    name, most = plain(name, 1_000), _LETTERS - 30
    return name if len(name) <= most else f"{name[: most // 2]}...{name[-most // 2 :]}"


def _draw_baseline(axes: Axes, baseline: Baseline, days: Sequence[DayScores]) -> None:
    pinned, window = baseline.pinned, baseline.window
    usual = [pinned.usual(day.n, day.day) for day in days]
    low, high = [low for low, _ in usual], [high for _, high in usual]
    axes.fill_between(_at([day.day for day in days]), low, high, color=GREEN, alpha=0.15, linewidth=0,
                      label="usual: 9 of 10 days")  # fmt: skip
    axes.axhline(pinned.mean, color=GREEN, linewidth=1, label=f"baseline {pinned.mean:.3f}")
    limit = (1 - DROP) * pinned.mean
    axes.axhline(limit, color=ORANGE, linewidth=1, linestyle="--", label=f"limit {limit:.3f}: {limit_words()}")
    axes.axvspan(*_dates.date2num([window.start, window.end]), color=GREY, alpha=0.08, linewidth=0, label="pinned days")


def _draw_slide(axes: Axes, slide: Slide, last: date) -> None:
    """Draw the line that is fitted to the days of a slide; its end is the number that the message tells."""
    assert slide.onset is not None  # noqa: S101  an alarm has its onset, level and slope
    assert slide.level is not None  # noqa: S101
    assert slide.slope is not None  # noqa: S101
    began = slide.level - slide.slope * (last - slide.onset).days
    name = f"slide since {slide.onset:%d %b}: {slide.level:.3f} on {last:%d %b}"
    if slide.days < FEWEST_DAYS:
        name = f"mean since {slide.onset:%d %b}: {slide.level:.3f}"
    axes.plot(_at([slide.onset, last]), [began, slide.level], color=ORANGE, linewidth=2.5, label=name)


def _draw_latency(axes: Axes, days: Sequence[LatencyDay]) -> None:
    axes.set_title("Latency of successful requests by day, ms", loc="left", fontsize=10, fontweight="bold")
    if not days:
        _say(axes, "no successful requests in 90 days")
        return
    at, last = _dates.date2num([day.day for day in days]), f"{days[-1].day:%d %b}"
    p95, p50 = [day.p95_ms for day in days], [day.p50_ms for day in days]
    axes.plot(at, p95, ".-", color=BLUE, linewidth=1, label=f"P95: {p95[-1]:,.0f} on {last}")
    axes.plot(at, p50, ".-", color=GREY, linewidth=1, label=f"P50: {p50[-1]:,.0f} on {last}")
    axes.set_ylim(bottom=0)
    _explain(axes, 2)


def _draw_errors(axes: Axes, days: Sequence[tuple[datetime, Share]]) -> None:
    axes.set_title("Failed requests by day, %", loc="left", fontsize=10, fontweight="bold")
    if not days:
        _say(axes, "no requests in 90 days")
        return
    at = _dates.date2num([day for day, _ in days])
    axes.plot(at, [100 * (share.rate or 0) for _, share in days], ".-", color=RED, linewidth=1, label="share of a day")
    low, high = ([100 * bound for bound in side] for side in
                 ([share.lower() for _, share in days], [share.upper() for _, share in days]))  # fmt: skip
    axes.vlines(at, low, high, color=RED, alpha=0.2, linewidth=3, label="its 90 % bounds")
    axes.set_ylim(bottom=0)
    _explain(axes, 2)


def _say(axes: Axes, words: str) -> None:
    axes.set_yticks([])
    axes.text(0.5, 0.5, words, transform=axes.transAxes, ha="center", va="center", color=GREY, fontsize=9)


def _explain(axes: Axes, columns: int) -> None:
    """Explain the colours below the panel, where they hide nothing."""
    place: Any = {"loc": "upper left", "bbox_to_anchor": (0.0, -0.1), "borderaxespad": 0.0}
    axes.legend(**place, ncols=columns, frameon=False, fontsize=8, handlelength=1.4, columnspacing=1.4)


def _finish(axes: Axes, first: date, as_of: datetime, most: int) -> None:
    """Give all panels the same days; the last tick is the day of the report."""
    first = min(first, as_of.date() - timedelta(days=_FEWEST_SHOWN))
    count = (as_of.date() - first).days + 1
    ticks = [as_of.date() - timedelta(days=before) for before in range(0, count, ceil(count / most))]
    axes.set_xticks(_at(ticks), [f"{day:%d %b}" for day in ticks])
    axes.tick_params(labelsize=8)
    axes.spines[["top", "right"]].set_visible(False)
    axes.set_xlim(_dates.date2num(first) - 1, _dates.date2num(as_of) + 1)


def _first_day(report: QualityReport) -> date:
    firsts = [entry.days[0].day for entry in report.scored]
    return min([*firsts, *(day.date() for day, _ in report.errors[:1])], default=report.as_of.date())


def _at(days: Sequence[date]) -> Any:
    return _dates.date2num(days)
