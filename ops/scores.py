"""A score of an answer: a user's thumb, a judge's mark, a test's result. The shared word of quality.

Before it: `tasks/sources/scores.py` parses a log line. After it: rows of `scores`, judged by
`ops.monitoring.rules.quality`.
"""

from __future__ import annotations

import math
from datetime import datetime

import msgspec

from ops.errors import InvalidValue
from ops.usage import check_text, check_time

_TEXTS = ("score_id", "metric", "source", "event_id", "judge_version", "release", "model", "feature", "prompt_version")

PROBES = "probe:"  # before a metric's name: that of a judge's marks of its own probe set


class Score(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=False):
    """One mark of one answer; `value` is on the metric's own scale, higher is better."""

    score_id: str
    occurred_at: datetime  # with its zone
    metric: str  # thumb, judge_relevance, …
    value: float
    source: str  # user, judge, test
    event_id: str | None = None  # of the usage event that was scored
    judge_version: str | None = None
    release: str | None = None
    model: str | None = None
    feature: str | None = None
    prompt_version: str | None = None
    tags: dict[str, str] | None = None  # language, route, …


def validate(score: Score, now: datetime) -> Score:
    """Return `score` when every field keeps its limit; `now` bounds clock skew to a day.

    Raises:
        InvalidValue: naming the first field that breaks its limit.
    """
    for field in ("score_id", "metric", "source"):
        if not getattr(score, field):
            raise InvalidValue(field, getattr(score, field), "a non-empty text")
    for field in _TEXTS:
        value = getattr(score, field)
        if value is not None:
            check_text(field, value)
    for name, value in (score.tags or {}).items():
        check_text("tags", name)
        check_text(f"tags.{name}", value)
    check_time(score.occurred_at, now)
    if not (math.isfinite(score.value) and abs(score.value) <= 1e9):
        raise InvalidValue("value", score.value, "a finite number within a billion")
    return score
