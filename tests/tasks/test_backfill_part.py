"""What the parameters of a backfill mean, and who runs its parts."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from typing import Any

import pytest
import sqlalchemy as sa

from ops.errors import InvalidValue, UnknownName
from ops.window import Window
from tasks.backfill_part import opened_for, runner_of, span_of
from tasks.settings import Settings, Source
from tasks.write_usage import Target


@pytest.mark.parametrize(
    ("start", "end"),
    [
        pytest.param("2026-03-01", "2026-03-02T00:00", id="days and times as text"),
        pytest.param(datetime(2026, 3, 1), datetime(2026, 3, 2), id="times without a zone are UTC"),  # noqa: DTZ001
        pytest.param("2026-03-01T01:00+01:00", datetime(2026, 3, 2, tzinfo=UTC), id="a zone is kept to"),
    ],
)
def test_span_is_read(start: datetime | str, end: datetime | str) -> None:
    assert span_of(start, end) == Window(datetime(2026, 3, 1, tzinfo=UTC), datetime(2026, 3, 2, tzinfo=UTC))


@pytest.mark.parametrize(
    ("start", "end", "text"),
    [
        pytest.param("2026-03-02", "2026-03-02", "end: '2026-03-02T00:.*' is not after start 2026", id="empty"),
        pytest.param("yesterday", "2026-03-02", "start: 'yesterday' is not a time", id="a word"),
        pytest.param("2026-03-02", None, "end: None is not a time", id="no end"),
        pytest.param("0001-01-01T00:00+23:00", "2026-03-02", "start: .* is not a time", id="before all time"),
    ],
)
def test_span_that_is_none_is_refused(start: Any, end: Any, text: str) -> None:
    with pytest.raises(InvalidValue, match=text):
        span_of(start, end)


def test_runner_is_refused_when_there_is_none() -> None:
    with pytest.raises(UnknownName, match="runner: 'ray' is not one of dask, threads"):
        runner_of("ray", 1, None)


@pytest.mark.parametrize("workers", [0, 9])
def test_runner_has_no_more_workers_than_there_are_connections(workers: int) -> None:
    with pytest.raises(InvalidValue, match=f"workers: {workers} is not between 1 and 8"):
        runner_of("threads", workers, None)


def test_dask_runner_asks_for_the_extra_where_it_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "prefect_dask.task_runners", None)
    with pytest.raises(InvalidValue, match=r'pip install "watchkeeper\[dask\]"'):
        runner_of("dask", 1, None)


def test_dask_runner_connects_to_a_cluster_that_is_there() -> None:
    pytest.importorskip("prefect_dask")
    assert runner_of("dask", 3, "tcp://10.0.0.1:8786").address == "tcp://10.0.0.1:8786"
    assert runner_of("dask", 3, None).cluster_kwargs["n_workers"] == 3


def test_processes_divide_the_sources_rate(engine: sa.Engine, settings: Settings) -> None:
    configured = settings.model_copy(update={"sources": (Source(name="vendor", requests_per_minute=60),)})
    alone, third = (opened_for(configured, Target(engine, "t"), "vendor", sharers) for sharers in (1, 3))
    assert (alone.turnstile.per_minute, third.turnstile.per_minute) == (60, 20)
    with pytest.raises(UnknownName, match="source: 'x' is not one of vendor"):
        opened_for(configured, Target(engine, "t"), "x")
