"""Load a span of a configured source's past in parts, several at once; run again, it goes on where it was stopped.

A polled source is asked window by window, one of files is read file by file. What is there already is found out by its
key, as in every load; neither the cursor nor a file's position moves. By threads, not processes: parsing is the smaller
part of a load, and beside it Postgres works (400,000 JSON lines in 4 files on 2 cores: 1.5 times the rows per second of
one thread; two processes gained nothing, for each first imports and connects).
Used by `watchkeeper ingest --from --to` and `flows/backfill_usage.py`.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

import psycopg
import sqlalchemy as sa

from ops.errors import NotFound, UnknownName, WatchkeeperError, in_words
from ops.window import Window
from tasks.http import Turnstile
from tasks.load_file import load_span
from tasks.load_window import load_window, windows
from tasks.log_file import LogFile, files_of
from tasks.settings import Settings, Source
from tasks.sources import kind_of
from tasks.sources.interface import FileKind
from tasks.stores import chunks
from tasks.write_usage import Loaded, Target

MOST_WORKERS = 8  # as many as the engine has connections
Clock = Callable[[], datetime]
Progress = Callable[[int, "Backfilled"], None]  # parts that are behind us
_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Chunk:
    """One part: a window of a polled source, or what one file holds of the whole span."""

    window: Window
    file: LogFile | None = None
    place: str = ""  # of a file, with its size: one that has grown is another part

    def __str__(self) -> str:
        """Name it for people."""
        if self.file is not None:
            return self.file.address
        return f"{self.window.start:%Y-%m-%d %H:%M} to {self.window.end:%Y-%m-%d %H:%M} UTC"


@dataclass(frozen=True, slots=True)
class Backfilled:
    """What a backfill did; `failures` are the parts that failed, with the reason."""

    parts: int = 0
    done_before: int = 0
    loaded: Loaded = field(default_factory=Loaded)
    failures: tuple[tuple[str, str], ...] = ()

    def plus(self, chunk: Chunk, outcome: Loaded | Exception) -> Backfilled:
        """Add a part that was loaded or failed."""
        if isinstance(outcome, Loaded):
            return replace(self, loaded=self.loaded.plus(outcome))
        return replace(self, failures=(*self.failures, (str(chunk), in_words(outcome))))

    def as_json(self) -> dict[str, Any]:
        """Return what `--json` prints."""
        failed = [{"part": part, "error": error} for part, error in self.failures]
        return {**self.loaded.as_json(), "parts": self.parts, "done_before": self.done_before, "failed": failed}


def source_named(settings: Settings, name: str) -> Source:
    """Return a configured source.

    Raises:
        UnknownName: listing the configured ones.
    """
    by_name = {source.name: source for source in settings.sources}
    if name not in by_name:
        raise UnknownName("source", name, by_name)
    return by_name[name]


def plan(
    target: Target, source: Source, span: Window, now: datetime, *, again: bool = False
) -> tuple[list[Chunk], Backfilled]:
    """Return the parts that are still to do, and what was done before; with `again` everything is to do.

    Raises:
        NotFound: the source's path names no file.
        InvalidValue: the source lacks a setting.
    """
    parts = _parts(source, span, now)
    with target.engine.begin() as connection:
        if again:
            chunks.forget(connection, target.tenant, source.name, span)
        done = chunks.done(connection, target.tenant, source.name)
    todo = [part for part in parts if (part.place, part.window) not in done]
    return todo, Backfilled(parts=len(parts), done_before=len(parts) - len(todo))


def _parts(source: Source, span: Window, now: datetime) -> list[Chunk]:
    kind = kind_of(source)
    if not isinstance(kind, FileKind):
        past = Window(span.start, max(span.start, min(span.end, now)))
        return [Chunk(window) for window in windows(past, kind.longest)]
    files = files_of(source.path)
    if not files:
        raise NotFound(f"source {source.name}: file", source.path)
    return [Chunk(span, file, _place(file)) for file in files]


def _place(file: LogFile) -> str:
    return f"{os.fsencode(file.address).decode(errors='replace')} ({file.size():,} bytes)"


def load_chunk(target: Target, source: Source, chunk: Chunk, clock: Clock, turnstile: Turnstile) -> Loaded:
    """Load one part, and remember that it is done.

    Raises:
        WatchkeeperError: as `load_span` and `load_window`; whole blocks and pages are committed.
    """
    if chunk.file is not None:
        loaded = load_span(target, source, chunk.file, chunk.window, clock())
    else:
        loaded = load_window(target, source, chunk.window, clock, turnstile=turnstile)
    with target.engine.begin() as connection:
        chunks.finish(connection, target.tenant, source.name, chunk.place, chunk.window, loaded.read, clock())
    return loaded


def backfill(
    target: Target, source: Source, todo: Sequence[Chunk], before: Backfilled, clock: Clock,
    *, workers: int = 4, progress: Progress | None = None,
) -> Backfilled:  # fmt: skip
    """Load what `plan` found with so many threads; a part that fails, for whatever reason, does not stop the others.

    Where that can help it is tried once more. All of them together keep the source's `requests_per_minute`.
    """
    started = time.monotonic()
    result = before
    turnstile = Turnstile(source.requests_per_minute)
    with ThreadPoolExecutor(workers) as pool:
        runs = {pool.submit(_try_twice, target, source, chunk, clock, turnstile): chunk for chunk in todo}
        try:
            for number, run in enumerate(as_completed(runs), result.done_before + 1):
                result = result.plus(runs[run], _outcome(run, runs[run]))
                if progress:
                    progress(number, result)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    loaded = replace(result.loaded, seconds=round(time.monotonic() - started, 3))
    return replace(result, loaded=loaded, failures=tuple(sorted(result.failures)))


def _try_twice(target: Target, source: Source, chunk: Chunk, clock: Clock, turnstile: Turnstile) -> Loaded:
    try:
        return load_chunk(target, source, chunk, clock, turnstile)
    except WatchkeeperError as error:
        if not error.retryable:
            raise
    return load_chunk(target, source, chunk, clock, turnstile)


def _outcome(run: Future[Loaded], chunk: Chunk) -> Loaded | Exception:
    try:
        return run.result()
    except (WatchkeeperError, sa.exc.SQLAlchemyError, psycopg.Error) as error:  # says enough in words
        return error
    except MemoryError:  # the other parts are no better off
        raise
    except Exception as error:  # noqa: BLE001  whatever it is, the other parts go on
        _LOG.error("%s: %s", chunk, in_words(error), exc_info=error)
        return error
