"""What `watchkeeper status` says of sources, alerts, vendors, messages and steps.

Of what should have been looked at by now and was not, nobody knows how it stands: that is unknown, and never fine.

Before it: `tasks/read_status.py` reads. After it: `cli/status.py` prints.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from ops.monitoring.alerts import Alert, Tier
from ops.monitoring.rules.vendor import TIERS
from ops.monitoring.vendor_status import PageState, Reading
from ops.status import LATE_AFTER, Level, Row
from ops.window import in_one_unit

LATE = timedelta(minutes=5)  # a message that nobody got for so long: they are sent every minute
WATCH = "keep-watch"  # the step that tells of everything: nobody else tells when it stands still
_LEAST_PERIOD = timedelta(minutes=5)  # a step more frequent than that may take a while
_CRITICAL_AFTER = 8  # periods
_SHOWN = 100  # characters of an error, or of a vendor's words


def ago(when: datetime, now: datetime) -> str:
    """Write how long before `now` that was."""
    return f"{in_one_unit(now - when)} ago"


def source_row(source: Mapping[str, Any], rejects: int, now: datetime) -> Row:
    """Say when a source was loaded, how new its newest event is, and what is wrong with it."""
    levels = {"loaded": Level.OK, "failing": Level.WARNING, "never loaded": Level.UNKNOWN, "not configured": Level.NONE}
    level = Level(source["tier"].value) if source["tier"] else levels[source["state"]]
    loaded, newest, failures = source["last_success_at"], source["newest_event_at"], source["failures"]
    parts = [
        source["state"] if level is not Level.OK else "",
        f"loaded {ago(loaded, now)}" if loaded and source["state"] != "never loaded" else "",
        f"newest event {in_one_unit(now - newest)} old" if newest else "",
        f"{rejects:,} rejected rows kept" if rejects else "",
        f"failed {failures:,}x: {shortened(source['last_error'])}" if failures else "",
    ]
    return Row(level, source["source"], ", ".join(part for part in parts if part), {**source, "rejects": rejects})


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluated:
    """When the alert rules were evaluated last, and what alerts there are beside those that fire."""

    at: datetime | None  # None: never
    every: timedelta  # at least, in a system in use
    pending: int = 0  # seen, and not told yet
    resolved: int = 0  # in the last day


def alert_rows(firing: Iterable[Alert], evaluated: Evaluated, now: datetime) -> list[Row]:
    """Say what is firing, the gravest first, then the oldest; and whether anybody has looked since."""
    tiers = list(Tier)
    rows = [_alert_row(alert, now) for alert in sorted(firing, key=lambda one: (tiers.index(one.tier), one.since))]
    return [*rows, _rules_row(len(rows), evaluated, now)]


def _rules_row(firing: int, evaluated: Evaluated, now: datetime) -> Row:
    facts = {
        "evaluated_at": evaluated.at, "every_s": evaluated.every.total_seconds(), "firing": firing,
        "pending": evaluated.pending, "resolved_in_a_day": evaluated.resolved,
    }  # fmt: skip
    if evaluated.at is None:
        return Row(Level.UNKNOWN, "rules", "never evaluated: nobody is told of anything", facts, stays=True)
    if now - evaluated.at >= LATE_AFTER * evaluated.every:
        text = f"last evaluated {ago_of(evaluated.at, evaluated.every, now)}: what came since is unknown"
        return Row(Level.UNKNOWN, "rules", text, facts, stays=True)
    told = [f"{firing:,} firing" if firing else "none is firing"]
    told += [f"{evaluated.pending:,} pending"] if evaluated.pending else []
    told += [f"{evaluated.resolved:,} resolved in a day"] if evaluated.resolved else []
    return Row(Level.OK, "rules", f"evaluated {ago(evaluated.at, now)}: {', '.join(told)}", facts, stays=True)


def ago_of(when: datetime, every: timedelta, now: datetime) -> str:
    """Write how long ago that was which is to be done so often."""
    return f"{ago(when, now)} (every {in_one_unit(every)})"


def _alert_row(alert: Alert, now: datetime) -> Row:
    text = f"{alert.summary}, for {in_one_unit(now - alert.since)}"
    facts = {"rule": alert.rule, "since": alert.since, "value": alert.value, "limit": alert.limit}
    return Row(Level(alert.tier.value), alert.key, text, facts, alert=f"{alert.rule} {alert.key}")


def vendor_rows(readings: Mapping[str, Reading | None]) -> list[Row]:
    """Say what each vendor's status page says; what our own requests show of it is an alert."""
    rows = [_vendor_row(vendor, reading) for vendor, reading in readings.items()]
    return rows or [Row(Level.NONE, "", "none is configured")]


def _vendor_row(vendor: str, reading: Reading | None) -> Row:
    if reading is None:
        return Row(Level.NONE, vendor, "no status page is configured")
    tier = TIERS.get(reading.state)
    fine = {PageState.OPERATIONAL: Level.OK, PageState.UNKNOWN: Level.UNKNOWN}
    level = Level(tier.value) if tier else fine[reading.state]
    return Row(level, vendor, shortened(reading.words()), {"state": reading.state, "read_at": reading.read_at})


@dataclass(frozen=True, slots=True, kw_only=True)
class Backlog:
    """What one destination has not been sent."""

    destination: str
    waiting: int
    oldest_at: datetime | None = None  # of the messages of which nothing was ever sent
    oldest_critical_at: datetime | None = None
    failed: int = 0  # given up, of the messages of the last day
    last_error: str | None = None


def backlog_rows(backlogs: Iterable[Backlog], now: datetime) -> list[Row]:
    """Say which destination waits for messages: a critical one that nobody got is critical itself."""
    return [_backlog_row(each, now) for each in backlogs] or [Row(Level.OK, "", "nothing waits to be sent")]


def _backlog_row(backlog: Backlog, now: datetime) -> Row:
    parts = [
        f"{backlog.waiting:,} waiting" if backlog.waiting else "",
        f"the oldest for {in_one_unit(now - backlog.oldest_at)}" if backlog.oldest_at else "",
        f"{backlog.failed:,} given up" if backlog.failed else "",
        shortened(backlog.last_error),
    ]
    facts = {
        "waiting": backlog.waiting, "oldest_at": backlog.oldest_at, "failed": backlog.failed,
        "last_error": backlog.last_error,
    }  # fmt: skip
    return Row(_backlog_level(backlog, now), backlog.destination, ", ".join(part for part in parts if part), facts)


def _backlog_level(backlog: Backlog, now: datetime) -> Level:
    if _is_late(backlog.oldest_critical_at, now):
        return Level.CRITICAL
    return Level.WARNING if backlog.failed or _is_late(backlog.oldest_at, now) else Level.INFO


def _is_late(when: datetime | None, now: datetime) -> bool:
    return when is not None and now - when >= LATE


def step_rows(schedules: Mapping[str, str | None], last: Mapping[str, datetime], now: datetime) -> list[Row]:
    """Say of every scheduled step when it last ran to its end: the late ones each, the others in a line."""
    periods = {name: period(cron) for name, cron in schedules.items() if cron is not None}
    late = {name: level for name, every in periods.items() if (level := _step_level(name, every, last, now))}
    on_time = {name: last[name] for name in periods if name in last and name not in late}
    never = [name for name in periods if name not in last]
    rows = [_late_row(name, level, periods[name], last[name], now) for name, level in late.items()]
    if on_time:
        words = ", ".join(f"{name} {in_one_unit(now - when)}" for name, when in on_time.items())
        rows.append(Row(Level.OK, f"{len(on_time):,} on time", words, on_time))
    if never:
        rows.append(_never_row(never, is_all=len(never) == len(periods)))
    return rows


def _never_row(never: Sequence[str], *, is_all: bool) -> Row:
    """A new system's daily steps have not run yet; without the watch nothing is told at all."""
    level, hint = (Level.UNKNOWN, ": `watchkeeper up` runs them") if WATCH in never else (Level.NONE, "")
    names = "no flow ever did by its schedule" if is_all else ", ".join(never)
    return Row(level, f"{len(never):,} never ran", f"{names}{hint}", dict.fromkeys(never))


def _late_row(name: str, level: Level, every: timedelta, when: datetime, now: datetime) -> Row:
    return Row(level, name, f"last ran {ago(when, now)}, is to run every {in_one_unit(every)}", {name: when})


def _step_level(name: str, every: timedelta, last: Mapping[str, datetime], now: datetime) -> Level | None:
    """Return how grave it is that a step is late; None when it is not, or never ran."""
    periods = (now - last[name]) / max(every, _LEAST_PERIOD) if name in last else 0
    if periods < LATE_AFTER:
        return None
    return Level.CRITICAL if name == WATCH and periods >= _CRITICAL_AFTER else Level.WARNING


def period(cron: str) -> timedelta:
    """Return how far apart the runs of a schedule are at most: of those that say `*/5 * * * *`, or fix fields.

    The fields from the left that are fixed say how often: a minute is of each hour, an hour of each day, and a day of
    the week or month of each week or month.
    """
    minute, hour, day, month, weekday = cron.split()
    if minute.startswith("*"):
        return timedelta(minutes=int(minute.partition("/")[2] or 1))
    if (hour, day, month, weekday) == ("*", "*", "*", "*"):
        return timedelta(hours=1)
    if (day, month) == ("*", "*"):
        return timedelta(days=1 if weekday == "*" else 7)
    return timedelta(days=31 if month == "*" else 366)


def shortened(text: str | None) -> str:
    """Cut somebody's words to what a line has room for."""
    known = text or ""
    return known if len(known) <= _SHOWN else f"{known[: _SHOWN - 1]}…"
