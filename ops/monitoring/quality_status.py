"""What `watchkeeper status` says of quality: metrics, scores, data checks, and how golden sets were answered.

Before it: `tasks/read_status.py` reads. After it: `cli/status.py` prints them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from ops.money import usd
from ops.monitoring.alerts import Status
from ops.monitoring.baselines import Pinned, Series, compared
from ops.monitoring.data_quality.checks import Outcome
from ops.monitoring.readings import Reading
from ops.monitoring.rules.quality import QualitySample, evaluate
from ops.monitoring.status import ago, ago_of, shortened
from ops.status import LATE_AFTER, Level, Row

_KIND_OF_ERROR = "error_rate_"
_MARKS = 3  # that are written of a run; the facts have all


def metric_rows(readings: Mapping[str, Sequence[Reading]]) -> list[Row]:
    """Say what the metrics are, in a line each group with observations; alerts say whether they are as they should."""
    rows = [_metric_row(about, found) for about, found in readings.items() if any(map(_is_told, found))]
    return rows or [Row(Level.NONE, "", "no requests in the last hour")]


def _metric_row(about: str, readings: Sequence[Reading]) -> Row:
    is_measured = any(reading.value is not None for reading in readings)
    told = [reading for reading in readings if _is_told(reading)]
    words = [f"{_label(reading.metric.name, about)} {reading.words()}".strip() for reading in told]
    facts = {reading.metric.name: reading.value for reading in readings}
    return Row(Level.OK if is_measured else Level.UNKNOWN, about, ", ".join(words), facts)


def _is_told(reading: Reading) -> bool:
    """Tell whether there is anything to say; of a kind of error only that it comes up."""
    return bool(reading.value) if reading.metric.name.startswith(_KIND_OF_ERROR) else reading.n > 0


def _label(name: str, about: str) -> str:
    return re.sub(rf"^{_KIND_OF_ERROR}|^{about}_|(per_minute|_cache_hit_rate|_ms|_usd)$", "", name).replace("_", " ")


def score_rows(samples: Iterable[QualitySample]) -> list[Row]:
    """Say how every metric's scores stand to their baseline."""
    return [_score_row(each) for each in samples] or [Row(Level.NONE, "", "no metric is watched")]


def _score_row(sample: QualitySample) -> Row:
    condition = evaluate(sample)
    level = Level(condition.tier.value) if condition.tier else Level.OK
    if condition.status is Status.INSUFFICIENT_DATA:
        level = Level.UNKNOWN if sample.n or sample.days or sample.pinned else Level.NONE  # NONE: it never was scored
    text = f"{condition.summary.what} {condition.summary.value}"
    facts = {"value": condition.value, "limit": condition.limit, **condition.evidence}
    return Row(level, condition.key, text, facts, alert=f"quality {sample.key}")


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckResult:
    """The last outcome of one data check."""

    suite: str
    name: str
    severity: str
    outcome: str
    detail: str | None
    as_of: datetime

    @property
    def check(self) -> str:
        """Its full name, as its alert has it."""
        return f"{self.suite}/{self.name}"


def check_rows(results: Sequence[CheckResult], every: timedelta, now: datetime) -> list[Row]:
    """Say which checks did not pass when they ran last, which had no data, and how many passed."""
    if not results:
        return [Row(Level.UNKNOWN, "", "the data were never checked")]
    broken = [_check_row(result) for result in results if result.outcome in (Outcome.FAILED, Outcome.ERRORED)]
    unknown = [result.check for result in results if result.outcome == Outcome.NO_DATA]
    nothing = [Row(Level.UNKNOWN, f"{len(unknown):,} had no data", shortened(", ".join(unknown)))] if unknown else []
    passed, last = sum(result.outcome == Outcome.PASSED for result in results), max(each.as_of for each in results)
    is_late = now - last >= LATE_AFTER * every
    when = f"{ago_of(last, every, now)}: how they are now is unknown" if is_late else ago(last, now)
    facts = {"passed": passed, "no_data": len(unknown), "checks": len(results), "as_of": last}
    text = f"{passed:,} of {len(results):,} passed, {when}"
    level = Level.UNKNOWN if is_late else Level.OK if passed else Level.NONE
    return [*broken, *nothing, Row(level, "", text, facts, stays=True)]


def _check_row(result: CheckResult) -> Row:
    """One that could not be evaluated is a warning, whatever it would have told."""
    level = Level(result.severity) if result.outcome == Outcome.FAILED else Level.WARNING
    text = f"{result.outcome}: {shortened(result.detail)}" if result.detail else result.outcome
    facts = {"outcome": result.outcome, "as_of": result.as_of}
    return Row(level, result.check, text, facts, alert=f"data_quality check:{result.check}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """What a run scored by one metric, and what that is compared with."""

    series: Series
    n: int
    mean: float
    pinned: Pinned | None  # None: nothing is pinned

    @property
    def change(self) -> float | None:
        """How far it is off its baseline, as a share of that."""
        return None if self.pinned is None else self.mean / self.pinned.mean - 1

    @property
    def is_below(self) -> bool:
        """Whether it is below its baseline by more than chance and the rule on quality allow."""
        key = str(self.series)
        return evaluate(QualitySample(key, self.mean, self.n, self.pinned)).status is Status.BREACH

    def __str__(self) -> str:
        """Write it for people."""
        against = f"{compared(self.mean, self.pinned.mean)} its baseline" if self.pinned else "no baseline"
        return f"{self.series.metric} {self.mean:.3f} ({against})"


@dataclass(frozen=True, slots=True, kw_only=True)
class LastRun:
    """The newest run of a golden set."""

    state: str  # running, interrupted, done, out of budget, abandoned
    started_at: datetime
    finished_at: datetime | None
    items: int
    begun: int  # of them
    scored: int
    failed: int  # a call of theirs; they may have scores all the same
    spent_usd: Decimal
    budget_usd: Decimal
    marks: Sequence[Mark] = ()


def evaluation_rows(runs: Mapping[str, LastRun | None], every: timedelta | None, now: datetime) -> list[Row]:
    """Say how every golden set was answered last; `every` is how often it is to be asked."""
    rows = [_run_row(name, run, every, now) for name, run in runs.items()]
    return rows or [Row(Level.NONE, "", "no golden set is configured")]


def _run_row(name: str, run: LastRun | None, every: timedelta | None, now: datetime) -> Row:
    if run is None:
        return Row(Level.UNKNOWN, name, "never ran", {"state": None})
    is_overdue = every is not None and now - run.started_at >= LATE_AFTER * every
    low = [mark for mark in run.marks if mark.is_below]
    facts = {
        "state": run.state, "started_at": run.started_at, "finished_at": run.finished_at, "items": run.items,
        "scored": run.scored, "failed": run.failed, "not_asked": run.items - run.begun, "spent_usd": run.spent_usd,
        "budget_usd": run.budget_usd, "overdue": is_overdue,
        "marks": [{"series": str(mark.series), "n": mark.n, "mean": mark.mean, "change": mark.change,
                   "below": mark in low} for mark in run.marks],
    }  # fmt: skip
    words = [*_progress(run), *_marks(run, low), f"{usd(run.spent_usd)} of {usd(run.budget_usd)}"]
    when = ago_of(run.started_at, every, now) if is_overdue and every else ago(run.started_at, now)
    return Row(_run_level(run, is_low=bool(low), is_overdue=is_overdue), name,
               f"{'overdue, ' if is_overdue else ''}{run.state} {when}: {', '.join(words)}", facts)  # fmt: skip


def _run_level(run: LastRun, *, is_low: bool, is_overdue: bool) -> Level:
    if is_low or is_overdue:
        return Level.WARNING
    if run.state == "running":
        return Level.INFO
    return Level.OK if run.state == "done" and run.scored else Level.WARNING


def _progress(run: LastRun) -> list[str]:
    parts = [f"{run.scored:,} of {run.items:,} scored"]
    parts += [f"{run.failed:,} failed"] if run.failed else []
    left = run.items - run.begun
    return [*parts, f"{left:,} not asked"] if left else parts


def _marks(run: LastRun, low: Sequence[Mark]) -> list[str]:
    """Write the worst: those below their baseline, then by how far they are off it, then those without one."""
    ordered = sorted(run.marks, key=lambda mark: (mark not in low, mark.change is None, mark.change or 0))
    left = len(ordered) - _MARKS
    return [*map(str, ordered[:_MARKS]), *([f"{left:,} more metrics"] if left > 0 else [])]
