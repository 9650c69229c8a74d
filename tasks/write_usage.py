"""Write a batch of any source exactly once: events, roll-ups, rejects and the position reached, in one transaction.

Before it: `tasks/load_file.py`, `tasks/load_window.py` and `tasks/receive_usage.py` have batches. Between:
`tasks/price_usage.py` prices. After it: `tasks/stores/` hold them.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import date, datetime
from itertools import chain
from typing import Any

import psycopg
import sqlalchemy as sa

from ops.cost.overrides import PriceOverride
from ops.rollup import Deltas
from ops.usage import UsageEvent
from ops.window import floor_hour
from tasks.price_usage import Pricer
from tasks.refuse_rows import Origin, first_refused, reject_rows, split_at
from tasks.settings import Settings
from tasks.sources.interface import Batch, Reject
from tasks.stores import ingest, rejects, rollups, source_states, usage
from tasks.stores.usage import Price, Priced
from tasks.unused_fields import MAX_FILES, Unused

_TRIES = 5
_STAGE_AFTER = 2  # conflicts: so many copies in vain, and the rest is staged at once


@dataclass(frozen=True, slots=True)
class Loaded:
    """What a load did so far; `read` counts records, good and bad."""

    read: int = 0
    inserted: int = 0
    corrected: int = 0  # were there with other contents, and the source's are newer
    duplicates: int = 0
    rejected: int = 0
    skipped: int = 0  # rows that are no usage, and no error
    seconds: float = 0.0
    unknown_models: tuple[str, ...] = ()
    first_reject: str | None = None  # its place and reason
    unused_fields: tuple[Unused, ...] = ()  # of the first files that have some

    def plus(self, other: Loaded) -> Loaded:
        """Add two loads up."""
        names = ("read", "inserted", "corrected", "duplicates", "rejected", "skipped", "seconds")
        return Loaded(
            **{name: getattr(self, name) + getattr(other, name) for name in names},
            unknown_models=tuple(sorted({*self.unknown_models, *other.unknown_models})),
            first_reject=self.first_reject or other.first_reject,
            unused_fields=(self.unused_fields + other.unused_fields)[:MAX_FILES],
        )

    def as_json(self) -> dict[str, Any]:
        """Return what `--json` prints."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Target:
    """Where events go, and what is kept of them; pricing and roll-ups are off in benchmarks only."""

    engine: sa.Engine
    tenant: str
    keep_texts: bool = False
    overrides: tuple[PriceOverride, ...] = ()
    prices: bool = True
    rolls_up: bool = True

    @classmethod
    def of(cls, engine: sa.Engine, settings: Settings) -> Target:
        """Return what the settings say."""
        return cls(engine, settings.tenant, settings.warming.store_texts, settings.overrides)


@dataclass(frozen=True, slots=True)
class Prepared:
    """A batch on the way to its commit."""

    batch: Batch
    events: list[Priced]
    packed: bytes  # the events, for COPY
    deltas: Deltas  # as long as all events are new


class Writer:
    """Writes the batches of one source, one after the other.

    With `corrects`, a row that is stored with other contents is replaced when it was stored before this one was seen,
    and such writers of one source take turns; without, what is stored first stays.
    """

    def __init__(self, target: Target, *, corrects: bool = False) -> None:
        self._target = target
        self._corrects = corrects
        self._pricer = Pricer(target.engine, target.overrides) if target.prices else None
        self._days: set[date] = set()
        self._conflicts = 0

    def write(
        self, batch: Batch, origin: Origin, now: datetime, also: Callable[[sa.Connection], None] | None = None
    ) -> Loaded:
        """Prepare and commit a batch."""
        return self.commit(self.prepare(batch, origin.source), origin, now, also)

    def prepare(self, batch: Batch, source: str) -> Prepared:
        """Drop what a batch holds twice, price, pack and sum up the rest, and make its partitions."""
        unique = _unique(batch.events, last_wins=self._corrects)
        new_days = {event.occurred_at.date() for event in unique} - self._days
        if new_days:
            usage.ensure_partitions(self._target.engine, new_days, self._target.tenant)
            self._days |= new_days
        prices = self._pricer.price(unique) if self._pricer else [Price()] * len(unique)
        priced = list(zip(unique, prices, strict=True))
        with self._target.engine.connect() as connection:
            packed = usage.pack(connection, self._target.tenant, source, priced)
        return Prepared(batch, priced, packed, _deltas(priced) if self._target.rolls_up else Deltas())

    def commit(
        self, prepared: Prepared, origin: Origin, now: datetime, also: Callable[[sa.Connection], None] | None = None
    ) -> Loaded:
        """Write everything in one transaction, and `also` what the caller remembers in it.

        `now` is when the batch was seen. A deadlock with another loader is tried again.
        """
        for attempt in range(1, _TRIES + 1):
            try:
                with self._target.engine.begin() as connection:
                    return self._write(connection, prepared, origin, now, also)
            except (sa.exc.OperationalError, psycopg.OperationalError) as error:
                if attempt == _TRIES or not is_passing(error):
                    raise
                self._conflicts = _STAGE_AFTER  # what is staged is inserted in the order of its keys
        raise AssertionError("unreachable")

    def _write(
        self, connection: sa.Connection, prepared: Prepared, origin: Origin, now: datetime,
        also: Callable[[sa.Connection], None] | None,
    ) -> Loaded:  # fmt: skip
        batch, tenant = prepared.batch, self._target.tenant
        if self._corrects:
            ingest.hold_source(connection, tenant, origin.source)
        prepared, late = self._without_late(connection, prepared, origin.source)
        refused = [*batch.rejects, *late]
        new, old = self._store(connection, prepared, now)
        scored, rescored = self._score(connection, batch)
        reported, revised = ingest.replace_reports(connection, tenant, origin.source, batch, now)
        if refused:  # by its time a retry knows what is newer
            rejects.add(connection, reject_rows(tenant, origin, refused), now if self._corrects else None)
        if self._target.keep_texts:
            usage.add_texts(connection, tenant, (event for event, _ in new))
        if self._target.rolls_up:
            self._roll_up(connection, prepared, new, old)
        if new or scored or rescored:
            ingest.set_watermark(connection, tenant, "load", now)
        if newest := _newest(batch):
            source_states.see(connection, tenant, origin.source, newest)
        if also:
            also(connection)
        inserted = len(new) - len(old) + scored + reported
        corrected = len(old) + rescored + revised
        good = batch.read - len(refused)
        return Loaded(
            read=batch.read, inserted=inserted, corrected=corrected, duplicates=good - inserted - corrected,
            rejected=len(refused), skipped=batch.skipped, first_reject=first_refused(origin, refused),
            unknown_models=self._pricer.unknown([event for event, price in new if price.cost_usd is None])
            if self._pricer else (),
        )  # fmt: skip

    def _without_late(
        self, connection: sa.Connection, prepared: Prepared, source: str
    ) -> tuple[Prepared, list[Reject]]:
        """Take out the events of days that were dropped, and hold the floor where it is."""
        if not prepared.events:
            return prepared, []
        tenant = self._target.tenant
        kept, late = split_at(usage.hold_floor(connection, tenant), prepared.events)
        if late:
            prepared = replace(
                prepared, events=kept, packed=usage.pack(connection, tenant, source, kept), deltas=_deltas(kept)
            )
        return prepared, late

    def _store(self, connection: sa.Connection, prepared: Prepared, now: datetime) -> tuple[list[Priced], list[Priced]]:
        """Return the events that are new, and those that they replaced."""
        events = prepared.events
        if not events:
            return [], []
        if not self._corrects and self._conflicts < _STAGE_AFTER:
            if usage.copy_new(connection, prepared.packed):
                return events, []
            self._conflicts += 1
        usage.stage(connection, prepared.packed)
        old = []
        if self._corrects:
            old = usage.take_out_changed(connection, now)
            usage.drop_staged_older(connection)
        keys = usage.insert_staged(connection, now)
        return [item for item in events if (item[0].event_id, item[0].occurred_at) in keys], old

    def _score(self, connection: sa.Connection, batch: Batch) -> tuple[int, int]:
        """Return how many scores are new, and how many changed."""
        if self._corrects:
            return ingest.correct_scores(connection, self._target.tenant, batch.scores)
        return ingest.add_scores(connection, self._target.tenant, batch.scores), 0

    def _roll_up(self, connection: sa.Connection, prepared: Prepared, new: list[Priced], old: list[Priced]) -> None:
        deltas = prepared.deltas if len(new) == len(prepared.events) and not old else _deltas(new, old)
        rollups.add(connection, self._target.tenant, deltas)
        if old:
            hours = {floor_hour(event.occurred_at) for event, _ in old}
            rollups.drop_empty(connection, self._target.tenant, hours)


def _deltas(new: list[Priced], old: Sequence[Priced] = ()) -> Deltas:
    deltas = Deltas()
    for priced, sign in ((new, 1), (old, -1)):
        deltas.add([event for event, _ in priced], [price.cost_usd for _, price in priced], sign)
    return deltas


@contextmanager
def without_collector() -> Iterator[None]:
    """Keep the garbage collector out: it would walk over a batch's rows again and again, and find no cycle."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def _unique(events: Sequence[UsageEvent], *, last_wins: bool) -> Sequence[UsageEvent]:
    by_id = {event.event_id: event for event in events}
    if last_wins:
        return list(by_id.values())
    if len(by_id) == len(events):
        return events
    found: dict[tuple[str, datetime], UsageEvent] = {}
    for event in events:
        found.setdefault((event.event_id, event.occurred_at), event)
    return list(found.values())


def _newest(batch: Batch) -> datetime | None:
    """Return the time of a batch's newest record; of a vendor's report the beginning of its bucket."""
    times = chain(
        (event.occurred_at for event in batch.events),
        (score.occurred_at for score in batch.scores),
        (report.window.start for report in batch.usage),
        (report.window.start for report in batch.costs),
    )
    return max(times, default=None)


def is_passing(error: Exception) -> bool:
    """Whether the database asks to try again."""
    cause = error.orig if isinstance(error, sa.exc.DBAPIError) else error
    passing = (psycopg.errors.DeadlockDetected, psycopg.errors.SerializationFailure, psycopg.errors.LockNotAvailable)
    return isinstance(cause, passing)
