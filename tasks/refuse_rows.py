"""Say of rows why they are not stored, and what is kept of them.

Before it: `tasks/sources/` reject what is no event; a day that retention dropped takes no more events. After it:
`tasks/stores/rejects.py` keeps them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec

from ops.errors import InvalidValue
from ops.usage import UsageEvent
from tasks.sources.interface import Reject
from tasks.stores import rejects
from tasks.stores.usage import Priced


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a batch comes from: what its rejects tell."""

    source: str
    kind: str
    place: str  # a path or an address
    header: bytes | None = None


def split_at(floor: datetime | None, events: list[Priced]) -> tuple[list[Priced], list[Reject]]:
    """Part the events that may be stored from those of days that were dropped."""
    if floor is None or all(event.occurred_at >= floor for event, _ in events):
        return events, []
    kept = [item for item in events if item[0].occurred_at >= floor]
    return kept, [_late(event, floor) for event, _ in events if event.occurred_at < floor]


def check_floor(events: Iterable[UsageEvent], floor: datetime | None) -> None:
    """Raise InvalidValue for the first event of a day that was dropped."""
    for event in events:
        if floor is not None and event.occurred_at < floor:
            raise _too_old(event, floor)


def _too_old(event: UsageEvent, floor: datetime) -> InvalidValue:
    limit = f"at or after {floor:%Y-%m-%d}: older than what is kept; a duplicate could not be recognised"
    return InvalidValue("occurred_at", event.occurred_at.isoformat(), limit)


def _late(event: UsageEvent, floor: datetime) -> Reject:
    raw = msgspec.json.encode(msgspec.structs.replace(event, prompt_text=None))  # texts are kept by consent only
    return Reject.of(_too_old(event, floor), 0, raw, is_cut=True)  # no kind reads it as its own row


def reject_rows(tenant: str, origin: Origin, refused: Iterable[Reject]) -> Iterator[tuple[Any, ...]]:
    """Yield what is kept of rejects: `rejects.COLUMNS`."""
    place = _text(origin.place.encode())
    header = _text(origin.header) if origin.header else None
    for reject in refused:
        raw = _text(reject.raw[: rejects.RAW_LIMIT])
        yield (
            tenant, origin.source, reject.identity or hashlib.blake2b(reject.raw, digest_size=16).hexdigest(),
            origin.kind, place, reject.position, _text(reject.field.encode("utf-8", "replace"))[:200],
            _text(reject.reason.encode("utf-8", "replace"))[:2000], raw,
            reject.is_cut or raw.encode() != reject.raw, header,
        )  # fmt: skip


def _text(raw: bytes) -> str:
    """Return what Postgres can hold of bytes."""
    return raw.decode("utf-8", errors="replace").replace("\x00", "\\0")


def first_refused(origin: Origin, refused: Sequence[Reject]) -> str | None:
    """Return the place and the reason of the first; None when there is none."""
    if not refused:
        return None
    if not refused[0].position:  # a sound row, of which no more than the event is known
        return refused[0].reason
    unit = "line" if origin.kind in {"litellm", "litellm_rows", "jsonl", "csv", "scores", "otel"} else "row"
    return f"{unit} {refused[0].position}: {refused[0].reason}"
