"""Write a batch of any source exactly once: events, roll-ups, rejects and the position reached, in one transaction.

Before it: `tasks/load_file.py`, `tasks/load_window.py` and `tasks/receive_usage.py` have batches. Between:
`tasks/price_usage.py` prices. After it: `tasks/stores/` hold them.
"""

from __future__ import annotations

import gc
import hashlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import date, datetime
from typing import Any

import psycopg
import sqlalchemy as sa

from ops.rollup import Deltas
from ops.usage import UsageEvent
from ops.window import floor_hour
from tasks.price_usage import Pricer
from tasks.sources.interface import Batch, Reject
from tasks.stores import ingest, rollups, usage
from tasks.stores.usage import Price, Priced

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

    def plus(self, other: Loaded) -> Loaded:
        """Add two loads up."""
        names = ("read", "inserted", "corrected", "duplicates", "rejected", "skipped", "seconds")
        return Loaded(
            **{name: getattr(self, name) + getattr(other, name) for name in names},
            unknown_models=tuple(sorted({*self.unknown_models, *other.unknown_models})),
            first_reject=self.first_reject or other.first_reject,
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
    prices: bool = True
    rolls_up: bool = True


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a batch comes from: what its rejects tell."""

    source: str
    kind: str
    place: str  # a path or an address
    header: bytes | None = None


class Writer:
    """Writes the batches of one source, one after the other.

    With `corrects`, a row that is stored with other contents is replaced when it was stored before this one was seen;
    without, what is stored first stays.
    """

    def __init__(self, target: Target, *, corrects: bool = False) -> None:
        self._target = target
        self._corrects = corrects
        self._pricer = Pricer(target.engine) if target.prices else None
        self._days: set[date] = set()
        self._conflicts = 0

    def write(
        self, batch: Batch, origin: Origin, now: datetime, also: Callable[[sa.Connection], None] | None = None
    ) -> Loaded:
        """Write everything in one transaction, and `also` what the caller remembers in it.

        `now` is when the batch was seen. A deadlock with another loader is tried again.
        """
        events = self._prepare(batch.events)
        for attempt in range(1, _TRIES + 1):
            try:
                with self._target.engine.begin() as connection:
                    return self._write(connection, batch, events, origin, now, also)
            except sa.exc.OperationalError as error:
                if attempt == _TRIES or not _is_passing(error.orig):
                    raise
            except psycopg.OperationalError as error:
                if attempt == _TRIES or not _is_passing(error):
                    raise
        raise AssertionError("unreachable")

    def _prepare(self, events: Sequence[UsageEvent]) -> list[Priced]:
        """Drop what a batch holds twice, price the rest, and make its partitions."""
        unique = _unique(events, last_wins=self._corrects)
        new_days = {event.occurred_at.date() for event in unique} - self._days
        if new_days:
            usage.ensure_partitions(self._target.engine, new_days)
            self._days |= new_days
        prices = self._pricer.price(unique) if self._pricer else [Price()] * len(unique)
        return list(zip(unique, prices, strict=True))

    def _write(
        self, connection: sa.Connection, batch: Batch, events: list[Priced], origin: Origin, now: datetime,
        also: Callable[[sa.Connection], None] | None,
    ) -> Loaded:  # fmt: skip
        new, old = self._store(connection, origin.source, events, now)
        tenant = self._target.tenant
        scored = ingest.add_scores(connection, tenant, batch.scores)
        reported = ingest.replace_reports(connection, tenant, origin.source, batch, now)
        ingest.add_rejects(connection, [_reject_row(tenant, origin, reject) for reject in batch.rejects])
        if self._target.keep_texts:
            usage.add_texts(connection, tenant, (event for event, _ in new))
        if self._target.rolls_up:
            self._roll_up(connection, new, old)
        if new or scored:
            ingest.set_watermark(connection, tenant, "load", now)
        if also:
            also(connection)
        inserted = len(new) - len(old) + scored + reported
        good = batch.read - len(batch.rejects)
        return Loaded(
            read=batch.read, inserted=inserted, corrected=len(old), duplicates=good - inserted - len(old),
            rejected=len(batch.rejects), skipped=batch.skipped, first_reject=_first(origin, batch.rejects),
            unknown_models=self._pricer.unknown([event for event, price in new if price.cost_usd is None])
            if self._pricer else (),
        )  # fmt: skip

    def _store(
        self, connection: sa.Connection, source: str, events: list[Priced], now: datetime
    ) -> tuple[list[Priced], list[Priced]]:
        """Return the events that are new, and those that they replaced."""
        tenant = self._target.tenant
        if not events:
            return [], []
        if not self._corrects and self._conflicts < _STAGE_AFTER:
            if usage.copy_new(connection, tenant, source, events):
                return events, []
            self._conflicts += 1
        usage.stage(connection, tenant, source, events)
        old = []
        if self._corrects:
            old = usage.take_out_changed(connection, now)
            usage.drop_staged_older(connection)
        keys = usage.insert_staged(connection, now)
        return [item for item in events if (item[0].event_id, item[0].occurred_at) in keys], old

    def _roll_up(self, connection: sa.Connection, new: list[Priced], old: list[Priced]) -> None:
        deltas = Deltas()
        for priced, sign in ((new, 1), (old, -1)):
            deltas.add([event for event, _ in priced], [price.cost_usd for _, price in priced], sign)
        rollups.add(connection, self._target.tenant, deltas)
        if old:
            hours = {floor_hour(event.occurred_at) for event, _ in old}
            rollups.drop_empty(connection, self._target.tenant, hours)


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


def _is_passing(error: object) -> bool:
    passing = (psycopg.errors.DeadlockDetected, psycopg.errors.SerializationFailure, psycopg.errors.LockNotAvailable)
    return isinstance(error, passing)


def _reject_row(tenant: str, origin: Origin, reject: Reject) -> dict[str, Any]:
    raw = reject.raw[: ingest.RAW_LIMIT]
    identity = reject.identity or hashlib.blake2b(reject.raw, digest_size=16).hexdigest()
    return {
        "tenant_id": tenant, "source": origin.source, "kind": origin.kind, "place": _text(origin.place.encode()),
        "reject_id": identity, "position": reject.position,
        "field": _text(reject.field.encode("utf-8", "replace"))[:200],
        "reason": _text(reject.reason.encode("utf-8", "replace"))[:2000], "raw": _text(raw),
        "cut": len(raw) < len(reject.raw), "header": _text(origin.header) if origin.header else None,
    }  # fmt: skip


def _text(raw: bytes) -> str:
    """Return what Postgres can hold of bytes."""
    return raw.decode("utf-8", errors="replace").replace("\x00", "\\0")


def _first(origin: Origin, rejects: Sequence[Reject]) -> str | None:
    if not rejects:
        return None
    unit = "line" if origin.kind in {"litellm", "litellm_rows", "jsonl", "csv", "scores", "otel"} else "row"
    return f"{unit} {rejects[0].position}: {rejects[0].reason}"
