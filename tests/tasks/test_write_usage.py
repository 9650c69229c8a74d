from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from random import Random
from threading import Barrier
from typing import Any

import msgspec
import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from ops.usage import Status, UsageEvent
from tasks.refuse_rows import Origin
from tasks.sources.interface import Batch, Reject
from tasks.stores.tables import latency_hourly, usage_events, usage_hourly, usage_rejects
from tasks.write_usage import Loaded, Target, Writer
from tests import stored as tables
from tests.recount import differences
from tests.waiting import are_waiting

NOW = datetime(2026, 3, 5, tzinfo=UTC)
NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
SECOND, HOUR, DAY = timedelta(seconds=1), timedelta(hours=1), timedelta(days=1)
ORIGIN = Origin("api", "langfuse", "page")
CALL = UsageEvent(
    event_id="e", occurred_at=NOON, vendor="openai", model="gpt-4o", operation="chat", status=Status.SUCCESS,
    input_tokens=10, output_tokens=2, latency_ms=100.0, reported_cost_usd=Decimal("0.10"),
)  # fmt: skip


def call(**fields: Any) -> UsageEvent:
    return msgspec.structs.replace(CALL, **fields)


@pytest.fixture
def write(engine: sa.Engine):
    """Write events as seen at a time, by a source whose later rows are truer (or not)."""

    def written(*events: UsageEvent, seen: datetime = NOW, corrects: bool = True, tenant: str = "t") -> Loaded:
        return Writer(Target(engine, tenant), corrects=corrects).write(Batch(events=list(events)), ORIGIN, seen)

    return written


@pytest.fixture
def stored(engine: sa.Engine):
    def found(*names: str) -> list[Any]:
        with engine.connect() as connection:
            columns = [usage_events.c[name] for name in names]
            return [tuple(row) for row in connection.execute(sa.select(*columns).order_by(*usage_events.primary_key))]

    return found


def counts(loaded: Loaded) -> tuple[int, int, int]:
    return loaded.inserted, loaded.corrected, loaded.duplicates


CHANGES = {
    "more tokens": {"output_tokens": 5},
    "a latency that was unknown": {"ttft_ms": 12.0},
    "a name that it did not have": {"feature": "search"},
    "nothing any more where something was": {"latency_ms": None},
    "a failure after all": {"status": Status.FAILURE, "error_type": "timeout"},
    "another model": {"model": "gpt-4o-mini"},
    "another hour": {"occurred_at": NOON + timedelta(hours=2)},
    "a microsecond later": {"occurred_at": NOON + timedelta(microseconds=1)},
    "the next day": {"occurred_at": NOON + timedelta(hours=20)},
}


@pytest.mark.parametrize("fields", CHANGES.values(), ids=CHANGES)
def test_row_that_changed_replaces_what_was_stored(fields: dict[str, Any], write, stored, engine: sa.Engine) -> None:
    changed = call(**fields)
    assert counts(write(CALL, call(event_id="other"), seen=NOW)) == (2, 0, 0)
    assert counts(write(changed, seen=NOW + SECOND)) == (0, 1, 0)
    names = ("event_id", "occurred_at", "model", "status", "output_tokens", "feature", "latency_ms", "ttft_ms")
    rows = {row[0]: row for row in stored(*names)}
    assert rows["e"] == tuple(getattr(changed, name) for name in names)
    assert rows["other"] == ("other", *(getattr(CALL, name) for name in names[1:]))
    assert differences(engine) == []


def test_row_that_did_not_change_is_a_duplicate(write, engine: sa.Engine) -> None:
    assert counts(write(CALL)) == (1, 0, 0)
    assert counts(write(call(reported_cost_usd=Decimal("0.100000000000004")), seen=NOW + SECOND)) == (0, 0, 1)
    assert differences(engine) == []


def test_correction_takes_its_old_cost_along_and_gets_a_new_one(write, stored, engine: sa.Engine) -> None:
    write(CALL)
    write(call(output_tokens=5), seen=NOW + SECOND)
    cost = 10 * Decimal("2.5e-6") + 5 * Decimal("10e-6")
    assert stored("cost_usd") == [(cost,)]
    with engine.connect() as connection:
        assert connection.execute(sa.select(usage_hourly.c.events, usage_hourly.c.cost_usd)).all() == [(1, cost)]


def test_what_a_correction_leaves_empty_disappears(write, engine: sa.Engine) -> None:
    write(CALL)
    write(call(model="gpt-4o-mini"), seen=NOW + SECOND)
    with engine.connect() as connection:
        assert connection.execute(sa.select(usage_hourly.c.model)).scalars().all() == ["gpt-4o-mini"]
        assert connection.execute(sa.select(latency_hourly.c.model)).scalars().all() == ["gpt-4o-mini"]


def test_row_seen_before_what_is_stored_changes_nothing(write, stored, engine: sa.Engine) -> None:
    write(call(output_tokens=5), seen=NOW + SECOND)
    older = [call(output_tokens=1), call(occurred_at=NOON + SECOND)]
    for event in older:
        assert counts(write(event, seen=NOW)) == (0, 0, 1)
    assert stored("occurred_at", "output_tokens") == [(NOON, 5)]
    assert differences(engine) == []


def test_log_never_changes_what_is_stored(write, stored) -> None:
    write(CALL)
    assert counts(write(call(output_tokens=5), seen=NOW + DAY, corrects=False)) == (0, 0, 1)
    assert stored("output_tokens") == [(2,)]


@pytest.mark.parametrize(("corrects", "tokens"), [(True, 9), (False, 2)], ids=["the last counts", "the first counts"])
def test_of_a_row_that_a_batch_holds_twice(corrects: bool, tokens: int, write, stored) -> None:
    assert counts(write(CALL, call(output_tokens=9), corrects=corrects)) == (1, 0, 1)
    assert stored("output_tokens") == [(tokens,)]


def test_tenants_do_not_correct_each_other(write, stored) -> None:
    write(CALL)
    assert counts(write(call(output_tokens=5), seen=NOW + SECOND, tenant="u")) == (1, 0, 0)
    assert stored("tenant_id", "output_tokens") == [("t", 2), ("u", 5)]


def test_after_two_conflicts_the_rest_is_staged_at_once(engine: sa.Engine, stored) -> None:
    writer = Writer(Target(engine, "t"))
    batches = [Batch(events=[call(event_id=f"{n}-{k}") for k in range(3)]) for n in range(4)]
    for batch in batches:
        assert writer.write(batch, ORIGIN, NOW).inserted == 3
    again = [Batch(events=[*batch.events, call(event_id=f"new-{n}")]) for n, batch in enumerate(batches)]
    assert [counts(writer.write(batch, ORIGIN, NOW)) for batch in again] == [(1, 0, 3)] * 4
    assert len(stored("event_id")) == 16
    assert differences(engine) == []


def test_corrections_of_one_source_wait_for_each_other(write, stored, engine: sa.Engine, database_url: str) -> None:
    def loaded_meanwhile(_: sa.Connection) -> None:
        later.append(pool.submit(write, call(occurred_at=NOON + SECOND), seen=NOW + SECOND))
        assert are_waiting(database_url, 1)

    later: list[Future[Loaded]] = []
    with ThreadPoolExecutor(1) as pool:
        writer = Writer(Target(engine, "t"), corrects=True)
        writer.write(Batch(events=[CALL]), ORIGIN, NOW, loaded_meanwhile)
        assert counts(later[0].result()) == (0, 1, 0)
    assert stored("event_id", "occurred_at") == [("e", NOON + SECOND)]
    assert differences(engine) == []


@pytest.mark.parametrize("corrects", [False, True], ids=["logs", "corrections"])
def test_four_loaders_in_opposite_orders_leave_what_one_loader_leaves(
    corrects: bool, database_url: str, engine: sa.Engine
) -> None:
    impatient = sa.create_engine(database_url, connect_args={"options": "-c timezone=UTC -c deadlock_timeout=20ms"})
    at_once = Barrier(4, timeout=60)

    def load(number: int) -> None:
        for start in range(0, 1200, 300):
            events = _told(range(start, start + 300), number if corrects else 0)
            at_once.wait()
            writer = Writer(Target(impatient, "four"), corrects=corrects)  # a new one: it has no conflict behind it
            writer.write(Batch(events=events[:: -1 if number % 2 else 1]), ORIGIN, NOW + number * SECOND)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(load, range(4)))
    impatient.dispose()
    one = Writer(Target(engine, "one"), corrects=corrects)
    for number in range(4):
        one.write(Batch(events=_told(range(1200), number if corrects else 0)), ORIGIN, NOW + number * SECOND)
    assert tables.stored(engine, "four") == tables.stored(engine, "one")
    assert len(tables.stored(engine, "four")["usage_events"]) == 1200
    assert differences(engine) == []


def _told(numbers: range, version: int) -> list[UsageEvent]:
    """Return what a source tells of its events in one version: each later, larger, and of another model."""
    return [
        call(
            event_id=f"{number:05}", occurred_at=NOON + number * SECOND + version * HOUR, output_tokens=version,
            model=("gpt-4o", "gpt-4o-mini")[version % 2], latency_ms=100.0 + version, user_id=f"u{number % 7}",
        )
        for number in numbers
    ]  # fmt: skip


def test_rejects_keep_their_beginning_and_say_when_it_is_not_all(engine: sa.Engine) -> None:
    short, long = b'{"a":"\x00\xff"}', b"x" * 70_000
    rejects = [Reject(1, "line", "line: bad \ud83d", short), Reject(2, "f" * 300, "y" * 5000, long, identity="i")]
    loaded = Writer(Target(engine, "t")).write(Batch(rejects=rejects), ORIGIN, NOW)
    assert (loaded.read, loaded.rejected, loaded.first_reject) == (2, 2, "row 1: line: bad \ud83d")
    with engine.connect() as connection:
        rows = connection.execute(sa.select(usage_rejects).order_by(usage_rejects.c.position)).all()
    assert [(row.raw, row.cut) for row in rows] == [
        ('{"a":"\\0\N{REPLACEMENT CHARACTER}"}', True),
        ("x" * 65_536, True),
    ]
    assert [(len(row.field), len(row.reason)) for row in rows] == [(4, 11), (200, 2000)]
    assert (rows[0].place, rows[0].kind, rows[1].reject_id) == ("page", "langfuse", "i")


def test_failure_of_what_the_caller_remembers_leaves_nothing(engine: sa.Engine, stored) -> None:
    def forget(connection: sa.Connection) -> None:
        connection.execute(sa.text("SELECT 1 / 0"))

    writer = Writer(Target(engine, "t"))
    with pytest.raises(sa.exc.DataError):
        writer.write(Batch(events=[CALL]), ORIGIN, NOW, forget)
    assert stored("event_id") == []
    assert differences(engine) == []
    assert writer.write(Batch(events=[CALL]), ORIGIN, NOW).inserted == 1


def _version(number: int, version: int) -> UsageEvent:
    draw = Random(number * 31 + version)  # noqa: S311  no secret
    return call(
        event_id=str(number), occurred_at=NOON + timedelta(minutes=draw.choice([0, 30, 90]), hours=number),
        model=draw.choice(["gpt-4o", "mystery"]), output_tokens=draw.choice([None, 1, 50]),
        latency_ms=draw.choice([None, 5.0, 80.0]), cache_hit=draw.choice([None, True, False]),
    )  # fmt: skip


@pytest.mark.uncounted
@hypothesis_settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(pages=st.lists(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 3)), max_size=6), min_size=1, max_size=6))
def test_whatever_order_versions_come_in_the_last_one_seen_is_stored(
    pages: list[list[tuple[int, int]]], write, engine: sa.Engine
) -> None:
    tenant, last = f"t{id(pages)}-{len(pages)}-{hash(repr(pages))}", {}
    for minute, page in enumerate(pages):
        write(*(_version(*item) for item in page), seen=NOW + minute * SECOND, tenant=tenant)
        last |= dict(page)
    with engine.connect() as connection:
        rows = connection.execute(sa.select(usage_events).where(usage_events.c.tenant_id == tenant)).all()
    expected = {str(number): _version(number, version) for number, version in last.items()}
    assert {row.event_id: (row.occurred_at, row.model, row.output_tokens) for row in rows} == {
        name: (event.occurred_at, event.model, event.output_tokens) for name, event in expected.items()
    }
    assert len(rows) == len(expected)
    assert differences(engine) == []
