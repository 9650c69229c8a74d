"""A configured source without a successful load for as long as its settings allow: all other rules judge without it.

One that is loaded and has nothing new is not silent: there may be no traffic. Where nothing tries to load several
since the same time, one of them tells of all.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from ops.monitoring.alerts import Condition, Json, Status, Summary, Tier

CRITICAL_AFTER = 4  # times the limit
ONE_RUN = timedelta(minutes=10)  # in which a run tries all of its sources, one after the other
_ZERO, _MINUTE = timedelta(0), timedelta(minutes=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceSample:
    """When a source was loaded last; `limit` is None when the settings do not name it any more."""

    source: str
    now: datetime
    limit: timedelta | None
    watched_since: datetime
    last_tried_at: datetime
    last_success_at: datetime | None = None
    is_missed: bool = False  # events of it that were due are missing, which is critical whatever its limit
    failures: int = 0  # tries in a row
    last_error: str | None = None
    told_by: str | None = None  # the source whose alert tells of this one too
    tells_of: tuple[str, ...] = ()
    tells_critical: bool = False  # one of them is

    @property
    def silent_since(self) -> datetime:
        """The last success; of a source that never had one since it is watched, the time when watching began."""
        return max(self.last_success_at or self.watched_since, self.watched_since)

    @property
    def silent(self) -> timedelta:
        """For how long it is."""
        return max(self.now - self.silent_since, _ZERO)

    @property
    def tier(self) -> Tier | None:
        """How grave its silence is: from its limit on a warning, critical from four times that or when it is missed."""
        if self.limit is None or self.silent < self.limit:
            return None
        is_critical = self.is_missed or self.tells_critical or self.silent >= CRITICAL_AFTER * self.limit
        return Tier.CRITICAL if is_critical else Tier.WARNING


def together(samples: Iterable[SourceSample]) -> list[SourceSample]:
    """Let one tell of all that nothing tries to load since the same time: that whose limit was over first.

    It stays the same one for as long as nothing tries; one that is tried and fails tells of itself. It is as grave as
    the gravest of them.
    """
    found = list(samples)
    untried = sorted((each for each in found if each.tier and not each.failures), key=lambda each: each.silent_since)
    groups: list[list[SourceSample]] = []
    for each in untried:
        if groups and each.silent_since - groups[-1][0].silent_since <= ONE_RUN:
            groups[-1].append(each)
        else:
            groups.append([each])
    told = {each.source: each for group in groups for each in _group(group)}
    return [told.get(each.source, each) for each in found]


def _group(group: list[SourceSample]) -> list[SourceSample]:
    first, *others = sorted(group, key=lambda each: (each.silent_since + (each.limit or _ZERO), each.source))
    names = tuple(sorted(other.source for other in others))
    is_critical = any(each.tier is Tier.CRITICAL for each in group)
    tells = replace(first, tells_of=names, tells_critical=is_critical)
    return [tells, *(replace(other, told_by=first.source) for other in others)]


def evaluate(sample: SourceSample) -> Condition:
    """Breach when a source is silent; of one that another tells of nothing more is said."""
    tier = sample.tier if sample.told_by is None else None
    status = Status.OK if sample.tier is None else Status.INSUFFICIENT_DATA if sample.told_by else Status.BREACH
    return Condition(
        rule="silence",
        key=f"source:{sample.source}",
        status=status,
        tier=tier,
        value=round(sample.silent / _MINUTE, 1),
        limit=sample.limit / _MINUTE if sample.limit is not None else None,
        unit="minutes",
        summary=_summary(sample, is_silent=sample.tier is not None),
        evidence=_evidence(sample),
    )


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
    if sample.is_missed:
        facts["missed"] = "events that were due, by the data checks"
    if sample.last_success_at is not None:
        facts["last_success"] = _time(sample.last_success_at)
    if sample.failures == 0:
        also = {"also": ", ".join(sample.tells_of)} if sample.tells_of else {}
        return {"cause": "nothing tried to load it: does ingest-usage run, and every shard?", **also, **facts}
    return {**facts, "last_error": sample.last_error}


def _time(when: datetime) -> str:
    return f"{when.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def _words(length: timedelta) -> str:
    minutes = length / _MINUTE
    return f"{minutes:g} min" if minutes < 120 else f"{minutes / 60:.3g} h"
