"""Store posts together: everything that waits becomes one transaction, and is answered when it is committed.

Before it: `tasks/receive_usage.py` puts parsed posts in. After it: `tasks/write_usage.py` writes. A post that no
database would take does not fail those that came with it: they are written again one by one.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum
from queue import Empty, SimpleQueue

import psycopg
import sqlalchemy as sa

from tasks.refuse_rows import Origin
from tasks.sources.interface import Batch
from tasks.stores import ingest
from tasks.write_usage import Loaded, Target, Writer

MOST_ROWS = 5_000  # of a transaction; a single post may have more
_BETWEEN_RECORDS = timedelta(seconds=5)  # of a source's success
_LOG = logging.getLogger(__name__)


class Outcome(Enum):
    """What became of a post."""

    STORED = "stored"  # committed
    AWAY = "the database is away"  # perhaps not committed: to be sent again
    REFUSED = "the database refuses it"  # sent again it would be refused again


@dataclass(frozen=True, slots=True)
class Post:
    """What somebody sent, and how they are told what became of it; `done` is called from the writing thread."""

    batch: Batch
    origin: Origin
    done: Callable[[Outcome], None]


class GroupCommit:
    """One thread that writes."""

    def __init__(self, target: Target, clock: Callable[[], datetime]) -> None:
        self._target = target
        self._clock = clock
        self._waiting: SimpleQueue[Post | None] = SimpleQueue()
        self._writers: dict[str, Writer] = {}
        self._unrecorded: dict[Origin, bool] = {}
        self._recorded_at: datetime | None = None
        self._thread = threading.Thread(target=self._run, name="group commit", daemon=True)
        self.is_away = False  # the last write found no database

    def start(self) -> None:
        """Begin to write."""
        self._thread.start()

    def submit(self, post: Post) -> None:
        """Have a post stored."""
        self._waiting.put(post)

    def close(self) -> None:
        """Store what waits, and stop."""
        self._waiting.put(None)
        self._thread.join()

    def _run(self) -> None:
        is_open = True
        while is_open:
            posts, is_open = self._take()
            for group in _by_source(posts):
                self._store(group)
            self._record(at_once=not is_open)

    def _take(self) -> tuple[list[Post], bool]:
        """Wait for a post, and return it with all that wait behind it; False when nothing will come any more."""
        posts: list[Post] = []
        rows = 0
        while rows < MOST_ROWS:
            try:
                post = self._waiting.get(block=not posts)
            except Empty:
                break
            if post is None:
                return posts, False
            posts.append(post)
            rows += post.batch.read
        return posts, True

    def _store(self, group: Sequence[Post]) -> None:
        outcome = self._write(group)
        if outcome is Outcome.REFUSED:  # by one of them; or by what the writer remembers of partitions and prices
            self._writers.clear()
            for post in group:
                post.done(self._write([post]))
        else:
            for post in group:
                post.done(outcome)

    def _write(self, group: Sequence[Post]) -> Outcome:
        origin = group[0].origin
        writer = self._writers.setdefault(origin.source, Writer(self._target))
        try:
            loaded = writer.write(_merged(post.batch for post in group), origin, self._clock())
        except Exception as error:  # noqa: BLE001  whatever it is, those who wait are told
            self.is_away = is_away(error)
            if self.is_away:
                _LOG.warning("%s: the database is away: %s", origin.source, type(error).__name__)
                return Outcome.AWAY
            _LOG.exception("%s: %d posts could not be stored", origin.source, len(group))
            return Outcome.REFUSED
        self.is_away = False
        self._remember(origin, loaded)
        return Outcome.STORED

    def _remember(self, origin: Origin, loaded: Loaded) -> None:
        self._unrecorded[origin] = self._unrecorded.get(origin, False) or loaded.inserted > 0

    def _record(self, *, at_once: bool) -> None:
        """Note that the sources were heard of; not at every post."""
        now = self._clock()
        if not at_once and self._recorded_at and now - self._recorded_at < _BETWEEN_RECORDS:
            return
        try:
            with self._target.engine.begin() as connection:
                for origin, found_new in self._unrecorded.items():
                    ingest.record_success(
                        connection, self._target.tenant, origin.source, origin.kind, now, found_new=found_new
                    )
        except (sa.exc.SQLAlchemyError, psycopg.Error):
            return  # the posts are stored; this is tried again behind the next
        self._unrecorded.clear()
        self._recorded_at = now


def is_away(error: Exception) -> bool:
    """Whether an error says that there is no database to write to now, and nothing about what was to be written."""
    lost = (sa.exc.OperationalError, sa.exc.InterfaceError, sa.exc.TimeoutError, psycopg.OperationalError,
            psycopg.InterfaceError)  # fmt: skip
    cause = getattr(error, "orig", None) or error
    is_cut = isinstance(error, sa.exc.DBAPIError) and error.connection_invalidated
    return isinstance(error, lost) or is_cut or isinstance(cause, psycopg.errors.ReadOnlySqlTransaction)


def _by_source(posts: Iterable[Post]) -> Iterable[list[Post]]:
    groups: dict[str, list[Post]] = {}
    for post in posts:
        groups.setdefault(post.origin.source, []).append(post)
    return groups.values()


def _merged(batches: Iterable[Batch]) -> Batch:
    whole, skipped = Batch(), 0
    for batch in batches:
        whole.events.extend(batch.events)
        whole.scores.extend(batch.scores)
        whole.rejects.extend(batch.rejects)
        skipped += batch.skipped
    return Batch(whole.events, whole.scores, rejects=whole.rejects, skipped=skipped)
