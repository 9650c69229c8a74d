"""What a metric is, and a reading of one: a value with what it rests on, or insufficient data.

Before it: `measured.py`, the sums of a window. After it: `metrics.py` lists the metrics that there are.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from enum import StrEnum
from typing import Any

from ops.errors import InvalidValue
from ops.money import usd
from ops.monitoring.alerts import percent
from ops.monitoring.measured import Sample, Scorer
from ops.window import Window, full_days


class Group(StrEnum):
    """What a metric is about."""

    QUALITY = "quality"
    PERFORMANCE = "performance"
    COST = "cost"
    SYSTEM = "system"


class Better(StrEnum):
    """In which direction a metric gets better."""

    HIGHER = "higher"
    LOWER = "lower"
    NEITHER = "neither"


class Unit(StrEnum):
    """What a value is measured in."""

    SHARE = "share"
    SCORE = "score"
    MS = "ms"
    PER_MINUTE = "requests/min"
    REQUESTS = "requests"
    USD = "USD"
    VERSIONS = "versions"
    STATE = "state"


class Dimension(StrEnum):
    """By what a metric can be told apart; each is a column of the events."""

    MODEL = "model"
    RELEASE = "release"
    FEATURE = "feature"
    VENDOR = "vendor"


class ReadingStatus(StrEnum):
    """Whether a reading has a value; none of them says that the value is good."""

    MEASURED = "measured"
    INSUFFICIENT_DATA = "insufficient_data"
    UNKNOWN = "unknown"  # the largest latency of hours whose events are no longer kept


class Source(StrEnum):
    """What a metric is worked out from: the kind of sums that its `sample` takes."""

    REQUESTS = "requests"  # RequestSums
    SENT = "sent requests"  # SentSums
    LATENCY = "latency"  # Histogram
    FIRST_TOKEN = "first token"  # noqa: S105  Histogram; no password
    SCORES = "scores"  # ScoreSums, by the score's name and its Scorer
    USER_DAY = "users of a day"  # UserSums
    USER_MONTH = "users of 30 days"  # UserSums
    PROJECTION = "projection"  # MonthEnd
    MODELS = "models"  # InUse
    PROMPTS = "prompt versions"  # InUse
    PAGES = "status pages"  # Pages


FULL_DAYS = {Source.USER_DAY: 1, Source.USER_MONTH: 30}  # that a source is read of, whatever the window


def span_of(source: Source, window: Window) -> Window:
    """Return the time that a source is read of: the window, or so many full UTC days before its end."""
    days = FULL_DAYS.get(source)
    return window if days is None else full_days(window.end, days)


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric; `sample` makes its value and number of observations of its source's sums."""

    name: str
    group: Group
    unit: Unit
    better: Better
    min_n: int
    source: Source
    formula: str  # for people
    sample: Callable[[Any], Sample]
    dimensions: Collection[Dimension] = tuple(Dimension)
    score: str | None = None  # the name of the scores that it is made of, those of each Scorer apart

    def facts(self) -> dict[str, Any]:
        """Return what the catalogue shows of it."""
        return {
            "name": self.name, "group": self.group.value, "unit": self.unit.value, "better": self.better.value,
            "min_n": self.min_n, "by": [dimension.value for dimension in self.dimensions],
            "apart": list(Scorer._fields) if self.score else [], "formula": self.formula,
        }  # fmt: skip

    def check_dimension(self, by: Dimension) -> None:
        """Raise InvalidValue when the metric cannot be told apart by that."""
        if by not in self.dimensions:
            known = ", ".join(self.dimensions) or "nothing, being of everything together"
            raise InvalidValue("by", by.value, f"what {self.name} is told apart by: {known}")

    def readings(self, key: str | None, sums: Any, window: Window) -> list[Reading]:
        """Work out the metric of one key: of scores one reading of each scorer, for what two say is never mixed."""
        by_scorer = (sums or {}).get(self.score, {}) if self.score else {}
        found = [replace(self.read(key, some, window), scorer=scorer) for scorer, some in by_scorer.items()]
        return found or [self.read(key, None if self.score else sums, window)]

    def read(self, key: str | None, sums: object | None, window: Window) -> Reading:
        """Work out the metric of one key (sums None: nothing is there); too few observations give no value."""
        value, n, detail = Sample(None, 0) if sums is None else self.sample(sums)
        known = value if n >= self.min_n else None
        span = span_of(self.source, window)
        return Reading(metric=self, key=key, window=span, value=known, n=n, detail="" if known is None else detail)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """A metric's value in a window, of everything or of one key; None: insufficient data, or the data do not tell."""

    metric: Metric
    key: str | None
    window: Window
    value: float | Decimal | str | None
    n: int
    detail: str = ""
    scorer: Scorer | None = None  # of a metric of scores

    @property
    def status(self) -> ReadingStatus:
        """Whether there is a value, and if not why."""
        if self.n < self.metric.min_n:
            return ReadingStatus.INSUFFICIENT_DATA
        return ReadingStatus.UNKNOWN if self.value is None else ReadingStatus.MEASURED

    def words(self) -> str:
        """Write the value for people."""
        if self.value is not None:
            return _WORDS[self.metric.unit](self.value)
        if self.status is ReadingStatus.UNKNOWN:
            return "unknown"
        return f"insufficient data ({self.n:,} of {self.metric.min_n:,})"

    def as_json(self) -> dict[str, Any]:
        """Return what `--json` prints."""
        metric = self.metric
        return {
            "metric": metric.name, "key": self.key, "value": self.value,
            "status": self.status.value, "unit": metric.unit.value,
            "better": metric.better.value, "n": self.n, "min_n": metric.min_n, "from": self.window.start,
            "to": self.window.end, "detail": self.detail,
            **(self.scorer._asdict() if self.scorer else dict.fromkeys(Scorer._fields)),
        }  # fmt: skip


_WORDS: Mapping[Unit, Callable[[Any], str]] = {
    Unit.SHARE: lambda value: percent(value, figures=4),
    Unit.SCORE: lambda value: f"{value:.3f}",
    Unit.MS: lambda value: f"{value:,.0f} ms" if value >= 10 else f"{value:.3g} ms",
    Unit.PER_MINUTE: lambda value: f"{value:,.4g} a minute",
    Unit.REQUESTS: lambda value: f"{value:,.4g} requests",
    Unit.USD: usd,
    Unit.VERSIONS: lambda value: f"{value:,}",
    Unit.STATE: str,
}
