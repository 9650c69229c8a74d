"""A configured source without a successful load for as long as its settings allow: all other rules judge without it.

One that is loaded and has nothing new is not silent: there may be no traffic.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from ops.monitoring.alerts import Condition, Json, Status, Summary, Tier

CRITICAL_AFTER = 4  # times the limit
_MINUTE = timedelta(minutes=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceSample:
    """When a source was loaded last; `limit` is None when the settings do not name it any more."""

    source: str
    now: datetime
    limit: timedelta | None
    watched_since: datetime
    last_tried_at: datetime
    last_success_at: datetime | None = None
    failures: int = 0  # tries in a row
    last_error: str | None = None

    @property
    def silent_since(self) -> datetime:
        """The last success; of a source that never had one since it is watched, the time when watching began."""
        return max(self.last_success_at or self.watched_since, self.watched_since)


def evaluate(sample: SourceSample) -> Condition:
    """Breach when a source is silent for its limit; critical from four times that."""
    silent = max(sample.now - sample.silent_since, timedelta(0))
    tier = _tier(silent, sample.limit)
    return Condition(
        rule="silence",
        key=f"source:{sample.source}",
        status=Status.BREACH if tier else Status.OK,
        tier=tier,
        value=round(silent / _MINUTE, 1),
        limit=sample.limit / _MINUTE if sample.limit is not None else None,
        unit="minutes",
        summary=_summary(sample, is_silent=tier is not None),
        evidence=_evidence(sample),
    )


def _tier(silent: timedelta, limit: timedelta | None) -> Tier | None:
    if limit is None or silent < limit:
        return None
    return Tier.WARNING if silent < CRITICAL_AFTER * limit else Tier.CRITICAL


def _summary(sample: SourceSample, *, is_silent: bool) -> Summary:
    if sample.limit is None:
        return Summary("Source", "no longer configured", "none")
    since = _time(sample.silent_since)
    if is_silent:
        never = sample.last_success_at is None
        return Summary(
            "Source", f"{'never loaded, watched' if never else 'silent'} since {since}", _words(sample.limit)
        )
    return Summary("Source", f"loaded at {since}", _words(sample.limit))


def _evidence(sample: SourceSample) -> dict[str, Json]:
    facts: dict[str, Json] = {"failures": sample.failures, "last_try": _time(sample.last_tried_at)}
    if sample.last_success_at is not None:
        facts["last_success"] = _time(sample.last_success_at)
    if sample.failures == 0:
        return {"cause": "nothing tried to load it: does ingest-usage run, and every shard?", **facts}
    return {**facts, "last_error": sample.last_error}


def _time(when: datetime) -> str:
    return f"{when.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def _words(length: timedelta) -> str:
    minutes = length / _MINUTE
    return f"{minutes:g} min" if minutes < 120 else f"{minutes / 60:.3g} h"
