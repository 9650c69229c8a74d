"""What is remembered of every source."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
import sqlalchemy as sa

from ops.monitoring.alerts import Alert, State, Summary, Tier
from ops.monitoring.rules.silence import SourceSample
from ops.scores import Score
from ops.usage import Status, UsageEvent
from ops.vendor_usage import VendorCost, VendorUsage
from ops.window import Window
from tasks.refuse_rows import Origin
from tasks.settings import Alerting, Source
from tasks.sources.interface import Batch
from tasks.stores import alerts, ingest, measures, source_states
from tasks.write_usage import Target, Writer
from tests.waiting import are_waiting

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
GATEWAY, FEEDBACK = (Source(name=name, path="log", silent_after_minutes=30) for name in ("gateway", "feedback"))


def watch(engine: sa.Engine, *sources: Source, now: datetime = NOW, tenant: str = "t") -> None:
    with engine.begin() as connection:
        source_states.watch(connection, tenant, sources, now)


def states(engine: sa.Engine, tenant: str = "t") -> dict[str, Any]:
    with engine.connect() as connection:
        return source_states.states(connection, tenant)


def succeed(engine: sa.Engine, name: str, now: datetime, *, found_new: bool = True) -> None:
    with engine.begin() as connection:
        ingest.record_success(connection, "t", name, "litellm", now, found_new=found_new)


def fail(engine: sa.Engine, name: str, now: datetime, error: str = "away") -> None:
    with engine.begin() as connection:
        ingest.record_failure(connection, "t", name, "litellm", now, error)


def samples(engine: sa.Engine, now: datetime = NOW) -> list[SourceSample]:
    with engine.connect() as connection:
        return measures.silence(connection, "t", now, Alerting())


def test_source_is_watched_from_the_first_time_it_is_seen(engine: sa.Engine) -> None:
    watch(engine, GATEWAY)
    watch(engine, GATEWAY.model_copy(update={"kind": "jsonl", "silent_after_minutes": 5}), now=NOW + HOUR)
    row = states(engine)["gateway"]
    assert (row.kind, row.silent_after_minutes, row.first_tried_at) == ("jsonl", 5, NOW)
    assert (row.last_success_at, row.failures, row.newest_event_at) == (None, 0, None)


def test_source_of_the_settings_no_more_is_watched_no_more(engine: sa.Engine) -> None:
    watch(engine, GATEWAY, FEEDBACK)
    watch(engine, GATEWAY, FEEDBACK, tenant="u")
    watch(engine, FEEDBACK)
    assert {name: row.silent_after_minutes for name, row in states(engine).items()} == {"feedback": 30, "gateway": None}
    assert [row.silent_after_minutes for row in states(engine, "u").values()] == [30, 30]
    watch(engine)
    assert [row.silent_after_minutes for row in states(engine).values()] == [None, None]


def test_source_that_comes_back_is_watched_from_then(engine: sa.Engine) -> None:
    watch(engine, GATEWAY, now=NOW - 99 * HOUR)
    succeed(engine, "gateway", NOW - 98 * HOUR)
    watch(engine, now=NOW - 97 * HOUR)
    watch(engine, GATEWAY, now=NOW)
    [sample] = samples(engine)
    assert (sample.silent_since, sample.last_success_at) == (NOW, NOW - 98 * HOUR)


def test_two_flows_watch_at_once(engine: sa.Engine, database_url: str) -> None:
    with ThreadPoolExecutor(2) as threads, engine.connect() as holder:
        source_states.watch(holder, "t", [GATEWAY, FEEDBACK], NOW)
        both = [threads.submit(watch, engine, *order) for order in ((GATEWAY, FEEDBACK), (FEEDBACK, GATEWAY))]
        assert are_waiting(database_url, 2)
        holder.commit()
        assert [one.result() for one in both] == [None, None]
    assert list(states(engine)) == ["feedback", "gateway"]


def test_success_ends_the_failures_before_it(engine: sa.Engine) -> None:
    watch(engine, GATEWAY)
    for number in (1, 2):
        fail(engine, "gateway", NOW + number * MINUTE, f"away {number}")
    row = states(engine)["gateway"]
    assert (row.failures, row.last_error, row.last_tried_at) == (2, "away 2", NOW + 2 * MINUTE)
    succeed(engine, "gateway", NOW + 3 * MINUTE, found_new=False)
    row = states(engine)["gateway"]
    assert (row.failures, row.last_error, row.last_success_at) == (0, None, NOW + 3 * MINUTE)
    assert row.last_new_at is None
    assert row.silent_after_minutes == 30


def test_day_that_is_replayed_makes_no_source_older(engine: sa.Engine) -> None:
    watch(engine, GATEWAY)
    for when in (NOW, NOW - 99 * HOUR):
        succeed(engine, "gateway", when)
    row = states(engine)["gateway"]
    assert (row.last_success_at, row.last_tried_at) == (NOW, NOW)


# The newest event


def event(name: str, at: datetime) -> UsageEvent:
    return UsageEvent(event_id=name, occurred_at=at, vendor="openai", model="gpt-4o-mini", operation="chat",
                      status=Status.SUCCESS)  # fmt: skip


def report(at: datetime) -> Window:
    return Window(at, at + HOUR)


BATCHES = {
    "of events": Batch(events=[event("a", NOW - HOUR), event("b", NOW), event("c", NOW - 2 * HOUR)]),
    "of scores": Batch(scores=[Score(score_id="s", occurred_at=NOW, metric="thumb", value=1.0, source="user")]),
}


def write(engine: sa.Engine, batch: Batch, source: str = "gateway", tenant: str = "t") -> None:
    Writer(Target(engine, tenant)).write(batch, Origin(source, "litellm", "log"), NOW)


@pytest.mark.parametrize("batch", BATCHES.values(), ids=BATCHES)
def test_newest_record_is_remembered(batch: Batch, engine: sa.Engine) -> None:
    watch(engine, GATEWAY, FEEDBACK)
    watch(engine, GATEWAY, tenant="u")
    write(engine, batch)
    assert {name: row.newest_event_at for name, row in states(engine).items()} == {"gateway": NOW, "feedback": None}
    assert states(engine, "u")["gateway"].newest_event_at is None


def test_newest_of_a_vendors_report_is_the_beginning_of_its_bucket(engine: sa.Engine) -> None:
    watch(engine, GATEWAY)
    usage = VendorUsage(vendor="openai", endpoint="chat", window=report(NOW - HOUR))
    cost = VendorCost(vendor="openai", window=report(NOW), cost_usd=Decimal(1))
    write(engine, Batch(usage=[usage], costs=[cost]))
    assert states(engine)["gateway"].newest_event_at == NOW


def test_older_events_and_none_leave_the_newest_as_it_is(engine: sa.Engine) -> None:
    watch(engine, GATEWAY)
    for batch in (Batch(events=[event("a", NOW)]), Batch(events=[event("b", NOW - HOUR)]), Batch()):
        write(engine, batch)
    assert states(engine)["gateway"].newest_event_at == NOW


def test_source_that_is_loaded_by_hand_alone_is_not_remembered(engine: sa.Engine) -> None:
    write(engine, Batch(events=[event("a", NOW)]), source="manual")
    assert states(engine) == {}


# What the rule is given


def test_every_watched_source_is_sampled(engine: sa.Engine) -> None:
    watch(engine, GATEWAY, FEEDBACK, now=NOW - HOUR)
    watch(engine, GATEWAY, tenant="u")
    succeed(engine, "feedback", NOW - MINUTE)
    fail(engine, "gateway", NOW, "away")
    half_hour = timedelta(minutes=30)
    assert samples(engine) == [
        SourceSample(source="feedback", now=NOW, limit=half_hour, watched_since=NOW - HOUR,
                     last_tried_at=NOW - MINUTE, last_success_at=NOW - MINUTE),
        SourceSample(source="gateway", now=NOW, limit=half_hour, watched_since=NOW - HOUR, last_tried_at=NOW,
                     failures=1, last_error="away"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("state", "key", "limits"),
    [
        pytest.param("firing", "source:gateway", [None], id="is sampled while its alert is open"),
        pytest.param("pending", "source:gateway", [None], id="also while that is pending"),
        pytest.param("resolved", "source:gateway", [], id="is not when its alert is over"),
        pytest.param("firing", "source:feedback", [], id="is not when the alert is another's"),
    ],
)
def test_source_that_is_watched_no_more(
    engine: sa.Engine, state: str, key: str, limits: list[timedelta | None]
) -> None:
    watch(engine, GATEWAY)
    watch(engine)
    alert = Alert(alert_id="a", rule="silence", key=key, tier=Tier.WARNING, state=State(state), since=NOW, value=1.0,
                  limit=1.0, summary=Summary("Source", "silent", "30 min"), evidence={})  # fmt: skip
    with engine.begin() as connection:
        alerts.save(connection, "t", alert)
    assert [sample.limit for sample in samples(engine)] == limits
