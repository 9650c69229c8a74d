"""Draw quality for people: each series' days against its pinned band, latency and errors below.

Before it: `tasks/report_quality.py`. After it: `tasks/show_quality.py` puts it on the page.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from datetime import date, datetime
from math import hypot, sqrt
from statistics import fmean
from typing import Any

import matplotlib as mpl
from matplotlib import dates
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ops.monitoring.baselines import Z95, DayScores
from ops.monitoring.drift import Slide
from ops.monitoring.rules.quality import DROP
from ops.proportions import Share
from tasks.draw_costs import BLUE, GREEN, GREY, ORANGE, RED, plain
from tasks.report_quality import Entry, QualityReport
from tasks.stores.baselines import Baseline
from tasks.stores.quality_reports import LatencyDay

SERIES_SHOWN = 4
_dates: Any = dates  # matplotlib leaves its module of dates untyped


def plot_png(report: QualityReport, now: datetime) -> bytes:
    """Return the page's plot: the series with the most scores, what is wrong with them first."""
    entries = shown(report)
    panels: Any = [*([f"series {number}"] * 2 for number in range(len(entries))), ["latency", "errors"]]
    with mpl.rc_context({"text.parse_math": False}):
        height = 2.6 * (len(entries) + 1)
        figure = Figure(figsize=(10, height), dpi=110, facecolor="white", layout="constrained")
        axes: dict[str, Axes] = figure.subplot_mosaic(panels)
        for number, entry in enumerate(entries):
            _draw_series(axes[f"series {number}"], entry)
        _draw_latency(axes["latency"], report.latency)
        _draw_errors(axes["errors"], report.errors)
        for panel in axes.values():
            _finish(panel, _first_day(report), now)
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png")
    return buffer.getvalue()


def shown(report: QualityReport) -> list[Entry]:
    """Return the series that have a panel."""
    drawn = [entry for entry in report.entries if entry.days]
    drawn.sort(key=lambda entry: (entry.condition.tier is None, -sum(day.n for day in entry.days)))
    return drawn[:SERIES_SHOWN]


def _draw_series(axes: Axes, entry: Entry) -> None:
    whole = entry.days
    axes.plot(_at([day.day for day in whole]), [day.mean for day in whole], ".-", color=BLUE, linewidth=1, label="day")
    if entry.baseline is not None:
        _draw_baseline(axes, entry.baseline, whole)
    slide = entry.slide
    if slide is not None:
        _draw_slide(axes, slide, whole[-1].day)
    axes.set_title(
        f"{plain(entry.sample.key, 80)}: {plain(entry.condition.summary.value, 100)}", loc="left", fontsize=9
    )
    axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), frameon=False, fontsize=8)


def _draw_baseline(axes: Axes, baseline: Baseline, days: Sequence[DayScores]) -> None:
    pinned, window = baseline.pinned, baseline.window
    sigma = hypot(pinned.sigma / sqrt(fmean(day.n for day in days)), pinned.day_sigma)
    low, high = pinned.mean - Z95 * sigma, pinned.mean + Z95 * sigma
    axes.axhspan(low, high, color=GREEN, alpha=0.15, linewidth=0, label="9 of 10 days")
    axes.axhline(pinned.mean, color=GREEN, linewidth=1, label=f"pinned {pinned.mean:.3f}")
    axes.axhline((1 - DROP) * pinned.mean, color=RED, linewidth=1, linestyle="--", label=f"-{DROP:.0%}")
    axes.axvspan(*_dates.date2num([window.start, window.end]), color=GREY, alpha=0.08, linewidth=0, label="pinned days")


def _draw_slide(axes: Axes, slide: Slide, last: date) -> None:
    assert slide.onset is not None  # noqa: S101  an alarm has its onset and level
    assert slide.level is not None  # noqa: S101
    ahead = f",\n-{DROP:.0%} in ~{slide.days_left} d" if slide.days_left else ""
    axes.axvline(
        _dates.date2num(slide.onset), color=ORANGE, linewidth=1.5, label=f"sliding since {slide.onset:%d %b}{ahead}"
    )
    axes.plot(_at([last]), [slide.level], "D", color=ORANGE, markersize=4)


def _draw_latency(axes: Axes, days: Sequence[LatencyDay]) -> None:
    at = _dates.date2num([day.day for day in days])
    axes.plot(at, [day.p95_ms for day in days], ".-", color=ORANGE, linewidth=1, label="P95")
    axes.plot(at, [day.p50_ms for day in days], ".-", color=BLUE, linewidth=1, label="P50")
    axes.set_title("Latency of successful requests by day, ms", loc="left", fontsize=9)
    axes.set_ylim(bottom=0)
    if days:
        axes.legend(loc="lower right", bbox_to_anchor=(1.0, 0.98), frameon=False, fontsize=8, ncols=2)


def _draw_errors(axes: Axes, days: Sequence[tuple[datetime, Share]]) -> None:
    at = _dates.date2num([day for day, _ in days])
    axes.plot(at, [100 * (share.rate or 0) for _, share in days], ".-", color=RED, linewidth=1)
    low, high = ([100 * bound for bound in side] for side in
                 ([share.lower() for _, share in days], [share.upper() for _, share in days]))  # fmt: skip
    axes.fill_between(at, low, high, color=RED, alpha=0.15, linewidth=0)
    axes.set_title("Failed requests by day, % (band: what chance explains)", loc="left", fontsize=9)
    axes.set_ylim(bottom=0)


def _finish(axes: Axes, first: date, now: datetime) -> None:
    """Give all panels the same days."""
    axes.xaxis_date()
    axes.xaxis.set_major_locator(_dates.AutoDateLocator(minticks=3, maxticks=9))
    axes.xaxis.set_major_formatter(_dates.DateFormatter("%d %b"))
    axes.tick_params(labelsize=8)
    axes.spines[["top", "right"]].set_visible(False)
    axes.set_xlim(_dates.date2num(first) - 1, _dates.date2num(now) + 1)


def _first_day(report: QualityReport) -> date:
    firsts = [entry.days[0].day for entry in report.entries if entry.days]
    return min([*firsts, *(day.date() for day, _ in report.errors[:1])])


def _at(days: Sequence[date]) -> Any:
    return _dates.date2num(days)
