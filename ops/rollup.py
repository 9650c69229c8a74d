"""What events add to the roll-ups: additive, so that a correction subtracts the old event and adds the new one.

Before it: `ops/cost/pricing.py` prices the events. After it: `tasks/stores/rollups.py` adds the sums to the tables.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from math import ceil, log
from operator import attrgetter

from ops.money import stored
from ops.usage import Status, UsageEvent
from ops.window import floor_day, floor_hour

LOG_GAMMA = log(1.01 / 0.99)  # DDSketch's mapping at a relative accuracy of 1 % (Masson, Rim, Lee, VLDB 2019)
_SMALLEST_MS = 0.001
_ZERO = Decimal(0)
_HOUR, _DAY = timedelta(hours=1), timedelta(days=1)

HourKey = tuple[datetime, str, str, str, str | None, str | None, str | None, str | None]
BinKey = tuple[datetime, str, str, str | None, str | None, int]
UserKey = tuple[datetime, str]

HOUR_KEY = ("hour", "vendor", "model", "operation", "service", "release", "feature", "team_id")
HOUR_SUMS = (
    "events", "failures", "unpriced_events", "cost_usd", "reported_cost_usd", "input_tokens", "cached_tokens",
    "cache_write_tokens", "output_tokens", "cache_hits", "cache_eligible", "compared_cost_usd", "compared_reported_usd",
)  # fmt: skip
BIN_KEY = ("hour", "vendor", "model", "service", "release", "bin")
USER_KEY = ("day", "user_id")
USER_SUMS = ("events", "unpriced_events", "cost_usd", "input_tokens", "output_tokens")


@dataclass(slots=True)
class Deltas:
    """Sums by key, in the order of HOUR_SUMS and USER_SUMS; counts of requests by latency bin."""

    hours: dict[HourKey, list[int | Decimal]] = field(default_factory=dict)
    bins: dict[BinKey, int] = field(default_factory=dict)
    users: dict[UserKey, list[int | Decimal]] = field(default_factory=dict)

    def add(self, events: Sequence[UsageEvent], costs: Sequence[Decimal | None], sign: int = 1) -> None:
        """Add events with their costs; with `sign` -1 take them away.

        Unknown counts and costs add nothing; how many costs are unknown is a sum of its own. The bins hold successful
        requests that the gateway's cache did not answer; a call of nobody is in no user's sums.
        """
        self._add_users(events, costs, sign)
        for (hour, names), (some, their_costs) in _grouped(events, costs).items():
            found = self.hours.setdefault((hour, *names), [0, 0, 0, _ZERO, _ZERO, 0, 0, 0, 0, 0, 0, _ZERO, _ZERO])
            for position, amount in enumerate(_sums(some, their_costs)):
                found[position] += sign * amount
            scope = (hour, names[0], names[1], names[3], names[4])
            for spot, count in Counter(_bins(some)).items():
                self.bins[*scope, spot] = self.bins.get((*scope, spot), 0) + sign * count

    def _add_users(self, events: Sequence[UsageEvent], costs: Sequence[Decimal | None], sign: int) -> None:
        day = end = datetime.min.replace(tzinfo=UTC)
        users = self.users
        for event, cost in zip(events, costs, strict=True):
            if event.user_id is None:
                continue
            if not day <= event.occurred_at < end:
                day = floor_day(event.occurred_at)
                end = day + _DAY
            found = users.get((day, event.user_id))
            if found is None:
                found = users[day, event.user_id] = [0, 0, _ZERO, 0, 0]
            found[0] += sign
            if cost is None:
                found[1] += sign
            else:
                found[2] += sign * cost
            found[3] += sign * (event.input_tokens or 0)
            found[4] += sign * (event.output_tokens or 0)


_names = attrgetter(*HOUR_KEY[1:])
_Names = tuple[str, str, str, str | None, str | None, str | None, str | None]
_Groups = dict[tuple[datetime, _Names], tuple[list[UsageEvent], list[Decimal | None]]]


def _grouped(events: Iterable[UsageEvent], costs: Iterable[Decimal | None]) -> _Groups:
    groups: _Groups = {}
    hour = end = datetime.min.replace(tzinfo=UTC)
    for event, cost in zip(events, costs, strict=True):
        if not hour <= event.occurred_at < end:
            hour = floor_hour(event.occurred_at)
            end = hour + _HOUR
        key = (hour, _names(event))
        found = groups.get(key)
        if found is None:
            found = groups[key] = ([], [])
        found[0].append(event)
        found[1].append(cost)
    return groups


def _sums(events: list[UsageEvent], costs: list[Decimal | None]) -> tuple[int | Decimal, ...]:
    known = [cost for cost in costs if cost is not None]
    reported = [event.reported_cost_usd for event in events if event.reported_cost_usd is not None]
    hits = [event.cache_hit for event in events if event.cache_hit is not None]
    ours, theirs = sum(known, _ZERO), sum(map(stored, reported), _ZERO)
    has_both = len(known) == len(reported) == len(events)  # as most batches have: nothing is left to sum up
    return (
        len(events),
        sum(event.status is not Status.SUCCESS for event in events),
        len(costs) - len(known),
        ours,
        theirs,
        *(sum(filter(None, map(of, events))) for of in _TOKENS),
        sum(hits),
        len(hits),
        *((ours, theirs) if has_both else _compared(events, costs)),
    )


def _compared(events: list[UsageEvent], costs: list[Decimal | None]) -> tuple[Decimal, Decimal]:
    both = [
        (cost, stored(event.reported_cost_usd))
        for event, cost in zip(events, costs, strict=True)
        if cost is not None and event.reported_cost_usd is not None
    ]
    return sum((ours for ours, _ in both), _ZERO), sum((theirs for _, theirs in both), _ZERO)


_TOKENS = tuple(map(attrgetter, ("input_tokens", "cached_tokens", "cache_write_tokens", "output_tokens")))


def _bins(events: list[UsageEvent]) -> list[int]:
    return [
        latency_bin(event.latency_ms)
        for event in events
        if event.latency_ms is not None and event.status is Status.SUCCESS and event.cache_hit is not True
    ]


def latency_bin(latency_ms: float) -> int:
    """Return the logarithmic bin of a latency: within 1 % of every value that falls into it."""
    return ceil(log(latency_ms if latency_ms > _SMALLEST_MS else _SMALLEST_MS) / LOG_GAMMA)
