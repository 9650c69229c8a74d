"""Load what is new in one configured source, and remember how that went.

Before it: `flows/ingest_usage.py` chooses the sources. After it: `tasks/load_file.py` or `tasks/load_window.py` load;
`ops/monitoring/rules/silence.py` judges what is remembered.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from functools import partial, reduce
from typing import Any

import sqlalchemy as sa
from prefect import Task, task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State, TaskRun

from ops.errors import Incomplete, NotFound, Unavailable, UnknownName, WatchkeeperError, in_words
from ops.shards import Shard
from tasks.load_file import load_file
from tasks.load_window import poll
from tasks.log_file import files_of
from tasks.settings import Settings, Source
from tasks.sources import kind_of
from tasks.sources.interface import FileKind
from tasks.stores import ingest, source_states
from tasks.write_usage import Loaded, Target

AT_ONCE = 4  # sources: each holds one of the engine's eight connections, and flows have two cores or more
_COUNTS = ("read", "inserted", "corrected", "duplicates", "rejected")


class PartlyLoaded(Incomplete):
    """Some files of a source failed; `loaded` is what the others brought."""

    def __init__(self, source: str, of: int, failures: Sequence[WatchkeeperError], loaded: Loaded) -> None:
        self.loaded = loaded
        super().__init__(f"source {source}: files", of, failures)


def choose(sources: Sequence[Source], names: Sequence[str] | None, shard: str | None) -> list[Source]:
    """Return the sources of these names, all by default, that belong to a shard.

    Raises:
        UnknownName: no source has that name.
        InvalidValue: a shard that is none.
    """
    known = [source.name for source in sources]
    for name in names or ():
        if name not in known:
            raise UnknownName("sources", name, known)
    part = Shard.parse(shard) if shard else Shard(1, 1)
    return [source for source in sources if (names is None or source.name in names) and part.holds(source.name)]


def watch_sources(engine: sa.Engine, settings: Settings, now: datetime) -> None:
    """Watch every configured source, whoever loads it, and none that is configured no more."""
    with engine.begin() as connection:
        source_states.watch(connection, settings.tenant, settings.sources, now)


def _is_passing(task: Task[..., Any], run: TaskRun, state: State[Any]) -> bool:  # noqa: ARG001  Prefect's signature
    return isinstance(state.result(raise_on_failure=False), Unavailable)


@task(
    cache_policy=NO_CACHE, persist_result=False, task_run_name="{source.name}",
    retries=2, retry_delay_seconds=10, retry_condition_fn=_is_passing,
)  # fmt: skip
def ingest_source(
    engine: sa.Engine, settings: Settings, source: Source, now: datetime, clock: Callable[[], datetime]
) -> Loaded:
    """Load what is new in a source's files, or since its last poll; what fails is remembered and raised.

    Raises:
        NotFound: the source's path names no file.
        PartlyLoaded: some files could not be loaded; the others are.
        Unavailable, Refused, InvalidValue: the source that is polled, or its settings.
    """
    target = Target.of(engine, settings)
    try:
        loaded = _load(target, source, now, clock)
    except Exception as error:
        with engine.begin() as connection:
            ingest.record_failure(connection, settings.tenant, source.name, source.kind, clock(), in_words(error))
        raise
    found_new = loaded.inserted + loaded.corrected > 0
    with engine.begin() as connection:
        ingest.record_success(connection, settings.tenant, source.name, source.kind, clock(), found_new=found_new)
    return loaded


def _load(target: Target, source: Source, now: datetime, clock: Callable[[], datetime]) -> Loaded:
    if isinstance(kind_of(source), FileKind):
        return _load_files(target, source, now)
    return poll(target, source, now, clock)


def _load_files(target: Target, source: Source, now: datetime) -> Loaded:
    """Load every file in the order of their names; a damaged one, or one that is gone meanwhile, stops no other."""
    files = files_of(source.path)
    if not files:
        raise NotFound(f"source {source.name}: file", source.path)
    parts: dict[str, Loaded] = {}  # of a damaged file too: what stood before the damage
    failures = []
    for file in files:
        note = partial(parts.__setitem__, file.address)
        try:
            note(load_file(target, source, file, now, resume=True, progress=note))
        except WatchkeeperError as error:
            failures.append(error)
    total = reduce(Loaded.plus, parts.values(), Loaded())
    if failures:
        raise PartlyLoaded(source.name, len(files), failures, total)
    return total


def report(
    engine: sa.Engine, tenant: str, outcomes: Mapping[str, Loaded | BaseException], now: datetime
) -> list[dict[str, Any]]:
    """Return a row for each source that was tried: what it brought, how far behind it is, what went wrong."""
    with engine.connect() as connection:
        states = source_states.states(connection, tenant)
    return [_row(name, outcome, states.get(name), now) for name, outcome in outcomes.items()]


def _row(name: str, outcome: Loaded | BaseException, state: sa.Row[Any] | None, now: datetime) -> dict[str, Any]:
    error = in_words(outcome) if isinstance(outcome, BaseException) else None
    loaded = outcome.loaded if isinstance(outcome, PartlyLoaded) else outcome
    newest = state.newest_event_at if state else None
    success = state.last_success_at if state else None
    return {
        "source": name,
        "state": "failed" if error is not None else "loaded",
        **{count: getattr(loaded, count, None) for count in _COUNTS},  # of a poll that failed: unknown
        "lag": str(now - newest).partition(".")[0] if newest else None,
        "last success": f"{success:%Y-%m-%d %H:%M} UTC" if success else None,
        "error": error,
    }
