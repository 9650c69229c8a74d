"""Show the day's quality: the rows that the page of the Prefect UI and `watchkeeper quality report` share, and JSON.

Before it: `tasks/read_quality.py`. After it: `flows/report_quality.py` makes the page an artifact.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

from ops.monitoring.alerts import Condition, Status
from ops.monitoring.baselines import DayScores
from ops.monitoring.segments import Segment
from ops.plain_text import markdown_cell
from tasks.read_quality import Entry, QualityReport
from tasks.stores.quality_reports import WorstScore

SERIES = ("State", "Series", "Last 24 h#", "Scores#", "Baseline#", "Last 28 days", "Slides since", "What")
PINNED = ("Of", "Accepted", "By", "Why")
JUDGES = ("State", "Probes", "What")
SEGMENTS = ("Metric", "Part", "Mean#", "Bounds", "Scores#", "Whole#", "")
SAMPLES = ("Metric", "Score#", "Score's id", "Request's id", "At (UTC)", "Model", "Route", "Text")
DAYS = ("Day", "P50 ms#", "P95 ms#", "Requests#", "Failed#", "")
SAID = (
    "A bar is a day's mean, a dot a day without scores: half high it is at the baseline (without one, at the "
    "mean of those days), each eighth is 5 %."
)
BOUNDED = "Bounds: 95 % for all parts together; what is not below the whole by them may be chance."
_MARKS = {Status.BREACH: "❌", Status.INSUFFICIENT_DATA: "❔", Status.OK: "✅"}
_BARS = "▁▂▃▄▅▆▇█"
_BAR = 0.05  # of the baseline
_BARS_SHOWN = 28


def summary(report: QualityReport) -> str:
    """Say in one line how many series are where."""
    conditions = [entry.condition for entry in report.entries]
    counts = {status: sum(found.status is status for found in conditions) for status in Status}
    line = (
        f"{len(conditions)} series: {counts[Status.OK]} fine, {counts[Status.BREACH]} below their baseline, "
        f"{counts[Status.INSUFFICIENT_DATA]} unknown"
    )
    moved = sum(found.status is Status.BREACH for found in report.judges)
    return f"{line}; {moved} judges moved" if moved else line


def series_row(entry: Entry, as_of: datetime) -> tuple[str, ...]:
    """Write a series beside its baseline."""
    sample, slide = entry.sample, entry.slide
    return (
        _state(entry.condition), sample.key, "" if sample.mean is None else f"{sample.mean:.3f}", f"{sample.n:,}",
        f"{sample.pinned.mean:.3f}" if sample.pinned else "", bars(entry, as_of),
        f"{slide.onset}" if slide else "", verdict(entry.condition),
    )  # fmt: skip


def _state(condition: Condition) -> str:
    if condition.tier:
        return condition.tier.value
    return "unknown" if condition.status is Status.INSUFFICIENT_DATA else "ok"


def verdict(condition: Condition) -> str:
    """Write what a rule found; the limit only where it matters."""
    told = condition.summary
    return str(told) if condition.status is Status.BREACH else f"{told.what} {told.value}"


def bars(entry: Entry, as_of: datetime) -> str:
    """Draw the means of the last full days."""
    means = {day.day: day.mean for day in entry.full_days(as_of)}
    shown = [as_of.date() - timedelta(days=before) for before in range(_BARS_SHOWN, 0, -1)]
    known = [means[day] for day in shown if day in means]
    middle = entry.sample.pinned.mean if entry.sample.pinned else sum(known) / max(len(known), 1)
    return "".join(_bar(means[day], middle) if day in means else "·" for day in shown) if known else ""


def _bar(value: float, middle: float) -> str:
    off = (value - middle) / (_BAR * abs(middle)) if middle else 0.0
    return _BARS[max(0, min(len(_BARS) - 1, round(off) + len(_BARS) // 2 - 1))]


def _pinned_cells(entry: Entry) -> tuple[str, ...]:
    baseline = entry.baseline
    if baseline is None:
        return ("not yet", "", "", "")
    of = f"{baseline.pinned.n:,} scores on {baseline.pinned.days} d"
    return of, f"{baseline.accepted_at:%Y-%m-%d}", baseline.accepted_by, baseline.reason


def judge_row(condition: Condition) -> tuple[str, ...]:
    """Write how a judge marks its probes."""
    return _state(condition), condition.key, verdict(condition)


def segment_row(part: Segment) -> tuple[str, ...]:
    """Write a part of the traffic beside the whole."""
    return (
        f"{part.metric}{f' by {part.judge}' if part.judge else ''}", f"{part.dimension}: {part.value}",
        f"{part.mean:.3f}", f"{part.low:.3f} to {part.high:.3f}", f"{part.n:,}", f"{part.whole_mean:.3f}", part.verdict,
    )  # fmt: skip


def sample_row(each: WorstScore) -> tuple[str, ...]:
    """Write a low score."""
    return (
        each.metric, f"{each.value:.3g}", each.score_id, each.event_id or "", f"{each.occurred_at:%m-%d %H:%M}",
        each.model or "", each.route or "", _text(each),
    )  # fmt: skip


def _text(sample: WorstScore) -> str:
    if sample.characters is None:
        return "not kept"
    return sample.text if sample.text is not None else f"redacted, {sample.characters:,} characters"


def day_rows(report: QualityReport, shown: int) -> list[tuple[str, ...]]:
    """Write latency and failures of the last days that had requests."""
    latency = {each.day: each for each in report.latency}
    rows: list[tuple[str, ...]] = []
    for day, share in report.errors[-shown:]:
        took = latency.get(day)
        known = (f"{took.p50_ms:,.0f}", f"{took.p95_ms:,.0f}") if took else ("", "")
        partial = "so far" if day.date() == report.as_of.date() else ""
        rows.append((f"{day:%Y-%m-%d}", *known, f"{share.n:,}", f"{share.rate or 0:.2%}", partial))
    return rows


def as_document(report: QualityReport) -> dict[str, Any]:
    """Return the report as JSON has it."""
    return {
        "tenant": report.tenant,
        "as_of": report.as_of,
        "summary": summary(report),
        "series": [_series_document(entry) for entry in report.entries],
        "judges": [_condition_document(condition) for condition in report.judges],
        "segments": [
            {**asdict(part), "low": part.low, "high": part.high, "is_below": part.is_below} for part in report.segments
        ],
        "samples": [asdict(sample) for sample in report.samples],
        "latency": [asdict(day) for day in report.latency],
        "errors": [{"day": day, "failures": share.hits, "requests": share.n} for day, share in report.errors],
    }


def _condition_document(condition: Condition) -> dict[str, Any]:
    return {
        "key": condition.key, "state": _state(condition), "told": verdict(condition), "value": condition.value,
        "limit": condition.limit,
    }  # fmt: skip


def _series_document(entry: Entry) -> dict[str, Any]:
    sample, baseline = entry.sample, entry.baseline
    pinned = baseline and {
        "mean": baseline.pinned.mean, "n": baseline.pinned.n, "days": baseline.pinned.days,
        "accepted_at": baseline.accepted_at, "accepted_by": baseline.accepted_by, "reason": baseline.reason,
    }  # fmt: skip
    return {
        **_condition_document(entry.condition),
        "last_24_h": {"mean": sample.mean, "n": sample.n},
        "baseline": pinned,
        "slide": asdict(entry.slide) if entry.slide else None,
        "days": [_day_document(entry, day) for day in entry.days],
    }


def _day_document(entry: Entry, day: DayScores) -> dict[str, date | int | float | None]:
    low, high = entry.sample.pinned.usual(day.n, day.day) if entry.sample.pinned else (None, None)
    return {"day": day.day, "n": day.n, "mean": day.mean, "usual_low": low, "usual_high": high}


def report_markdown(report: QualityReport, image: bytes) -> str:
    """Write the page: every series, the plot, the judges, the worst parts, the worst answers."""
    head = f"# Quality of tenant {markdown_cell(report.tenant)}, as of {report.as_of:%Y-%m-%d %H:%M} UTC"
    left_out = len(report.scored) - len(report.drawn)
    note = f"\n{left_out} more series are in the table only.\n" if left_out else ""
    plot = f"![Quality, latency and errors](data:image/png;base64,{base64.b64encode(image).decode()})\n{note}"
    return (
        f"{head}\n\n{summary(report)}.\n\n{_series(report)}\n{SAID}\n\n{plot}"
        f"{_judges(report)}{_segments(report.segments)}{_samples(report.samples)}"
    )


def _series(report: QualityReport) -> str:
    rows = ((_marked(entry.condition, series_row(entry, report.as_of)), _pinned_cells(entry)) for entry in
            report.entries)  # fmt: skip
    return _table((*SERIES, *PINNED), (row + pinned for row, pinned in rows))


def _marked(condition: Condition, row: tuple[str, ...]) -> tuple[str, ...]:
    return f"{_MARKS[condition.status]} {row[0]}", *row[1:]


def _judges(report: QualityReport) -> str:
    if not report.judges:
        return "\nNo judge is checked: there are no scores of a probe set.\n"
    rows = (_marked(found, judge_row(found)) for found in report.judges)
    return "\n## Judges, on probes that never change\n\n" + _table(JUDGES, rows)


def _segments(segments: Sequence[Segment]) -> str:
    title = "\n## The worst parts of the last seven days\n\n"
    if not segments:
        return f"{title}No part with 30 scores is below the whole.\n"
    return f"{title}{_table(SEGMENTS, map(segment_row, segments))}\n{BOUNDED}\n"


def _samples(samples: Sequence[WorstScore]) -> str:
    title = "\n## The worst answers of the last 24 hours\n\n"
    return title + (_table(SAMPLES, map(sample_row, samples)) if samples else "There was no score.\n")


def _table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Write a table; columns whose name ends in a number sign are aligned to the right."""
    head = " | ".join(column.rstrip("#") for column in columns)
    rule = "|".join("---:" if column.endswith("#") else "---" for column in columns)
    lines = (" | ".join(map(markdown_cell, row)) for row in rows)
    return f"| {head} |\n|{rule}|\n" + "".join(f"| {line} |\n" for line in lines)


def save_plot(image: bytes, now: datetime, folder: Path) -> Path:
    """Write the day's plot into `folder` and return its path."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"quality-{now:%Y-%m-%d}.png"
    path.write_bytes(image)
    return path
