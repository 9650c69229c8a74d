"""`watchkeeper quality report`: the day's page on quality, in the terminal."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import groupby, islice
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cli.output import as_json, coloured, print_json, print_table, say
from cli.times import DAY, checked_time
from ops.errors import InvalidValue

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tasks.read_quality import QualityReport

_COLOURS = {"critical": "red", "warning": "yellow", "info": "blue", "unknown": "dim", "ok": "green"}
_DAYS = 7


@click.command("report")
@click.option("--day", type=DAY, help="As of the end of this UTC day; as of now by default.")
@click.option("--png", type=click.Path(dir_okay=False, path_type=Path), help="Draw it into this file too.")
@click.option("--texts", is_flag=True, help="Show the texts of the worst answers' requests too.")
@click.option("--top", type=click.IntRange(1), default=5, show_default=True, help="Answers a metric; JSON has 20.")
@as_json
def command(day: datetime | None, png: Path | None, texts: bool, top: int, as_json: bool) -> None:
    """Show every series of scores beside its baseline, and where quality is worst; as the flow report-quality does.

    What is below its baseline, or slides, is told with how far and since when. Parts of the traffic are below the whole
    only when that is more than chance. Texts are redacted unless --texts asks for them. Nothing is stored; the exit
    code is 0 whatever it shows.

    \b
    Example:
      watchkeeper quality report --png quality.png
      watchkeeper quality report --day 2026-11-20 --json
    """
    from tasks.load_settings import load_settings
    from tasks.read_quality import read_quality
    from tasks.resources import open_database
    from tasks.show_quality import as_document

    now = _as_of(day)
    settings = load_settings()
    with open_database(settings) as engine:
        report = read_quality(engine, settings, now, show_texts=texts)
    if png:
        from tasks.draw_quality import plot_png

        png.write_bytes(plot_png(report))
    if as_json:
        print_json(as_document(report))
    else:
        _show(report, top)
        if png:
            say(f"\n{png}: {len(report.drawn)} of {len(report.scored)} series with scores are drawn")


def _as_of(day: datetime | None) -> datetime:
    now, start = datetime.now(UTC), checked_time("--day", day)
    if start and start > now:
        raise InvalidValue("--day", f"{start:%Y-%m-%d}", f"at most {now:%Y-%m-%d}")
    return min(start + timedelta(days=1), now) if start else now


def _show(report: QualityReport, top: int) -> None:
    from tasks import show_quality as page

    say(f"{report.tenant}, {report.as_of:%Y-%m-%d %H:%M} UTC: {page.summary(report)}")
    series = [_coloured(page.series_row(entry, report.as_of)) for entry in report.entries]
    _print("Series beside their baselines", page.SERIES, series, page.SAID)
    judges = [_coloured(page.judge_row(each)) for each in report.judges]
    _print("Judges, on probes that never change", page.JUDGES, judges)
    segments = [page.segment_row(part) for part in report.segments]
    _print("The worst parts of the last seven days", page.SEGMENTS, segments, page.BOUNDED)
    by_metric = groupby(report.samples, lambda sample: sample.metric)
    samples = [page.sample_row(sample) for _, same in by_metric for sample in islice(same, top)]
    left_out = len(report.samples) - len(samples)
    note = f"and {left_out:,} more (--top)" if left_out else ""
    _print("The worst answers of the last 24 hours", page.SAMPLES, samples, note)
    _print("Latency and failed requests", page.DAYS, page.day_rows(report, _DAYS))


def _print(title: str, columns: Sequence[str], rows: Sequence[Sequence[object]], note: str = "") -> None:
    """Print a table under its title; one without rows says so."""
    say(f"\n{title}:{'' if rows else ' none'}")
    if rows:
        print_table("", columns, rows)
        if note:
            say(note)


def _coloured(row: Sequence[str]) -> tuple[object, ...]:
    return coloured(row[0], _COLOURS[row[0]]), *row[1:]
