"""Gather the day's page on quality: every series beside its baseline, the worst parts and answers, latency, errors.

Before it: `tasks/evaluate_alerts.py` pinned what is missing. After it: `tasks/show_quality.py` writes it, as a page and
for `watchkeeper quality report`, and `tasks/draw_quality.py` draws it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa

from ops.monitoring.alerts import Condition
from ops.monitoring.baselines import DayScores
from ops.monitoring.drift import Slide, find_slide
from ops.monitoring.rules import RULES
from ops.monitoring.rules.judge import JudgeSample
from ops.monitoring.rules.quality import DROP, QualitySample
from ops.monitoring.segments import Segment, worst
from ops.proportions import Share
from ops.window import Window, floor_day
from tasks.settings import Settings
from tasks.stores import baselines, quality_reports, quality_samples, score_days
from tasks.stores.baselines import Baseline
from tasks.stores.quality_reports import LatencyDay, WorstScore

SEGMENT_DAYS = timedelta(days=7)
SEGMENTS_SHOWN = 10
SAMPLES_SHOWN = 20  # of each metric, in the last 24 hours
SERIES_DRAWN = 4
_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Entry:
    """A series as the alert rule judges it, and as it was before."""

    sample: QualitySample
    condition: Condition
    baseline: Baseline | None
    days: Sequence[DayScores]  # of the last 90 days, today's hours included

    def full_days(self, as_of: datetime) -> list[DayScores]:
        """Return the days that are over: the last one else has few scores, and no mean that lasts."""
        return [day for day in self.days if day.day < as_of.date()]

    @property
    def slide(self) -> Slide | None:
        """The slide that the rule sees; None without one."""
        sample = self.sample
        if sample.pinned is None:
            return None
        found = find_slide(sample.days, sample.pinned, drop=DROP, series=sample.series)
        return found if found.alarm else None


@dataclass(frozen=True, slots=True)
class QualityReport:
    """What people look at once a day."""

    tenant: str
    as_of: datetime
    entries: Sequence[Entry]
    judges: Sequence[Condition]
    segments: Sequence[Segment]  # the worst ones of the last seven days
    samples: Sequence[WorstScore]
    latency: Sequence[LatencyDay]
    errors: Sequence[tuple[datetime, Share]]

    @property
    def is_empty(self) -> bool:
        """Whether there was neither a score nor a request."""
        return not (self.scored or self.errors)

    @property
    def scored(self) -> list[Entry]:
        """The series with scores: those that are told of first, then those with the most scores."""
        found = [entry for entry in self.entries if entry.days]
        return sorted(found, key=lambda entry: (entry.condition.tier is None, -sum(day.n for day in entry.days)))

    @property
    def drawn(self) -> list[Entry]:
        """The series that have a panel in the plot."""
        return self.scored[:SERIES_DRAWN]


def read_quality(engine: sa.Engine, settings: Settings, now: datetime, *, show_texts: bool = False) -> QualityReport:
    """Read one snapshot; texts of requests are left out unless they are asked for."""
    with engine.connect().execution_options(isolation_level="REPEATABLE READ") as connection, connection.begin():
        return _gather(connection, settings, now, show_texts=show_texts)


def _gather(connection: sa.Connection, settings: Settings, now: datetime, *, show_texts: bool) -> QualityReport:
    tenant, metrics = settings.tenant, settings.alerting.quality_metrics
    history = Window(floor_day(now) - quality_samples.LOOK_BACK, now)
    parts = quality_reports.segments(connection, tenant, metrics, Window.before(now, SEGMENT_DAYS))
    judges = quality_samples.judge(connection, tenant, now, settings.alerting)
    return QualityReport(
        tenant=tenant,
        as_of=now,
        entries=_entries(connection, settings, now, history, judges),
        judges=[RULES["judge"](sample) for sample in judges],
        segments=worst(parts, SEGMENTS_SHOWN),
        samples=quality_reports.worst_scores(
            connection, tenant, metrics, Window.before(now, _DAY), SAMPLES_SHOWN, texts=show_texts
        ),
        latency=quality_reports.latency_days(connection, tenant, history),
        errors=quality_reports.error_days(connection, tenant, history),
    )


def _entries(
    connection: sa.Connection, settings: Settings, now: datetime, history: Window, judges: Sequence[JudgeSample]
) -> list[Entry]:
    tenant, metrics = settings.tenant, settings.alerting.quality_metrics
    known = {str(series): found for series, found in baselines.in_force(connection, tenant, metrics, now).items()}
    days = {str(series): some for series, some in score_days.by_day(connection, tenant, metrics, history).items()}
    samples = quality_samples.quality(connection, tenant, now, settings.alerting, judges)
    return [
        Entry(sample, RULES["quality"](sample), known.get(sample.key), days.get(sample.key, ())) for sample in samples
    ]
