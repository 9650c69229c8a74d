"""Pin what quality is held to: the first baselines of a series by themselves, every later one because somebody says so.

Before it: scores are loaded. After it: `tasks/stores/quality_samples.py` measures against what is pinned.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Literal

import sqlalchemy as sa

from ops.errors import InvalidValue, NotFound
from ops.monitoring.alerts import Tier
from ops.monitoring.baselines import (
    FIRST_PIN,
    WHOLE_PIN,
    DayScores,
    Pinned,
    Series,
    compared,
    first_days,
    pin,
    pin_probes,
    whole_days,
)
from ops.monitoring.drift import unsettled
from ops.monitoring.slack_message import render_note
from ops.scores import PROBES
from ops.window import Window, floor_day
from tasks.notify import notify, routes_of
from tasks.settings import Settings
from tasks.stores import baselines, score_days
from tasks.stores.baselines import ITSELF, Baseline
from tasks.stores.quality_samples import IN_USE, LOOK_BACK, watched

_DAY = timedelta(days=1)


def pin_missing(connection: sa.Connection, settings: Settings, now: datetime) -> list[Baseline]:
    """Pin the series that have no baseline, or one of under four weeks, and tell of each; after that a person does."""
    metrics, today = watched(settings.alerting.quality_metrics), floor_day(now)
    baselines.take_turns(connection)
    known = baselines.in_force(connection, settings.tenant, metrics, now)
    scored = score_days.means(connection, settings.tenant, metrics, Window.before(now, IN_USE))
    wanted = {series for series in scored if series not in known or _may_grow(known[series])}
    if not wanted:
        return []
    window, names = Window(today - LOOK_BACK, today), {series.metric for series in wanted}
    days = score_days.by_day(connection, settings.tenant, names, window)
    chosen = {series: _chosen(days.get(series, []), known.get(series), today.date()) for series in wanted}
    made = [_described(series, *chosen[series], now) for series in sorted(wanted, key=str) if chosen[series][0]]
    new = [baseline for baseline in made if baseline is not None]
    for baseline in new:
        _put_in_force(connection, settings, baseline, known.values())
    return new


def _may_grow(baseline: Baseline) -> bool:
    return baseline.accepted_by == ITSELF and baseline.window.length < WHOLE_PIN


def _chosen(days: Sequence[DayScores], before: Baseline | None, today: date) -> tuple[Sequence[DayScores], timedelta]:
    """Return the days to pin, none where nothing is, and how long they are together."""
    start = None if before is None else before.window.start.date()
    whole = whole_days([day for day in days if start is None or day.day >= start], today)
    if whole and start in (None, whole[0].day):
        return whole, WHOLE_PIN
    first = first_days(days, today) if before is None else ()
    return first, max(FIRST_PIN, first[-1].day - first[0].day + _DAY) if first else FIRST_PIN


def _described(series: Series, days: Sequence[DayScores], span: timedelta, now: datetime) -> Baseline | None:
    """Return a first baseline; None of scores that have no mean to fall from."""
    start = datetime.combine(days[0].day, time(0), tzinfo=UTC)
    try:
        pinned = _pin(series, days)
    except InvalidValue:
        return None
    return Baseline(series, pinned, Window(start, start + span), now, ITSELF, f"first {span.days} days of scores")


def _pin(series: Series, days: Sequence[DayScores]) -> Pinned:
    return (pin_probes if series.metric.startswith(PROBES) else pin)(days)


@dataclass(frozen=True, slots=True)
class Acceptance:
    """What somebody accepts as good: the scores of a span of whole UTC days."""

    wanted: Series  # None is any: together they must name one series
    window: Window
    reason: str
    who: str
    moving: bool = False  # also when the scores still move


@dataclass(frozen=True, slots=True)
class Accepted:
    """What came of an acceptance."""

    outcome: Literal["accepted", "unchanged", "refused"]
    baseline: Baseline  # the one that was made, or that was in force already
    before: Baseline | None = None  # what it replaces, or would
    moves: str | None = None  # how its scores still move


def accept_baseline(engine: sa.Engine, settings: Settings, accepted: Acceptance, now: datetime) -> Accepted:
    """Put a new baseline in force, and tell of it; the one before stays in the history.

    Scores that still move are not pinned unless they are accepted as such; the same accepted again changes nothing.

    Raises:
        InvalidValue: the span is not over, the scores make no baseline, or several series are meant.
        NotFound: nothing was scored.
    """
    if accepted.window.end > floor_day(now):
        raise InvalidValue("--to", f"{accepted.window.end:%Y-%m-%d}", f"at most {now:%Y-%m-%d}: of full days only")
    if not accepted.reason.strip():
        raise InvalidValue("--reason", accepted.reason, "a text")
    metric, window = accepted.wanted.metric, accepted.window
    read = Window(min(window.start, window.end - LOOK_BACK), window.end)
    with engine.begin() as connection:
        baselines.take_turns(connection)
        known = baselines.in_force(connection, settings.tenant, [metric])
        days = score_days.by_day(connection, settings.tenant, [metric], read)
        made = _made(days, known, accepted, now)
        if made.outcome == "accepted":
            _put_in_force(connection, settings, made.baseline, known.values(), made.moves)
    return made


def _made(
    days: Mapping[Series, Sequence[DayScores]], known: Mapping[Series, Baseline], accepted: Acceptance, now: datetime
) -> Accepted:
    """Decide what comes of an acceptance."""
    first = accepted.window.start.date()
    chosen = {series: kept for series, some in days.items() if (kept := [day for day in some if day.day >= first])}
    series = _one_of(chosen, accepted)
    pinned, before = _pin(series, chosen[series]), known.get(series)
    baseline = Baseline(series, pinned, accepted.window, now, accepted.who, accepted.reason)
    if before and before.is_same(baseline):
        return Accepted("unchanged", before)
    since = [day for day in days[series] if before and day.day >= before.window.end.date()]
    is_probe = series.metric.startswith(PROBES)
    moves = unsettled(chosen[series], since, before.pinned if before else None, rises=is_probe)
    return Accepted("refused" if moves and not accepted.moving else "accepted", baseline, before, moves)


def _one_of(days: Mapping[Series, object], accepted: Acceptance) -> Series:
    wanted, window = accepted.wanted, accepted.window
    given = {name: value for name, value in asdict(wanted).items() if value is not None}
    found = [series for series in days if given.items() <= asdict(series).items()]
    listed = "; ".join(sorted(map(str, found or days))) or "none"
    if not found:
        raise NotFound("series", str(wanted), f"scored {window.start:%Y-%m-%d} to {window.end:%Y-%m-%d}: {listed}")
    if len(found) > 1:
        raise InvalidValue(
            "baseline", str(wanted), f"one series (--model, --prompt, --judge) but {len(found)}: {listed}"
        )
    return found[0]


def _put_in_force(
    connection: sa.Connection, settings: Settings, baseline: Baseline, known: Iterable[Baseline],
    moves: str | None = None,
) -> None:  # fmt: skip
    baselines.add(connection, settings.tenant, baseline)
    pinned, by_hand = baseline.pinned, baseline.accepted_by != ITSELF
    title = f"Baseline accepted by {baseline.accepted_by}" if by_hand else "Baseline pinned"
    told = f"{baseline.series} at {pinned.mean:.3f}, {pinned.n:,} scores on {pinned.days} d; {baseline.reason}"
    aware = f"; its days still move {moves}" if moves else ""
    key = f"baseline:{baseline.series}:{baseline.accepted_at:%Y%m%dT%H%M%S.%f}"
    notify(
        connection, settings.tenant, routes_of(settings), key=key, tier=Tier.INFO, revision=1,
        message=render_note(title, f"{told}{_against(baseline, known)}{aware}"), now=baseline.accepted_at,
    )  # fmt: skip


def _against(baseline: Baseline, known: Iterable[Baseline]) -> str:
    """Compare with what was in force before: for the series, else for another model or prompt under the same judge."""
    series = baseline.series
    same = [each for each in known if (each.series.metric, each.series.judge) == (series.metric, series.judge)]
    before = max(same, key=lambda each: (each.series == series, each.accepted_at), default=None)
    if before is None:
        return ""
    whose = "the one before" if before.series == series else str(before.series)
    return f" ({compared(baseline.pinned.mean, before.pinned.mean)} {whose}, {before.pinned.mean:.3f})"
