"""Load what a polled source holds of a span of time, page by page; each page is one transaction.

The cursor moves behind a window only when all its pages are committed: whoever is killed in between reads the window
again, and what is there already is found out by its key. Used by `tasks/ingest_usage.py` and `tasks/backfill.py`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime, timedelta

from ops.window import Window
from tasks.http import Courier, Turnstile
from tasks.refuse_rows import Origin
from tasks.resources import open_http
from tasks.settings import Source
from tasks.sources import polled_kind_of
from tasks.sources.interface import ApiKind, Batch, QueryKind
from tasks.stores import ingest
from tasks.write_usage import Loaded, Target, Writer, without_collector

FIRST_LOOK_BACK = timedelta(days=1)
Clock = Callable[[], datetime]
Progress = Callable[[Loaded], None]


def poll(target: Target, source: Source, now: datetime, clock: Clock) -> Loaded:
    """Load what is new since the last poll, and what may have turned up late or changed.

    Raises:
        Unavailable, Refused: the source; the windows before are committed, and the cursor stands behind them.
    """
    kind = polled_kind_of(source)
    with target.engine.connect() as connection:
        reached = ingest.cursor(connection, target.tenant, source.name)
    start = (min(reached, now) - look_back(source, kind)) if reached else (source.since or now - FIRST_LOOK_BACK)
    total, turnstile = Loaded(), Turnstile(source.requests_per_minute)
    for window in windows(Window(min(start, now), now), kind.longest):
        total = total.plus(load_window(target, source, window, clock, turnstile=turnstile))
        with target.engine.begin() as connection:
            ingest.move_cursor(connection, target.tenant, source.name, source.kind, window.end)
    return total


def look_back(source: Source, kind: ApiKind | QueryKind) -> timedelta:
    """Return how far behind the cursor a poll begins."""
    minutes = source.look_back_minutes
    return kind.look_back if minutes is None else timedelta(minutes=minutes)


def windows(whole: Window, longest: timedelta) -> Iterator[Window]:
    """Cut a span of time into windows, the oldest first; their bounds are multiples of their length.

    So that the same history is always cut alike, whenever somebody asks for it.
    """
    start = whole.start
    while start < whole.end:
        seconds = longest.total_seconds()
        end = datetime.fromtimestamp((start.timestamp() // seconds + 1) * seconds, start.tzinfo)
        yield Window(start, min(end, whole.end))
        start = end


def load_window(
    target: Target, source: Source, window: Window, clock: Clock, progress: Progress | None = None,
    turnstile: Turnstile | None = None,
) -> Loaded:  # fmt: skip
    """Load one window of a source; `turnstile` is the one through which others ask it at the same time."""
    started = time.monotonic()
    kind = polled_kind_of(source)
    writer = Writer(target, corrects=kind.corrects)
    total = Loaded()
    with open_http() as client:
        courier = Courier(client, turnstile or Turnstile(source.requests_per_minute))
        pages = courier.run(kind.pages(source, window)) if isinstance(kind, ApiKind) else kind.batches(source, window)
        for asked_at, page in _timed(pages, clock):
            origin = Origin(source.name, source.kind, f"{window.start:%Y-%m-%dT%H:%M}/{window.end:%Y-%m-%dT%H:%M}")
            with without_collector():
                done = writer.write(page, origin, asked_at)
            total = replace(total.plus(done), seconds=round(time.monotonic() - started, 3))
            if progress:
                progress(total)
    return total


def _timed(pages: Iterator[Batch], clock: Clock) -> Iterator[tuple[datetime, Batch]]:
    """Yield each page with a time before it was asked for: what is stored later is newer than the page."""
    asked_at = clock()
    for page in pages:
        yield asked_at, page
        asked_at = clock()
