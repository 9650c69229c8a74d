"""The checks of what the sources bring, against what the hour of the week usually brings, and what that is.

Before it: `tasks/stores/profiles.py` counts the events of each source by the hour. After it: statements
in `tasks/stores/sql/` hold the counts against these expectations. Each fault has one name: where nothing comes at all
it is freshness, where one source is missing silence, where a whole day lacks that day, and only what came is held to a
volume.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from ops.monitoring.alerts import Tier
from ops.monitoring.baselines import Baseline, Maturity, Point, seasonal
from ops.monitoring.data_quality.checks import Suite, Use, between, no_findings
from ops.window import floor_day, floor_hour

HISTORY = timedelta(days=30)  # four weeks before yesterday, and a little
FEWEST_DUE = 20  # that many events expected and none seen: by chance once in e^20
FEWEST_COUNTED = 100  # below it a share of the volume says nothing
FEWEST_SIZED = 1000  # on either side, to compare sizes
LONGEST_SILENCE = timedelta(hours=72)  # a source that brings less in it has no rhythm to hold it to
_HOUR, _DAY = timedelta(hours=1), timedelta(days=1)
_SPREADS = 4 * 1.4826  # of median absolute deviations: four sigmas

FRESH, SILENT = "events are fresh", "no source is silent while others speak"
_WATCHED = {"watched": "no source is watched"}
_UNUSUAL = "of no watched source it is known what it usually brings: that takes two weeks of it"
_UNHEARD = "nothing came in the last hour, and nothing is known to be due: that takes two weeks of a source"
_UNCOUNTED = "no watched source brought events in the last day of which it is known how many are usual"
_UNSIZED = f"no source brought {FEWEST_SIZED:,} events both in the last day and in the weeks before"

TRAFFIC = Suite(
    "traffic",
    (
        between("events", 1, 10**12),
        no_findings(FRESH, "traffic_stale", of={**_WATCHED, "heard_or_due": _UNHEARD}),
        no_findings(SILENT, "traffic_silent", of={**_WATCHED, "due_sources": _UNUSUAL}),
        no_findings(
            "no day of a source is missing", "traffic_missing_days", Tier.WARNING,
            of={**_WATCHED, "daily_sources": _UNUSUAL},
        ),
        no_findings(
            "a source brings as many events as usual", "traffic_volume", Tier.WARNING,
            of={**_WATCHED, "volume_sources": _UNCOUNTED},
        ),
        no_findings(
            "a source's requests are as large as usual", "traffic_shift", Tier.WARNING, of={"sized_sources": _UNSIZED}
        ),
    ),
    frozenset(Use),
)  # fmt: skip
OF_WATCHED = frozenset(check.name for check in TRAFFIC.checks if "watched" in check.of)

Hours = Mapping[datetime, int]  # events by full UTC hour; absent: none


@dataclass(frozen=True, slots=True)
class Due:
    """At or after `since` an event is expected of a source; of any source where it is None."""

    source: str | None
    since: datetime


@dataclass(frozen=True, slots=True)
class Volume:
    """How many events a source should bring in [since, until)."""

    source: str
    since: datetime
    until: datetime
    least: int
    most: int


def dues(sources: Mapping[str, Hours], now: datetime) -> list[Due]:
    """Say since when each source, and all of them, should have brought something; none that has no rhythm yet."""
    whole: dict[datetime, int] = {}
    for hours in sources.values():
        for hour, events in hours.items():
            whole[hour] = whole.get(hour, 0) + events
    found = [(source, _due_since(hours, now)) for source, hours in [(None, whole), *sources.items()]]
    return [Due(source, since) for source, since in found if since is not None]


def _due_since(hours: Hours, now: datetime) -> datetime | None:
    points, hour, expected = _points(hours, now), floor_hour(now), 0.0
    while expected < FEWEST_DUE and floor_hour(now) - hour < LONGEST_SILENCE:
        hour -= _HOUR
        usual = _usual(points, hour)
        if usual is None:
            return None
        expected += usual.centre or 0.0
    return hour if expected >= FEWEST_DUE else None


def dead(sources: Mapping[str, Hours], due: Sequence[Due], silent: Collection[str]) -> list[str]:
    """Name the sources that owe events, where each is known to be silent: its alert tells why nothing comes.

    Where one of them is loaded and brings nothing, that is nobody's alert but the checks': none is named.
    """
    owe = {each.source for each in due if each.source is not None and max(sources[each.source]) < each.since}
    concerned = owe or sources.keys()
    return sorted(concerned) if concerned <= set(silent) else []


_TOLD_BY = "silence of "


def told_by(silent: Sequence[str]) -> str:
    """Name the alert that tells of sources which are dead."""
    return f"{_TOLD_BY}{', '.join(silent)}"


def told_of(words: str) -> list[str]:
    """Return the sources that `told_by` named."""
    return words.removeprefix(_TOLD_BY).split(", ")


def heard(sources: Mapping[str, Hours], now: datetime) -> list[str]:
    """Name the sources that brought something in the last full hour, or since."""
    since = floor_hour(now) - _HOUR
    return [source for source, hours in sources.items() if any(hour >= since for hour in hours)]


def daily(sources: Mapping[str, Hours], now: datetime) -> list[str]:
    """Name the sources that lacked something if one of the last 14 days were missing: the same days before had some."""
    return [source for source, hours in sources.items() if _is_daily(hours, floor_day(now))]


def _is_daily(hours: Hours, today: datetime) -> bool:
    days: Counter[datetime] = Counter()
    for hour, events in hours.items():
        days[floor_day(hour)] += events
    before = [(today - (k + 7) * _DAY, today - (k + 14) * _DAY) for k in range(1, 15)]
    return any(min(days[day] for day in pair) >= FEWEST_DUE for pair in before)


def volumes(sources: Mapping[str, Hours], now: datetime) -> list[Volume]:
    """Bound what each source brings in the last 24 full hours, as far as it brought anything."""
    found = [_volume(source, hours, now) for source, hours in sources.items()]
    return [volume for volume in found if volume is not None]


def _volume(source: str, hours: Hours, now: datetime) -> Volume | None:
    """Sum up the hours' medians: half of it at least, twice of it at most, and four sigmas either way."""
    spoken = _spoken(hours, now)
    if spoken is None:
        return None
    since, until = spoken
    points = _points(hours, now)
    usual = [_usual(points, since + k * _HOUR) for k in range(int((until - since) / _HOUR))]
    known = [each for each in usual if each is not None]
    expected = sum(each.centre or 0.0 for each in known)
    if len(known) < len(usual) or expected < FEWEST_COUNTED:
        return None
    spread = _SPREADS * sum(each.mad or 0.0 for each in known)
    least, most = expected - max(spread, expected / 2), expected + max(spread, expected)
    return Volume(source, since, until, max(0, int(least)), int(most))


def _spoken(hours: Hours, now: datetime) -> tuple[datetime, datetime] | None:
    """Return the part of the last 24 full hours after a missing day and before a silence."""
    end = floor_hour(now)
    start, today = end - _DAY, floor_day(now)
    if not any(hours.get(today - k * _HOUR) for k in range(1, 25)):
        start = max(start, today)
    heard = [hour for hour, events in hours.items() if start <= hour < end and events]
    return (start, max(heard) + _HOUR) if heard else None


def _points(hours: Hours, now: datetime) -> list[Point]:
    first, last = min(hours, default=now), floor_hour(now)
    return [Point(hour, hours.get(hour, 0)) for hour in (first + k * _HOUR for k in range(int((last - first) / _HOUR)))]


def _usual(points: list[Point], hour: datetime) -> Baseline | None:
    """Return what the hour of the week brings; None before there are weeks to know it from."""
    found = seasonal(points, hour)
    return found if found.maturity is Maturity.WEEKLY else None
