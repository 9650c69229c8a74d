"""Show the day's quality: the page of the Prefect UI and the plot as a file.

Before it: `tasks/report_quality.py`. After it: `flows/report_quality.py` makes the page an artifact.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Sequence
from datetime import datetime
from pathlib import Path

from ops.monitoring.alerts import Status
from ops.monitoring.segments import Segment
from ops.plain_text import markdown_cell
from tasks.draw_quality import shown
from tasks.report_quality import Entry, QualityReport
from tasks.stores.quality_reports import WorstScore

_MARKS = {Status.BREACH: "❌", Status.INSUFFICIENT_DATA: "❔", Status.OK: "✅"}


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


def report_markdown(report: QualityReport, now: datetime, image: bytes) -> str:
    """Write the page: every series, the plot, the judges, the worst parts, the worst answers."""
    left_out = sum(bool(entry.days) for entry in report.entries) - len(shown(report))
    note = f"\n{left_out} more series are in the table only.\n" if left_out > 0 else ""
    plot = f"![Quality, latency and errors](data:image/png;base64,{base64.b64encode(image).decode()})\n{note}"
    return (
        f"# Quality, as of {now:%Y-%m-%d %H:%M} UTC\n\n{summary(report)}.\n\n{_series(report.entries)}\n{plot}"
        f"{_judges(report)}{_segments(report.segments)}{_samples(report.samples)}"
    )


def _series(entries: Iterable[Entry]) -> str:
    head = ("Series", "Last 24 h", "Scores", "", "Pinned", "Since", "By", "Why")
    return _table(head, "-" * len(head), (_series_row(entry) for entry in entries))


def _series_row(entry: Entry) -> tuple[str, ...]:
    told, sample, baseline = entry.condition.summary, entry.sample, entry.baseline
    bound = f" ({told.bound} {told.limit})" if entry.condition.status is Status.BREACH else ""
    verdict = f"{_MARKS[entry.condition.status]} {told.what}: {told.value}{bound}"
    mean = "" if sample.mean is None else f"{sample.mean:.3f}"
    if baseline is None:
        return sample.key, mean, f"{sample.n:,}", verdict, "not yet", "", "", ""
    pinned = f"{baseline.pinned.mean:.3f} of {baseline.pinned.n:,} on {baseline.pinned.days} d"
    since = f"{baseline.accepted_at:%Y-%m-%d}"
    return sample.key, mean, f"{sample.n:,}", verdict, pinned, since, baseline.accepted_by, baseline.reason


def _judges(report: QualityReport) -> str:
    if not report.judges:
        return "\nNo judge is checked: there are no scores of a probe set.\n"
    rows = ((found.key, f"{_MARKS[found.status]} {found.summary.value}") for found in report.judges)
    return "\n## Judges, on probes that never change\n\n" + _table(("Probes", ""), "--", rows)


def _segments(segments: Sequence[Segment]) -> str:
    head = ("Metric", "Part", "Mean", "95 % bounds", "Scores", "All", "")
    rows = (
        (f"{part.metric}{f' by {part.judge}' if part.judge else ''}", f"{part.dimension}: {part.value}",
         f"{part.mean:.3f}", f"{part.low:.3f} to {part.high:.3f}", f"{part.n:,}", f"{part.whole_mean:.3f}",
         "worse" if part.is_below else "by chance at most")
        for part in segments
    )  # fmt: skip
    title = "\n## The worst parts of the last seven days\n\n"
    return title + (_table(head, "--rrrr-", rows) if segments else "No part with 30 scores is below the whole.\n")


def _samples(samples: Sequence[WorstScore]) -> str:
    head = ("Metric", "Score", "Score's id", "Request's id", "At", "Model", "Route", "Text")
    rows = (
        (each.metric, f"{each.value:.3g}", each.score_id, each.event_id or "", f"{each.occurred_at:%m-%d %H:%M}",
         each.model or "", each.route or "", _text(each))
        for each in samples
    )  # fmt: skip
    title = "\n## The worst answers of the last 24 hours\n\n"
    return title + (_table(head, "-r------", rows) if samples else "There was no score.\n")


def _text(sample: WorstScore) -> str:
    if sample.characters is None:
        return "not kept"
    return sample.text if sample.text is not None else f"redacted, {sample.characters:,} characters"


def _table(head: Sequence[str], sides: str, rows: Iterable[Sequence[str]]) -> str:
    """Write a table; `sides` has an r for each column that is aligned to the right."""
    rule = "|".join("---:" if side == "r" else "---" for side in sides)
    lines = (" | ".join(map(markdown_cell, row)) for row in rows)
    return f"| {' | '.join(head)} |\n|{rule}|\n" + "".join(f"| {line} |\n" for line in lines)


def save_plot(image: bytes, now: datetime, folder: Path) -> Path:
    """Write the day's plot into `folder` and return its path."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"quality-{now:%Y-%m-%d}.png"
    path.write_bytes(image)
    return path
