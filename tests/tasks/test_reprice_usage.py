"""Prices anew: to the last digit what ops says, with their roll-ups, exactly once, while loaders write, after kills."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from random import Random
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ops.cost.pricing import RateCard, cost
from ops.errors import InvalidValue
from ops.money import stored
from ops.usage import MAX_TOKENS, UsageEvent
from ops.window import Window
from tasks.price_usage import Pricer
from tasks.reprice_usage import Repriced, reprice_day, reprice_usage
from tasks.settings import Settings
from tasks.sources.interface import Batch
from tasks.stores import retention
from tasks.stores.repricing import Change, Day
from tasks.stores.tables import usage_events
from tasks.write_usage import Target, Writer
from tests.loaded_days import DAY, HOUR, MINUTE, NOW, ORIGIN, TENANT, TODAY, event, execute, scalar, write
from tests.recount import differences
from tests.stored import stored as everything
from tests.waiting import are_waiting

DEAL = {"contract": "deal", "vendor": "openai", "model": "gpt-4o-mini", "input": 1, "output": 2}
SPAN = Window(TODAY - 2 * DAY, TODAY + DAY)


def with_prices(*prices: dict[str, Any]) -> Settings:
    return Settings(prices=prices)  # type: ignore[arg-type]  pydantic makes them


def reprice(engine: sa.Engine, *prices: dict[str, Any], span: Window = SPAN, **options: Any) -> Repriced:
    return reprice_usage(engine, with_prices(*prices), span, lambda *_: None, **options)


def costs(engine: sa.Engine) -> dict[str, tuple[Decimal | None, str | None, str | None]]:
    event = usage_events.c
    with engine.connect() as connection:
        rows = connection.execute(sa.select(event.event_id, event.cost_usd, event.price_source, event.price_snapshot))
        return {row[0]: tuple(row[1:]) for row in rows}


@pytest.fixture(autouse=True)
def _place(settings: Settings) -> None:
    """Keep the machine's settings out."""


TIE_OUTS: dict[str, tuple[dict[str, Any], str]] = {
    "gpt-4o, cached at half": ({"model": "gpt-4o-2024-08-06", "input_tokens": 2006, "cached_tokens": 1920,
                                "output_tokens": 300}, "0.005615"),
    "claude, cache read and written": ({"vendor": "anthropic", "model": "claude-sonnet-4-5", "input_tokens": 32_120,
                                        "cached_tokens": 30_000, "cache_write_tokens": 2_000, "output_tokens": 340},
                                       "0.02196"),
    "o3 before": ({"model": "o3", "occurred_at": datetime(2025, 6, 1, 12, tzinfo=UTC), "input_tokens": 10**6,
                   "output_tokens": 10**6}, "50"),
    "o3 after": ({"model": "o3", "occurred_at": datetime(2025, 6, 20, 12, tzinfo=UTC), "input_tokens": 10**6,
                  "output_tokens": 10**6}, "10"),
    "an embedding": ({"model": "text-embedding-3-small", "operation": "embedding", "input_tokens": 9,
                      "output_tokens": None}, "1.8e-7"),
    "gemini on its cliff": ({"vendor": "google", "model": "gemini-2.5-pro", "input_tokens": 200_000,
                             "output_tokens": 1_000}, "0.260"),
    "gemini over its cliff": ({"vendor": "google", "model": "gemini-2.5-pro", "input_tokens": 200_001,
                               "output_tokens": 1_000}, "0.5150025"),  # 0.515 and one token more
    "deepseek at peak": ({"vendor": "deepseek", "model": "deepseek-chat", "input_tokens": 10**6, "output_tokens": 0,
                          "occurred_at": datetime(2025, 7, 1, 12, tzinfo=UTC)}, "0.27"),
    "deepseek off peak": ({"vendor": "deepseek", "model": "deepseek-chat", "input_tokens": 10**6, "output_tokens": 0,
                           "occurred_at": datetime(2025, 7, 1, 20, tzinfo=UTC)}, "0.135"),
    "batch": ({"model": "gpt-4o-mini", "tier": "batch", "input_tokens": 10**6, "output_tokens": 0,
               "occurred_at": datetime(2026, 11, 2, tzinfo=UTC)}, "0.075"),
    "an answer of the gateway's cache": ({"cache_hit": True, "input_tokens": 10**6, "output_tokens": 10**6}, "0"),
}  # fmt: skip


def test_tie_outs_hold_through_the_load_and_through_a_reprice(engine: sa.Engine) -> None:
    events = [event(NOW - HOUR, **{"event_id": name, **fields}) for name, (fields, _) in TIE_OUTS.items()]
    write(engine, events)
    expected = {name: Decimal(amount) for name, (_, amount) in TIE_OUTS.items()}
    loaded = costs(engine)
    assert {name: found[0] for name, found in loaded.items()} == expected
    ever = Window(datetime(2025, 1, 1, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC))
    assert reprice(engine, span=ever).total == Change()
    execute(engine, "UPDATE watchkeeper.usage_events SET cost_usd = NULL, price_source = NULL, price_snapshot = NULL")
    execute(engine, "UPDATE watchkeeper.usage_hourly SET cost_usd = 0, unpriced_events = events")
    assert reprice(engine, span=ever).total.became_priced == len(expected)
    assert costs(engine) == loaded
    assert differences(engine) == []


MODELS = [
    ("openai", "gpt-4o"), ("google", "gemini-2.5-pro"), ("deepseek", "deepseek-chat"), ("perplexity", "sonar"),
    ("anthropic", "claude-sonnet-4-5"), ("openai", "mystery"), ("openai", "text-embedding-3-small"),
]  # fmt: skip


def random_event(draw: Random) -> UsageEvent:
    vendor, model = draw.choice(MODELS)
    total = draw.choice([None, 0, draw.randrange(400_000), 200_000, 200_001])
    cached = draw.choice([None, 0, draw.randrange((total or 0) // 2 + 1)]) if total else None
    written = draw.choice([None, draw.randrange((total or 0) // 2 + 1)]) if total else None
    hour_long = draw.choice([None, draw.randrange(written + 1)]) if written else None
    return event(
        SPAN.start + timedelta(seconds=draw.randrange(3 * 86_400)), vendor=vendor, model=model,
        tier=draw.choice([None, None, "batch", "priority"]), input_tokens=total, cached_tokens=cached,
        cache_write_tokens=written, cache_write_1h_tokens=hour_long,
        output_tokens=draw.choice([None, 0, draw.randrange(5_000)]),
        cache_hit=draw.choice([None, False, True]), user_id=draw.choice([None, "ann", "bob"]),
        team_id=draw.choice([None, "a"]), reported_cost_usd=draw.choice([None, Decimal("0.01")]),
    )  # fmt: skip


@pytest.mark.parametrize("seed", range(3))
def test_reprice_leaves_what_a_load_with_these_prices_would_have(engine: sa.Engine, seed: int) -> None:
    events = [random_event(Random(1000 * seed + number)) for number in range(150)]  # noqa: S311  no secret
    deal = {"contract": "deal", "vendor": "openai", "model": "*", "input": "1.23456789", "output": 2, "cached": "0.1"}
    batch = {"contract": "batch", "vendor": "google", "model": "gemini*", "tier": "batch", "input": 1, "output": 1,
             "per_thousand_requests": "0.7", "from": SPAN.start.date() + DAY}  # fmt: skip
    write(engine, events)
    write(engine, events, "as if loaded so", overrides=with_prices(deal, batch).overrides)
    done = reprice(engine, deal, batch)
    assert (done.days, done.events) == (3, 150)
    assert everything(engine, TENANT) == everything(engine, "as if loaded so")
    assert differences(engine) == []
    assert reprice(engine, deal, batch).total == Change()
    back = reprice(engine)  # without the contracts: what was there before
    assert back.total == _backwards(done.total)
    write(engine, events, "as the book has it")
    assert everything(engine, TENANT) == everything(engine, "as the book has it")


def _backwards(change: Change) -> Change:
    return Change(change.events, change.after_usd, change.before_usd, change.became_unpriced, change.became_priced)


COUNTS = st.none() | st.sampled_from([0, 1, MAX_TOKENS]) | st.integers(0, 10**6)
RATES = st.decimals(0, "0.01", places=20) | st.sampled_from([Decimal(0), Decimal("2.5e-6"), Decimal("1.8e-13")])


@pytest.mark.uncounted
@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(counts=st.tuples(*[COUNTS] * 5), rates=st.tuples(*[RATES] * 6), hit=st.none() | st.booleans())
def test_cost_of_any_call_is_the_same_in_python_and_in_sql(
    one: sa.Connection, counts: tuple[int | None, ...], rates: tuple[Decimal, ...], hit: bool | None
) -> None:
    total, *rest, made = counts
    cached, written, hour_long = _parts_of(total, *rest)
    call = event(NOW, input_tokens=total, cached_tokens=cached, cache_write_tokens=written,
                 cache_write_1h_tokens=hour_long, output_tokens=made, cache_hit=hit)  # fmt: skip
    names = ("input_usd", "cached_usd", "cache_write_usd", "cache_write_1h_usd", "output_usd", "request_usd")
    card = RateCard(
        vendor=call.vendor, model=call.model, tier=None, valid_from=TODAY, valid_to=TODAY + DAY,
        from_input_tokens=0, to_input_tokens=None, **dict(zip(names, rates, strict=True)),
    )  # fmt: skip
    found = one.execute(
        sa.text("SELECT watchkeeper.call_cost(CAST(:hit AS boolean), :t, :c, :w, :h, :o, :i, :ci, :wi, :hi, :oi, :r)"),
        {"hit": hit, "t": total, "c": cached, "w": written, "h": hour_long, "o": made,
         **dict(zip(("i", "ci", "wi", "hi", "oi", "r"), rates, strict=True))},
    ).scalar_one()  # fmt: skip
    exact = cost(call, [card])
    assert found == (None if exact is None else stored(exact))


def _parts_of(total: int | None, *parts: int | None) -> Iterator[int | None]:
    """Cut the parts to what a call can have: cached and written within the input, the hour-long within the written."""
    cached, written, hour_long = parts
    cached = None if cached is None else min(cached, total or 0)
    written = None if written is None else min(written, (total or 0) - (cached or 0))
    yield from (cached, written, None if hour_long is None else min(hour_long, written or 0))


@pytest.fixture
def one(engine: sa.Engine) -> Iterator[sa.Connection]:
    """One connection for all the examples of a test."""
    with engine.connect() as connection:
        yield connection


def test_reprice_says_by_model_what_changed(engine: sa.Engine) -> None:
    write(engine, [event(TODAY + HOUR, input_tokens=10**6, output_tokens=0), event(TODAY, model="mystery"),
                   event(TODAY, model="gpt-4o")])  # fmt: skip
    house = {**DEAL, "model": "mystery"}
    done = reprice(engine, DEAL, house)
    assert done.models == {
        "openai/gpt-4o-mini": Change(1, Decimal("0.15"), Decimal(1)),
        "openai/mystery": Change(1, Decimal(0), Decimal(10 * 1 + 1 * 2) / 10**6, 1, 0),
    }
    assert done.as_json()["changed"] == {
        "events": 2, "before_usd": Decimal("0.15"), "after_usd": Decimal("1.000012"), "became_priced": 1,
        "became_unpriced": 0, "change_usd": Decimal("0.850012"),
    }  # fmt: skip
    assert reprice(engine, DEAL).models["openai/mystery"] == Change(1, Decimal("0.000012"), Decimal(0), 0, 1)
    assert scalar(engine, "SELECT sum(unpriced_events) FROM watchkeeper.usage_hourly") == 1
    assert differences(engine) == []


def test_dry_run_says_the_same_and_changes_nothing(engine: sa.Engine) -> None:
    write(engine, [event(TODAY + HOUR), event(TODAY, model="mystery")])
    before = everything(engine, TENANT)
    would = reprice(engine, DEAL, dry_run=True)
    assert everything(engine, TENANT) == before
    did = reprice(engine, DEAL)
    assert (would.models, would.events, would.dry_run) == (did.models, did.events, True)
    assert did.total.events == 1


def test_price_that_stays_the_same_by_a_contract_is_named_so_and_costs_as_before(engine: sa.Engine) -> None:
    write(engine, [event(TODAY, event_id="e")])
    listed = costs(engine)["e"][0]
    same = {**DEAL, "input": "0.15", "output": "0.6"}
    assert reprice(engine, same).total == Change(1, listed, listed)  # type: ignore[arg-type]
    assert costs(engine)["e"][:2] == (listed, "contract:deal")
    assert differences(engine) == []


@pytest.mark.parametrize("name", ["gpt-4o-mini", "openai/gpt-4o-mini"])
def test_reprice_of_one_model_leaves_the_others(engine: sa.Engine, name: str) -> None:
    write(engine, [event(TODAY), event(TODAY, model="gpt-4o")])
    every = {**DEAL, "model": "*"}
    done = reprice(engine, every, model=name)
    assert (done.events, list(done.models)) == (1, ["openai/gpt-4o-mini"])
    assert list(reprice(engine, every).models) == ["openai/gpt-4o"]


def test_reprice_keeps_to_its_days_and_to_its_tenant(engine: sa.Engine) -> None:
    for tenant in (TENANT, "other"):
        write(engine, [event(TODAY - number * DAY, event_id=f"{tenant}{number}") for number in range(3)], tenant)
    reprice(engine, DEAL, span=Window(TODAY - DAY, TODAY))
    repriced = [name for name, found in costs(engine).items() if found[1] == "contract:deal"]
    assert repriced == [f"{TENANT}1"]


def test_reprice_refuses_days_that_retention_dropped(engine: sa.Engine) -> None:
    write(engine, [event(TODAY - DAY), event(TODAY)])
    with engine.begin() as connection:
        retention.drop_day(connection, TENANT, TODAY - DAY)
    with pytest.raises(InvalidValue, match=r"--from: .* at or after 2026-03-05"):
        reprice(engine, DEAL)
    dropped = Day(TENANT, TODAY - DAY)
    assert reprice_day(engine, Pricer(engine, with_prices(DEAL).overrides), dropped) == ([], {})
    assert reprice(engine, DEAL, span=Window(TODAY, TODAY + DAY)).total.events == 1


def test_reprice_that_is_killed_has_repriced_whole_days_and_does_the_rest_when_run_again(
    engine: sa.Engine, database_url: str
) -> None:
    days = [TODAY - 2 * DAY, TODAY - DAY, TODAY]
    write(engine, [event(day + at) for day in days for at in (HOUR, 9 * HOUR)])
    loader = engine.connect()

    def begin_to_load(number: int, total: int, day: datetime) -> None:
        if day == days[1]:  # from here on a loader holds an hour of the day, and the reprice has to wait
            loader.execute(sa.text("UPDATE watchkeeper.usage_hourly SET events = events WHERE hour = :hour"),
                           {"hour": day + HOUR})  # fmt: skip

    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(reprice_usage, engine, with_prices(DEAL), SPAN, begin_to_load)
        assert are_waiting(database_url, 1)
        execute(engine, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
                        " AND datname = current_database()")  # fmt: skip
        with pytest.raises(sa.exc.OperationalError):  # told why, or only that the connection is lost
            running.result()
    loader.rollback()
    loader.close()
    assert differences(engine) == []
    assert [found[1] for found in costs(engine).values()].count("contract:deal") == 2
    assert reprice(engine, DEAL).total.events == 4
    assert differences(engine) == []


def test_corrections_and_reprices_at_once_end_as_one_after_the_other(engine: sa.Engine) -> None:
    hours = [TODAY + number * HOUR for number in range(24)]
    write(engine, [event(when, event_id=f"e{when.hour}") for when in hours])
    overrides = with_prices(DEAL).overrides

    def correct(number: int) -> None:
        writer = Writer(Target(engine, TENANT, overrides=overrides), corrects=True)
        events = [event(when + MINUTE, event_id=f"e{when.hour}", input_tokens=number) for when in hours]
        writer.write(Batch(events=events), ORIGIN, datetime.now(UTC))

    with ThreadPoolExecutor(3) as pool:
        corrected = [pool.submit(correct, number) for number in range(2, 12)]
        repriced = [pool.submit(reprice, engine, *([DEAL] * (number % 2))) for number in range(10)]
        for running in (*corrected, *repriced):
            running.result()
    assert differences(engine) == []
    reprice(engine, DEAL)
    assert differences(engine) == []
    assert {found[1] for found in costs(engine).values()} == {"contract:deal"}
    assert len(costs(engine)) == 24
