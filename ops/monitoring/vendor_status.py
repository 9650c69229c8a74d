"""What a vendor says of itself: the `summary.json` of its status page, in the format of Atlassian's Statuspage.

Before it: `tasks/read_vendor_status.py` reads the page. After it: `rules/vendor.py` weighs it against our own errors.
A page that is not as we know it is an error, a word in it that we do not know is unknown: neither reads as operational.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum

import msgspec

from ops.errors import InvalidValue
from ops.plain_text import printable

STALE_AFTER = timedelta(minutes=15)  # three reads that did not come
UNREADABLE_AFTER = timedelta(hours=6)  # of nothing but failed tries: it does not mend itself
MOST_LISTED = 20  # components, incidents, maintenances: a page is somebody else's, and so may be its length
MOST_CHARACTERS = 200
_OVER = frozenset({"resolved", "postmortem", "completed"})


class PageState(StrEnum):
    """How a page, or a part of it, is: the gravest first. What is surely bad outranks what nobody knows."""

    MAJOR_OUTAGE = "major outage"
    PARTIAL_OUTAGE = "partial outage"
    DEGRADED = "degraded performance"
    MAINTENANCE = "under maintenance"
    UNKNOWN = "unknown"
    OPERATIONAL = "operational"


_COMPONENT = {state.value.replace(" ", "_"): state for state in PageState if state is not PageState.UNKNOWN}
_IMPACT = {
    "critical": PageState.MAJOR_OUTAGE, "major": PageState.PARTIAL_OUTAGE, "minor": PageState.DEGRADED,
    "maintenance": PageState.MAINTENANCE, "none": PageState.OPERATIONAL,
}  # fmt: skip


class StatusPage(msgspec.Struct, frozen=True, kw_only=True):
    """What we keep of a page: its state as far as it is about us, and why, in words."""

    state: PageState
    description: str
    components: tuple[str, ...] = ()  # those that are not operational
    incidents: tuple[str, ...] = ()  # that are not over
    maintenances: tuple[str, ...] = ()

    @property
    def reasons(self) -> str:
        """The incidents and components that make the state, else the page's own headline."""
        return "; ".join([*self.incidents, *self.components]) or self.description


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """How the reading of a page stands `now`; what an earlier try read is the past once a later one failed."""

    now: datetime
    read_at: datetime | None = None  # the last whole, readable page
    page: StatusPage | None = None
    error: str | None = None  # of the last try
    failing_since: datetime | None = None  # the first of the tries in a row that failed

    @property
    def is_unreadable(self) -> bool:
        """Whether every try has failed for so long that somebody must look."""
        return self.failing_since is not None and self.now - self.failing_since >= UNREADABLE_AFTER

    @property
    def state(self) -> PageState:
        """The page's state, unknown when the last try failed or is too old."""
        if self.page is None or self.read_at is None or self.error is not None or self._is_stale:
            return PageState.UNKNOWN
        return self.page.state

    @property
    def _is_stale(self) -> bool:
        # Of a day that is replayed the page of today says nothing either.
        return self.read_at is not None and abs(self.now - self.read_at) > STALE_AFTER

    def words(self) -> str:
        """Say what the page says, or why nobody knows that."""
        if self.page is None or self.read_at is None:
            return f"unknown: {self.error or 'not read yet'}"
        read = f"{self.read_at.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
        if self.error is not None or self._is_stale:
            why = "not read since" if self.error is None else self.error
            return f"unknown: {why}; at {read} it said {self.page.state}"
        return f"{self.page.state}: {self.page.reasons}"


class _Component(msgspec.Struct):
    name: str
    status: str


class _Named(msgspec.Struct):
    name: str


class _Incident(msgspec.Struct):
    name: str
    status: str
    impact: str
    components: list[_Named] | None = None


class _Maintenance(msgspec.Struct):
    name: str
    status: str
    scheduled_for: str | None = None
    scheduled_until: str | None = None


class _Overall(msgspec.Struct):
    indicator: str
    description: str | None = None


class _Summary(msgspec.Struct):
    """The fields that we read; without one of those that have no default there is no judging the page."""

    status: _Overall
    components: list[_Component]
    incidents: list[_Incident]
    scheduled_maintenances: list[_Maintenance] | None = None


def read_page(document: object, wanted: Sequence[str] = ()) -> StatusPage:
    """Read a decoded `summary.json`; of its components only those of `wanted` names count, all by default.

    With `wanted` the indicator of the whole page does not count, and an incident only when it names one of them, or
    no component at all. A wanted component that the page does not list is unknown.

    Raises:
        InvalidValue: not such a document, or a field that it must have is gone.
    """
    try:
        summary = msgspec.convert(document, _Summary)
    except (msgspec.ValidationError, UnicodeEncodeError) as error:  # half of a character is no error to `json`
        found = sorted(map(_plain, map(str, document))) if isinstance(document, dict) else type(document).__name__
        raise InvalidValue("status page", found, f"a Statuspage summary: {error}") from None
    names = {_plain(name).casefold() for name in wanted}
    components = _watched(summary.components, wanted)
    incidents = [one for one in summary.incidents if one.status not in _OVER and _concerns(one, names)]
    overall = [] if names else [_IMPACT.get(summary.status.indicator, PageState.UNKNOWN)]
    states = [*overall, *(state for _, state, _ in components), *(_impact(one) for one in incidents)]
    return StatusPage(
        state=worst(states),
        description=_plain(summary.status.description or summary.status.indicator),
        components=_listed(f"{name}: {word}" for name, state, word in components if state is not PageState.OPERATIONAL),
        incidents=_listed(f"{one.name} ({one.impact} impact, {one.status})" for one in incidents),
        maintenances=_listed(map(_dated, summary.scheduled_maintenances or ())),
    )


def worst(states: Iterable[PageState]) -> PageState:
    """Return the gravest state; without any it is unknown."""
    order = list(PageState)
    return min(states, key=order.index, default=PageState.UNKNOWN)


def _watched(components: Sequence[_Component], wanted: Sequence[str]) -> list[tuple[str, PageState, str]]:
    """Return (name, state, the page's word) of the components that count."""
    found = [(one.name, _COMPONENT.get(one.status, PageState.UNKNOWN), one.status) for one in components]
    if not wanted:
        return found
    by_name: dict[str, list[tuple[str, PageState, str]]] = {}  # a name can stand in several groups
    for one in found:
        by_name.setdefault(_plain(one[0]).casefold(), []).append(one)
    absent = PageState.UNKNOWN
    return [one for name in wanted for one in by_name.get(_plain(name).casefold(), [(name, absent, "not on the page")])]


def _concerns(incident: _Incident, names: set[str]) -> bool:
    named = {_plain(one.name).casefold() for one in incident.components or ()}
    return not names or not named or bool(named & names)


def _impact(incident: _Incident) -> PageState:
    return _IMPACT.get(incident.impact, PageState.UNKNOWN)


def _dated(maintenance: _Maintenance) -> str:
    begins, ends = maintenance.scheduled_for or "unknown", maintenance.scheduled_until or "unknown"
    return f"{maintenance.name} ({maintenance.status}, {begins} to {ends})"


def _listed(texts: Iterable[str]) -> tuple[str, ...]:
    return tuple(map(_plain, texts))[:MOST_LISTED]


def _plain(text: str) -> str:
    """Write a page's text in one line that Postgres and a terminal can hold."""
    return printable(" ".join(text.split()))[:MOST_CHARACTERS]
