"""Measure what the rules of quality judge: each series of scores beside its baseline, and the judges' probes.

After it: `ops.monitoring.rules.quality` and `ops.monitoring.rules.judge`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa

from ops.monitoring.baselines import DayScores, Pinned, Series
from ops.monitoring.drift import Shift
from ops.monitoring.rules.judge import JudgeSample
from ops.monitoring.rules.quality import IDLE_DAYS, QualitySample
from ops.scores import PROBES
from ops.window import Window, floor_day
from tasks.settings import Alerting
from tasks.stores import baselines, score_days
from tasks.stores.baselines import Baseline
from tasks.stores.tables import alerts

IN_USE = timedelta(days=IDLE_DAYS)  # since the last score of a series
LOOK_BACK = timedelta(days=90)  # in which a series' first days are looked for, and a slide
_DAY = timedelta(days=1)


def watched(metrics: Sequence[str]) -> list[str]:
    """Return the metrics that are pinned: those that are judged, and their judges' probes."""
    return [*metrics, *(f"{PROBES}{metric}" for metric in metrics)]


def quality(
    connection: sa.Connection, tenant: str, now: datetime, limits: Alerting, judges: Iterable[JudgeSample]
) -> list[QualitySample]:
    """Sample every series in use, each metric without one, and what is in use no more while its alert is open.

    `judges` are what `judge` samples: their probes tell whether it is they who have changed.
    """
    metrics = limits.quality_metrics
    scored = _read(connection, tenant, now, metrics)
    last = score_days.means(connection, tenant, metrics, Window.before(now, _DAY))
    shifts = {sample.key: sample.shift for sample in judges}
    found = [_sample(series, scored, last, shifts, now) for series in scored.in_use]
    silent = sorted(set(metrics) - scored.metrics)
    gone = _gone(connection, tenant, "quality", scored)
    return [
        *found,
        *(QualitySample(key=metric, mean=None, n=0, pinned=None) for metric in silent),
        *(QualitySample(key=key, mean=None, n=0, pinned=None, retired=True) for key in gone),
    ]


def judge(connection: sa.Connection, tenant: str, now: datetime, limits: Alerting) -> list[JudgeSample]:
    """Sample every judge whose probes are in use, and what is in use no more while its alert is open."""
    scored = _read(connection, tenant, now, [f"{PROBES}{metric}" for metric in limits.quality_metrics])
    found = [
        JudgeSample(str(series), str(series.judge), scored.pinned(series), scored.since(series, now), scored.judged)
        for series in scored.in_use
    ]
    gone = _gone(connection, tenant, "judge", scored)
    return [*found, *(JudgeSample(key, "", None, retired=True) for key in gone)]


def _sample(
    series: Series, scored: _Scored, last: Mapping[Series, tuple[float, int]], shifts: Mapping[str, Shift | None],
    now: datetime,
) -> QualitySample:  # fmt: skip
    mean, n = last.get(series, (None, 0))
    probes = Series(f"{PROBES}{series.metric}", judge=series.judge)
    return QualitySample(
        key=str(series), mean=mean, n=n, pinned=scored.pinned(series),
        days=scored.since(series, floor_day(now) - _DAY), series=scored.judged, shift=shifts.get(str(probes)),
        recent=tuple(day for day in scored.days[series] if day.day > (now - IN_USE).date()), today=now.date(),
    )  # fmt: skip


def _gone(connection: sa.Connection, tenant: str, rule: str, scored: _Scored) -> list[str]:
    """Return the keys of open alerts whose metric is scored, but not with this model, prompt and judge."""
    found = connection.execute(
        sa.select(alerts.c.key).where(alerts.c.tenant_id == tenant, alerts.c.rule == rule, alerts.c.state != "resolved")
    ).scalars()
    keys = set(map(str, scored.in_use))
    return sorted(key for key in found if key not in keys and key.split(" ", 1)[0] in scored.metrics)


@dataclass(frozen=True, slots=True)
class _Scored:
    """The days of some metrics' series, and what is pinned of them."""

    days: Mapping[Series, Sequence[DayScores]]
    known: Mapping[Series, Baseline]
    in_use: Sequence[Series]

    @property
    def metrics(self) -> set[str]:
        return {series.metric for series in self.in_use}

    @property
    def judged(self) -> int:
        return sum(series in self.known for series in self.in_use)

    def pinned(self, series: Series) -> Pinned | None:
        return self.known[series].pinned if series in self.known else None

    def since(self, series: Series, end: datetime) -> tuple[DayScores, ...]:
        """Return the days after those that are pinned, or all where nothing is, up to that of `end`."""
        start = self.known[series].window.end if series in self.known else end - LOOK_BACK
        return tuple(day for day in self.days[series] if start.date() <= day.day <= end.date())


def _read(connection: sa.Connection, tenant: str, now: datetime, metrics: Iterable[str]) -> _Scored:
    today = floor_day(now)
    days = score_days.by_day(connection, tenant, metrics, Window(today - LOOK_BACK, now))
    in_use = [series for series, some in days.items() if some[-1].day > (today - IN_USE).date()]
    return _Scored(days, baselines.in_force(connection, tenant, metrics, now), sorted(in_use, key=str))
