"""One part of a backfill as a task of Prefect's: in a thread of the flow, or in a Dask worker on another machine.

Before it: `flows/backfill_usage.py` plans the parts. After it: `tasks/backfill.py` loads each.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from prefect import Task, task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State, TaskRun
from prefect.task_runners import ThreadPoolTaskRunner

from ops.errors import InvalidValue, UnknownName, WatchkeeperError
from ops.window import Window
from tasks.backfill import MOST_WORKERS, Chunk, load_chunk, source_named
from tasks.http import Turnstile
from tasks.load_settings import load_settings
from tasks.resources import open_database
from tasks.settings import Settings, Source
from tasks.write_usage import Loaded, Target


@dataclass(frozen=True, slots=True)
class Opened:
    """What the parts share in one process."""

    target: Target
    source: Source
    turnstile: Turnstile


def _is_passing(task: Task[..., Any], run: TaskRun, state: State[Any]) -> bool:  # noqa: ARG001  Prefect's signature
    error = state.result(raise_on_failure=False)
    return isinstance(error, WatchkeeperError) and error.retryable


@task(cache_policy=NO_CACHE, persist_result=False, task_run_name="{chunk}", retries=1, retry_condition_fn=_is_passing)
def backfill_part(name: str, chunk: Chunk, as_of: datetime | None, sharers: int, opened: Opened | None) -> Loaded:
    """Load one part of a source; where nothing is `opened`, by this process's own settings.

    `sharers` are the processes that ask the source at the same time: each takes its part of the rate.
    """
    clock = _real_clock if as_of is None else lambda: as_of
    if opened is not None:
        return load_chunk(opened.target, opened.source, chunk, clock, opened.turnstile)
    settings = load_settings()
    with open_database(settings, upgrade=False) as engine:
        shared = opened_for(settings, Target.of(engine, settings), name, sharers)
        return load_chunk(shared.target, shared.source, chunk, clock, shared.turnstile)


def opened_for(settings: Settings, target: Target, name: str, sharers: int = 1) -> Opened:
    """Return what the parts of a configured source share.

    Raises:
        UnknownName: no such source.
    """
    source = source_named(settings, name)
    return Opened(target, source, Turnstile(source.requests_per_minute / sharers))


def _real_clock() -> datetime:
    return datetime.now(UTC)


def _threads(workers: int, address: str | None) -> Any:  # noqa: ARG001  as the others
    return ThreadPoolTaskRunner(max_workers=workers)


def _dask(workers: int, address: str | None) -> Any:
    try:
        from prefect_dask.task_runners import DaskTaskRunner
    except ImportError:
        raise InvalidValue("runner", "dask", 'there without Dask: pip install "watchkeeper[dask]"') from None
    if address:
        return DaskTaskRunner(address=address)
    local = {"n_workers": workers, "threads_per_worker": 1, "dashboard_address": None}
    return DaskTaskRunner(cluster_kwargs=local)


RUNNERS: dict[str, Callable[[int, str | None], Any]] = {"threads": _threads, "dask": _dask}


def runner_of(kind: str, workers: int, address: str | None) -> Any:
    """Return what runs the parts: threads of this process, or Dask workers, of the cluster at `address` if given.

    Raises:
        UnknownName: no such kind.
        InvalidValue: more workers than the engine has connections, or no Dask.
    """
    if kind not in RUNNERS:
        raise UnknownName("runner", kind, RUNNERS)
    if not 1 <= workers <= MOST_WORKERS:
        raise InvalidValue("workers", workers, f"between 1 and {MOST_WORKERS}")
    return RUNNERS[kind](workers, address)


def span_of(start: datetime | str | None, end: datetime | str | None) -> Window:
    """Return the span between two times, ISO 8601 or read already; one without a zone is UTC.

    Raises:
        InvalidValue: a time is missing or is none, or the span is empty.
    """
    first, last = _time("start", start), _time("end", end)
    if first >= last:
        raise InvalidValue("end", last.isoformat(), f"after start {first.isoformat()}")
    return Window(first, last)


def _time(field: str, given: datetime | str | None) -> datetime:
    try:
        when = given if isinstance(given, datetime) else datetime.fromisoformat(str(given))
        return when.replace(tzinfo=UTC) if when.tzinfo is None else when.astimezone(UTC)
    except (ValueError, OverflowError):
        raise InvalidValue(field, given, "a time such as 2026-10-01 or 2026-10-01T12:30") from None
