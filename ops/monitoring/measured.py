"""What metrics are worked out from: the sums of a window, by what they are told apart by.

Before it: `tasks/stores/metrics.py` sums up events and scores. After it: `metrics.py` makes values of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from typing import NamedTuple

from ops.monitoring.vendor_status import PageState, Reading, worst
from ops.proportions import Share
from ops.usage import ErrorType
from ops.window import Window, ceil_hour, floor_hour

NOT_OURS = (ErrorType.CLIENT, ErrorType.CONTENT_FILTER)  # failures that are no service's fault
_NONE = Share(0, 0)
_MINUTE = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Known:
    """The part of a window of which there are data: usage began in it, or its events are no longer kept."""

    part: Window
    is_whole: bool = True

    @property
    def minutes(self) -> float:
        """How long it is."""
        return self.part.length / _MINUTE

    @property
    def words(self) -> str:
        """Say which part it is; nothing of a whole window."""
        return "" if self.is_whole else f"only {self.part.start:%Y-%m-%d %H:%M} to {self.part.end:%Y-%m-%d %H:%M}"


def known_part(window: Window, began: datetime | None, kept_from: datetime | None, *, is_rolled_up: bool) -> Known:
    """Return the part of a window from the first usage on.

    Before `kept_from` there are no events any more: what roll-ups have is there in whole hours, all else not at all.
    """
    start, end = max(window.start, began or window.start), window.end
    if kept_from is not None and start < kept_from:
        start = ceil_hour(start) if is_rolled_up else kept_from
        end = floor_hour(end) if end < kept_from else end
    part = Window(min(start, end), end)
    return Known(part, part == window)


class Sample(NamedTuple):
    """A value (None: there is none), how many observations it rests on, and what there is to say of it."""

    value: float | Decimal | str | None
    n: int
    detail: str = ""


def rate(share: Share) -> Sample:
    """Return a share as a sample."""
    return Sample(share.rate, share.n)


def cached(hits: int, told: int, requests: int) -> Share:
    """Return what a cache answered of the requests that went through it: those of which a source tells hit or miss.

    Some gateways tell of hits alone. Then nobody knows which others it was asked for, and it is a share of all.
    """
    return Share(hits, requests if told == hits > 0 else told)


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestSums:
    """The requests of a window, what they cost, and what our own caches answered of them."""

    known: Known
    requests: int = 0
    cost_usd: Decimal = Decimal(0)
    priced: int = 0
    answers: int = 0  # chats and completions
    answers_told: int = 0  # of which a source tells hit or miss
    answer_hits: int = 0
    embeddings: int = 0
    embeddings_told: int = 0
    embedding_hits: int = 0

    @property
    def answers_cached(self) -> Share:
        """What the cache answered of the chats and completions that went through it."""
        return cached(self.answer_hits, self.answers_told, self.answers)

    @property
    def embeddings_cached(self) -> Share:
        """What the cache answered of the embedding calls that went through it."""
        return cached(self.embedding_hits, self.embeddings_told, self.embeddings)

    @property
    def unpriced(self) -> Share:
        """Requests that no price is known of."""
        return Share(self.requests - self.priced, self.requests)

    @property
    def cost(self) -> Sample:
        """What the requests with a price cost."""
        return Sample(self.cost_usd, self.priced, "; ".join(filter(None, (self._left_out, self.known.words))))

    @property
    def cost_per_request(self) -> Sample:
        """What one of them cost."""
        return Sample(self.cost_usd / self.priced if self.priced else None, self.priced, self._left_out)

    @property
    def per_minute(self) -> Sample:
        """How many requests began in a minute."""
        return Sample(self.requests / self.known.minutes, self.requests, self.known.words)

    @property
    def _left_out(self) -> str:
        return f"{self.unpriced.hits:,} requests have no price" if self.unpriced.hits else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SentSums:
    """The requests that our own cache did not answer: how they failed, and what else no roll-up has."""

    known: Known
    sent: int = 0
    failures: Mapping[str, int] = field(default_factory=dict)  # by error type
    busy_ms: float = 0.0  # latencies added up
    timed: int = 0  # requests with a known latency
    prompts_cached: Share = _NONE  # input tokens that the vendor read from its own cache
    prompts: int = 0  # requests that those tokens are of

    def failed(self, *error_types: str) -> Share:
        """Return the failures of these types."""
        return Share(sum(self.failures.get(name, 0) for name in error_types), self.sent)

    @property
    def available(self) -> Share:
        """What did not fail, or through no fault of the service."""
        failed = self.failed(*(set(ErrorType) - set(NOT_OURS)))
        return Share(failed.n - failed.hits, failed.n)

    @property
    def prompts_from_cache(self) -> Sample:
        """The share of input tokens that the vendor had cached."""
        return Sample(self.prompts_cached.rate, self.prompts)

    @property
    def in_flight(self) -> Sample:
        """How many requests there were at once, on average: rate x latency (Little 1961)."""
        return Sample(self.busy_ms / (60_000 * self.known.minutes), self.timed, self.known.words)


class Scorer(NamedTuple):
    """Who gave a score: what it comes from (a user, a judge, an evaluation of a golden set, …), in which version."""

    source: str
    judge_version: str | None

    def __str__(self) -> str:
        return self.source if self.judge_version is None else f"{self.source} {self.judge_version}"


@dataclass(frozen=True, slots=True)
class ScoreSums:
    """The scores of one name and scorer: how many, their sum, and how many are above 0."""

    n: int = 0
    total: float = 0.0
    above_zero: int = 0

    @property
    def above(self) -> Share:
        """Those above 0."""
        return Share(self.above_zero, self.n)

    @property
    def not_above(self) -> Share:
        """Those of 0 and below."""
        return Share(self.n - self.above_zero, self.n)

    @property
    def mean(self) -> Sample:
        """Their mean."""
        return Sample(self.total / self.n if self.n else None, self.n)


@dataclass(frozen=True, slots=True)
class UserSums:
    """What the known users of some days cost; users without any priced request are left out."""

    usd: Decimal = Decimal(0)
    users: int = 0
    days: int = 0  # since usage began

    @property
    def mean(self) -> Sample:
        """The cost of one; it rests on the days, not on the users."""
        return Sample(self.usd / self.users if self.users else None, self.days, f"{self.users:,} users")


@dataclass(frozen=True, slots=True)
class MonthEnd:
    """What a month was last projected to cost, and from how many days."""

    usd: Decimal | None = None
    history_days: int = 0


@dataclass(frozen=True, slots=True)
class InUse:
    """Requests by the version that served them; those that name none are left out."""

    requests: Mapping[str, int] = field(default_factory=dict)

    @property
    def versions(self) -> Sample:
        """How many there are, named with their shares, the most used first."""
        n = sum(self.requests.values())
        most = sorted(self.requests.items(), key=lambda pair: (-pair[1], pair[0]))
        return Sample(len(most) or None, n, ", ".join(f"{name} {100 * count / n:.3g} %" for name, count in most))


@dataclass(frozen=True, slots=True)
class Pages:
    """The status pages of vendors, as they were read last."""

    readings: Mapping[str, Reading] = field(default_factory=dict)  # by vendor

    @property
    def gravest(self) -> Sample:
        """The gravest state that any page says; of those that cannot be read nobody knows."""
        said = [reading.state for reading in self.readings.values() if reading.state is not PageState.UNKNOWN]
        words = "; ".join(f"{vendor}: {reading.words()}" for vendor, reading in self.readings.items())
        return Sample(worst(said).value if said else None, len(said), words)
