"""Additive roll-ups against the same events counted anew: by hand, and for any events that hypothesis can think of."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from math import exp
from typing import Any

import hypothesis.strategies as st
import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings

from ops.rollup import LOG_GAMMA, Deltas, latency_bin
from ops.usage import DAY_MS, MAX_TOKENS, Status, UsageEvent
from tasks.stores import rollups, usage
from tasks.stores.rollups import Comparison, Difference
from tasks.stores.tables import latency_hourly, usage_hourly
from tasks.stores.usage import Price, Priced
from tests.loaded_days import DAY, HOUR, MINUTE, NOW, TENANT, TODAY, event, execute, scalar, write
from tests.recount import differences
from tests.waiting import are_waiting

MOMENT = timedelta(microseconds=1)
ON_POSTGRES = settings(
    max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


def deltas(*priced: Priced, sign: int = 1) -> Deltas:
    found = Deltas()
    found.add([item for item, _ in priced], [price.cost_usd for _, price in priced], sign)
    return found


def add(engine: sa.Engine, found: Deltas, tenant: str = TENANT) -> None:
    with engine.begin() as connection:
        rollups.add(connection, tenant, found)


def drop_empty(engine: sa.Engine, *hours: datetime, tenant: str = TENANT) -> None:
    with engine.begin() as connection:
        rollups.drop_empty(connection, tenant, hours)


def compare(engine: sa.Engine, day: datetime = TODAY, tenant: str = TENANT) -> tuple[Comparison, ...]:
    with engine.connect() as connection:
        return rollups.compare_day(connection, tenant, day)


def hours(engine: sa.Engine) -> list[Any]:
    with engine.connect() as connection:
        return list(connection.execute(sa.select(usage_hourly).order_by(*usage_hourly.c)))


def histogram(engine: sa.Engine) -> list[Any]:
    with engine.connect() as connection:
        return list(connection.execute(sa.select(latency_hourly).order_by(*latency_hourly.c)))


def bins(engine: sa.Engine) -> dict[int, int]:
    with engine.connect() as connection:
        return {row.bin: row.n for row in connection.execute(sa.select(latency_hourly))}


def test_add_adds_to_what_is_there_and_makes_what_is_not(engine: sa.Engine) -> None:
    one = (event(NOW, input_tokens=10, latency_ms=100.0), Price(Decimal("0.25")))
    two = (event(NOW + MINUTE, input_tokens=5, latency_ms=100.0), Price(Decimal("0.5")))
    other = (event(NOW + HOUR, input_tokens=1, latency_ms=200.0), Price())
    add(engine, deltas(one))
    add(engine, deltas(two, other))
    first, second = hours(engine)
    assert (first.hour, first.events, first.input_tokens, first.cost_usd) == (NOW, 1 + 1, 10 + 5, Decimal("0.75"))
    assert (second.hour, second.events, second.unpriced_events, second.cost_usd) == (NOW + HOUR, 1, 1, 0)
    assert bins(engine) == {latency_bin(100): 2, latency_bin(200): 1}


def test_add_takes_unknown_names_for_the_same_name(engine: sa.Engine) -> None:
    nameless = dict.fromkeys(("service", "release", "feature", "team_id"))
    for _ in range(2):
        add(engine, deltas((event(NOW, **nameless), Price())))
    [row] = hours(engine)
    assert (row.events, row.service, row.team_id) == (2, None, None)


def test_add_of_nothing_touches_nothing(engine: sa.Engine) -> None:
    add(engine, Deltas())
    call = (event(NOW), Price())
    both = deltas(call)
    both.add([call[0]], [None], sign=-1)  # a bin of 0 is left out; an hour is not, for its key may be there
    add(engine, both)
    assert (len(hours(engine)), bins(engine)) == (1, {})


def test_add_keeps_tenants_apart(engine: sa.Engine) -> None:
    call = deltas((event(NOW), Price()))
    add(engine, call)
    add(engine, call, "other")
    assert [(row.tenant_id, row.events) for row in hours(engine)] == [(TENANT, 1), ("other", 1)]


def test_drop_empty_deletes_what_a_subtraction_emptied_in_those_hours_alone(engine: sa.Engine) -> None:
    calls = [(event(NOW, model="a"), Price()), (event(NOW, model="b"), Price()), (event(NOW + HOUR), Price())]
    for tenant in (TENANT, "other"):
        add(engine, deltas(*calls), tenant)
        add(engine, deltas(calls[0], calls[2], sign=-1), tenant)
    drop_empty(engine, NOW)
    left = [(row.tenant_id, row.hour, row.model, row.events) for row in hours(engine)]
    later = NOW + HOUR
    assert [row for row in left if row[0] == TENANT] == [(TENANT, NOW, "b", 1), (TENANT, later, "gpt-4o-mini", 0)]
    assert len([row for row in left if row[0] == "other"]) == 3
    assert scalar(engine, "SELECT count(*) FROM watchkeeper.latency_hourly WHERE tenant_id = :t", t=TENANT) == 2


_WORDS = st.sampled_from(["a", "b", "Zoë", "a b", "'\\", "日本"])
_MAYBE_WORDS = st.none() | _WORDS
_TOKENS = st.none() | st.sampled_from([0, 1, 7, MAX_TOKENS]) | st.integers(0, 10_000)
# The edges of bins, which a logarithm more or less exact would put into the bin beside
_EDGES = st.integers(-345, 914).map(lambda spot: min(exp(spot * LOG_GAMMA), DAY_MS))
_LATENCIES = st.none() | st.floats(0, DAY_MS) | _EDGES | st.sampled_from([0.0, 5e-324, 0.001, 1.0, DAY_MS])
_MONEY = st.none() | st.decimals(0, 999_999, places=12) | st.sampled_from([Decimal(0), Decimal("1e-12")])
_REPORTED = _MONEY | st.decimals(0, 10, places=20)  # more decimals than the table holds
_TIMES = st.timedeltas(timedelta(0), DAY - MOMENT).map(TODAY.__add__) | st.sampled_from(
    [TODAY, TODAY + HOUR - MOMENT, TODAY + HOUR, TODAY + DAY - MOMENT]
)
_EVENTS = st.builds(
    UsageEvent, event_id=st.uuids().map(str), occurred_at=_TIMES, vendor=_WORDS, model=_WORDS, operation=_WORDS,
    status=st.sampled_from(Status), service=_MAYBE_WORDS, release=_MAYBE_WORDS, feature=_MAYBE_WORDS,
    team_id=_MAYBE_WORDS, input_tokens=_TOKENS, cached_tokens=_TOKENS, cache_write_tokens=_TOKENS,
    output_tokens=_TOKENS, latency_ms=_LATENCIES, cache_hit=st.none() | st.booleans(), reported_cost_usd=_REPORTED,
    user_id=_MAYBE_WORDS,
)  # fmt: skip
_PRICED = st.tuples(_EVENTS, _MONEY.map(Price))


def insert(engine: sa.Engine, priced: list[Priced]) -> None:
    usage.ensure_partitions(engine, {item.occurred_at.date() for item, _ in priced})
    with engine.begin() as connection:
        assert usage.copy_new(connection, usage.pack(connection, TENANT, "log", priced))
        rollups.add(connection, TENANT, deltas(*priced))


def clear(engine: sa.Engine) -> None:
    execute(
        engine,
        "TRUNCATE watchkeeper.usage_events, watchkeeper.usage_hourly, watchkeeper.latency_hourly, "
        "watchkeeper.usage_daily_users",
    )


@pytest.mark.uncounted
@ON_POSTGRES
@given(batches=st.lists(st.lists(_PRICED, max_size=12), max_size=4))
def test_sums_of_any_batches_equal_what_sql_counts(engine: sa.Engine, batches: list[list[Priced]]) -> None:
    clear(engine)
    for batch in batches:
        insert(engine, batch)
    found = compare(engine)
    assert [table.differing for table in found] == [0, 0, 0], found
    assert found[0].keys == len({_hour_key(item) for batch in batches for item, _ in batch})
    assert differences(engine) == []


@pytest.mark.uncounted
@ON_POSTGRES
@given(kept=st.lists(_PRICED, max_size=8), gone=st.lists(_PRICED, max_size=8))
def test_sums_equal_what_sql_counts_after_a_subtraction_too(
    engine: sa.Engine, kept: list[Priced], gone: list[Priced]
) -> None:
    clear(engine)
    insert(engine, [*kept, *gone])
    names = [item.event_id for item, _ in gone]
    execute(engine, "DELETE FROM watchkeeper.usage_events WHERE event_id = ANY(:names)", names=names)
    add(engine, deltas(*gone, sign=-1))
    drop_empty(engine, *(TODAY + number * HOUR for number in range(24)))
    assert [(table.differing, table.first) for table in compare(engine)] == [(0, ())] * 3
    assert differences(engine) == []


def _hour_key(item: UsageEvent) -> tuple[object, ...]:
    names = (item.vendor, item.model, item.operation, item.service, item.release, item.feature, item.team_id)
    return item.occurred_at.hour, *names


@pytest.mark.uncounted
@given(latency=_LATENCIES.filter(lambda value: value is not None))
@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_bin_of_a_latency_is_the_same_in_python_and_in_sql(one: sa.Connection, latency: float) -> None:
    query = sa.text("SELECT watchkeeper.latency_bin(CAST(:latency AS float8))")
    assert one.execute(query, {"latency": latency}).scalar_one() == latency_bin(latency)


@pytest.fixture
def one(engine: sa.Engine) -> Iterator[sa.Connection]:
    """One connection for all the examples of a test."""
    with engine.connect() as connection:
        yield connection


def tamper(engine: sa.Engine, change: str, table: str = "usage_hourly") -> None:
    assert execute(engine, f"UPDATE watchkeeper.{table} SET {change}") > 0  # noqa: S608  the tests' own constants


def test_comparison_of_a_sound_day_finds_every_key_and_no_difference(engine: sa.Engine) -> None:
    write(
        engine,
        [event(NOW, user_id="u"), event(NOW + MINUTE), event(NOW, model="gpt-4o"), event(NOW + HOUR, latency_ms=None)],
    )
    assert compare(engine) == (
        Comparison("usage_hourly", 3), Comparison("latency_hourly", 2), Comparison("usage_daily_users", 1)
    )  # fmt: skip


@pytest.mark.parametrize(
    "column", [c.name for c in usage_hourly.c if c.name in {*rollups.HOUR_SUMS}], ids=lambda name: f"in {name}"
)
def test_comparison_sees_one_more(engine: sa.Engine, column: str) -> None:
    write(engine, [event(NOW, cached_tokens=3)])
    tamper(engine, f"{column} = {column} + 1")
    [found, bins_, _] = compare(engine)
    [difference] = found.first
    assert (found.keys, found.differing, bins_.differing) == (1, 1, 0)
    assert difference.rolled_up is not None
    assert difference.counted is not None
    wrong = {name for name, amount in difference.rolled_up.items() if amount != difference.counted[name]}
    assert wrong == {column}
    assert difference.rolled_up[column] == difference.counted[column] + 1


def test_comparison_sees_a_latency_counted_twice(engine: sa.Engine) -> None:
    write(engine, [event(NOW, latency_ms=100.0)])
    tamper(engine, "n = 2", "latency_hourly")
    [_, found, _] = compare(engine)
    key = {
        "hour": NOW, "vendor": "openai", "model": "gpt-4o-mini", "service": "assistant", "release": None,
        "bin": latency_bin(100),
    }  # fmt: skip
    assert found.first == (Difference("latency_hourly", key, {"n": Decimal(2)}, {"n": Decimal(1)}),)


def test_comparison_sees_a_key_that_only_one_side_has(engine: sa.Engine) -> None:
    write(engine, [event(NOW, model="lost"), event(NOW, model="kept")])
    execute(engine, "DELETE FROM watchkeeper.usage_hourly WHERE model = 'lost'")
    add(engine, deltas((event(NOW, model="orphan", latency_ms=None), Price())))
    [found, *_] = compare(engine)
    sides = {d.key["model"]: (d.rolled_up is None, d.counted is None) for d in found.first}
    assert (found.keys, found.differing) == (3, 2)
    assert sides == {"lost": (True, False), "orphan": (False, True)}


def test_comparison_shows_the_first_ten_in_the_order_of_their_hours(engine: sa.Engine) -> None:
    write(engine, [event(TODAY + number * HOUR) for number in range(24)])
    tamper(engine, "events = 2")
    [found, *_] = compare(engine)
    assert (found.keys, found.differing) == (24, 24)
    assert [difference.key["hour"] for difference in found.first] == [TODAY + number * HOUR for number in range(10)]


def test_comparison_looks_at_one_day_of_one_tenant(engine: sa.Engine) -> None:
    write(engine, [event(TODAY - MOMENT), event(TODAY), event(TODAY + DAY - MOMENT), event(TODAY + DAY)])
    write(engine, [event(NOW)], "other")
    execute(
        engine, "UPDATE watchkeeper.usage_hourly SET events = 9 WHERE tenant_id = 'other' OR hour < :today", today=TODAY
    )
    assert [(table.keys, table.differing) for table in compare(engine)] == [(2, 0), (2, 0), (0, 0)]
    assert compare(engine, TODAY - DAY)[0].differing == 1


def test_comparison_of_a_day_without_anything_finds_nothing(engine: sa.Engine) -> None:
    assert compare(engine) == rollups.nothing_compared() == (
        Comparison("usage_hourly"), Comparison("latency_hourly"), Comparison("usage_daily_users")
    )  # fmt: skip


def test_comparisons_of_days_add_up_and_show_no_more_than_ten() -> None:
    one = Difference("usage_hourly", {"hour": NOW}, None, None)
    seven = Comparison("usage_hourly", 100, 7, (one,) * 7)
    assert seven.plus(seven) == Comparison("usage_hourly", 100 + 100, 7 + 7, (one,) * 10)


def replace_day(engine: sa.Engine, day: datetime = TODAY, tenant: str = TENANT) -> None:
    with engine.begin() as connection:
        rollups.replace_day(connection, tenant, day)


@ON_POSTGRES
@given(batch=st.lists(_PRICED, min_size=1, max_size=12))
def test_replaced_day_is_what_loading_would_have_made(engine: sa.Engine, batch: list[Priced]) -> None:
    clear(engine)
    insert(engine, batch)
    loaded, loaded_bins = hours(engine), histogram(engine)
    tamper(engine, "events = 77, cost_usd = 1, model = model || ' no more'")
    execute(engine, "DELETE FROM watchkeeper.latency_hourly")
    replace_day(engine)
    assert (hours(engine), histogram(engine)) == (loaded, loaded_bins)


def test_replace_takes_away_the_hours_that_have_no_events(engine: sa.Engine) -> None:
    write(engine, [event(NOW)])
    add(engine, deltas((event(NOW + HOUR), Price()), (event(NOW + DAY), Price())))
    replace_day(engine)
    assert [row.hour for row in hours(engine)] == [NOW, NOW + DAY]  # the other day was not asked for


def test_replace_leaves_other_tenants_and_days(engine: sa.Engine) -> None:
    for tenant in (TENANT, "other"):
        write(engine, [event(NOW), event(NOW - DAY)], tenant)
    tamper(engine, "events = 5")
    replace_day(engine)
    found = {(row.tenant_id, row.hour): row.events for row in hours(engine)}
    assert found == {(TENANT, NOW): 1, (TENANT, NOW - DAY): 5, ("other", NOW): 5, ("other", NOW - DAY): 5}


def test_replace_waits_for_a_loader_that_has_added_and_counts_its_events(engine: sa.Engine, database_url: str) -> None:
    write(engine, [event(NOW)])
    tamper(engine, "events = 99")
    under_way = (event(NOW, event_id="under way"), Price())
    with ThreadPoolExecutor(1) as pool:
        with engine.begin() as loader:
            usage.copy_new(loader, usage.pack(loader, TENANT, "log", [under_way]))
            rollups.add(loader, TENANT, deltas(under_way))
            replaced = pool.submit(replace_day, engine)
            assert are_waiting(database_url, 1)
        replaced.result()
    assert [row.events for row in hours(engine)] == [2]
    assert differences(engine) == []


def test_loader_waits_for_a_replacement_and_adds_what_that_did_not_see(engine: sa.Engine, database_url: str) -> None:
    write(engine, [event(NOW)])
    tamper(engine, "events = 99")
    with ThreadPoolExecutor(1) as pool:
        with engine.begin() as connection:
            rollups.replace_day(connection, TENANT, TODAY)
            written = pool.submit(write, engine, [event(NOW), event(NOW)])
            assert are_waiting(database_url, 1)
        assert written.result().inserted == 2
    assert [row.events for row in hours(engine)] == [3]
    assert differences(engine) == []


def test_days_with_rows_are_those_of_either_rollup_from_the_floor_on(engine: sa.Engine) -> None:
    add(engine, deltas((event(NOW, latency_ms=None), Price()), (event(TODAY - DAY - MOMENT, latency_ms=None), Price())))
    execute(
        engine, "INSERT INTO watchkeeper.latency_hourly VALUES (:t, :hour, 'v', 'm', NULL, NULL, 1, 1)",
        t=TENANT, hour=NOW + DAY,
    )  # fmt: skip
    with engine.connect() as connection:
        found = rollups.days_with_rows(connection, TENANT, None)
        assert found == {TODAY - 2 * DAY, TODAY, TODAY + DAY}
        assert rollups.days_with_rows(connection, TENANT, TODAY) == {TODAY, TODAY + DAY}
        assert rollups.days_with_rows(connection, "other", None) == set()
    assert all(day.tzinfo is not None and day == day.astimezone(UTC) for day in found)
