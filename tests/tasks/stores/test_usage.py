from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from random import Random
from typing import Any
from uuid import uuid4

import msgspec
import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ops.cost.pricing import cost, rate_cards
from ops.errors import InvalidValue
from ops.usage import MAX_NAME_BYTES, MAX_TEXT, MAX_TOKENS, ErrorType, Status, UsageEvent, validate
from tasks.refuse_rows import Origin
from tasks.sources.interface import Batch
from tasks.stores import usage
from tasks.stores.tables import prompt_texts, usage_events, usage_hourly
from tasks.write_usage import Loaded, Target, Writer
from tests.recount import differences
from tests.waiting import are_waiting

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
NOW = datetime(2026, 3, 9, tzinfo=UTC)
ON_POSTGRES = settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
CALL = UsageEvent(
    event_id="e", occurred_at=NOON, vendor="openai", model="gpt-4o", operation="chat", status=Status.SUCCESS
)


def call(model: str = "gpt-4o", vendor: str = "openai", when: datetime = NOON, **fields: Any) -> UsageEvent:
    return msgspec.structs.replace(CALL, vendor=vendor, model=model, occurred_at=when, **fields)


def load(engine: sa.Engine, *events: UsageEvent, tenant: str = "t", keep_texts: bool = False) -> Loaded:
    writer = Writer(Target(engine, tenant, keep_texts))
    return writer.write(Batch(events=list(events)), Origin("log", "jsonl", "by hand"), NOW)


def stored(engine: sa.Engine, tenant: str = "t") -> list[Any]:
    with engine.connect() as connection:
        found = sa.select(usage_events).where(usage_events.c.tenant_id == tenant).order_by(usage_events.c.event_id)
        return list(connection.execute(found))


def price(event: UsageEvent) -> Decimal | None:
    cards = rate_cards(event.vendor, event.model, event.tier, event.occurred_at.date())
    return cost(event, cards)


FULL = call(
    error_type=ErrorType.TIMEOUT,
    user_id="u",
    team_id="t",
    feature="f",
    service="s",
    release="r",
    prompt_version="p",
    tier="batch",
    input_tokens=9,
    cached_tokens=1,
    cache_write_tokens=2,
    cache_write_1h_tokens=1,
    output_tokens=4,
    reasoning_tokens=3,
    latency_ms=12.5,
    ttft_ms=1.25,
    cache_hit=False,
    reported_cost_usd=Decimal("0.25"),
    prompt_hash="h",
    prompt_text=None,
)


@pytest.mark.parametrize(
    "event", [pytest.param(FULL, id="with every field"), pytest.param(call(), id="with the least")]
)
def test_event_is_stored_field_for_field(event: UsageEvent, engine: sa.Engine) -> None:
    load(engine, event)
    [row] = stored(engine)
    expected = {name: value for name, value in msgspec.structs.asdict(event).items() if name != "prompt_text"}
    assert {name: getattr(row, name) for name in expected} == expected
    assert (row.tenant_id, row.source) == ("t", "log")


MILLION = 1_000_000
PRICES = {
    "plain": (call(input_tokens=1000, output_tokens=100), 1000 * Decimal("2.5e-6") + 100 * Decimal("10e-6")),
    "cached input": (
        call(input_tokens=2006, cached_tokens=1920, output_tokens=300),
        86 * Decimal("2.5e-6") + 1920 * Decimal("1.25e-6") + 300 * Decimal("10e-6"),
    ),
    "cache writes, for five minutes and an hour": (
        call(
            "claude-sonnet-4-5",
            "anthropic",
            input_tokens=2100,
            cached_tokens=50,
            cache_write_tokens=2000,
            cache_write_1h_tokens=500,
            output_tokens=340,
        ),
        50 * Decimal("3e-6")
        + 50 * Decimal(".3e-6")
        + 1500 * Decimal("3.75e-6")
        + 500 * Decimal("6e-6")
        + 340 * Decimal("15e-6"),
    ),
    "on the cliff": (
        call("gemini-2.5-pro", "google", input_tokens=200_000, output_tokens=1000),
        200_000 * Decimal("1.25e-6") + 1000 * Decimal("10e-6"),
    ),
    "one token over the cliff": (
        call("gemini-2.5-pro", "google", input_tokens=200_001, output_tokens=1000),
        200_001 * Decimal("2.5e-6") + 1000 * Decimal("15e-6"),
    ),
    "an embedding, whose output is unknown": (call("text-embedding-3-small", input_tokens=9), 9 * Decimal(".02e-6")),
    "batch at half the price": (
        call(
            "gpt-4o-mini", when=datetime(2026, 11, 2, tzinfo=UTC), tier="batch", input_tokens=MILLION, output_tokens=0
        ),
        Decimal(".15") / 2,
    ),
    "per request too": (
        call("sonar", "perplexity", input_tokens=1000, output_tokens=1000),
        2000 * Decimal("1e-6") + Decimal(12) / 1000,
    ),
    "the day before a price cut": (
        call("o3", when=datetime(2025, 6, 9, 23, 59, tzinfo=UTC), input_tokens=MILLION, output_tokens=MILLION),
        Decimal(10 + 40),
    ),
    "long after a price cut": (
        call("o3", when=datetime(2025, 6, 20, tzinfo=UTC), input_tokens=MILLION, output_tokens=MILLION),
        Decimal(2 + 8),
    ),
    "off-peak": (
        call("deepseek-chat", "deepseek", datetime(2025, 3, 2, 17, tzinfo=UTC), input_tokens=MILLION, output_tokens=0),
        Decimal(".135"),
    ),
    "a failure that used nothing": (call(input_tokens=0, output_tokens=0), Decimal(0)),
    "a hit of the gateway's cache, whatever its tokens": (call(cache_hit=True, input_tokens=1000), Decimal(0)),
    "a hit of a model that the book does not know": (call("mystery-1", cache_hit=True), Decimal(0)),
    "a miss is no hit": (call(cache_hit=False, input_tokens=1000, output_tokens=0), 1000 * Decimal("2.5e-6")),
    "a model that the book does not know": (call("mystery-1", input_tokens=5, output_tokens=5), None),
    "unknown input": (call(output_tokens=5), None),
    "unknown output": (call(input_tokens=5), None),
    "nothing known": (call(), None),
}


@pytest.mark.parametrize(("event", "expected"), PRICES.values(), ids=PRICES)
def test_stored_cost_is_the_arithmetic_and_that_of_python(
    event: UsageEvent, expected: Decimal | None, engine: sa.Engine
) -> None:
    load(engine, event)
    [row] = stored(engine)
    assert row.cost_usd == expected == price(event)
    hit = "gateway-cache" if event.cache_hit else "genai-prices"
    assert row.price_source == (None if expected is None else hit)


def test_price_names_the_edition_of_its_book(engine: sa.Engine) -> None:
    load(engine, call(input_tokens=1, output_tokens=1))
    assert stored(engine)[0].price_snapshot == rate_cards("openai", "gpt-4o", None, NOON.date())[0].snapshot


def test_unknown_model_is_named_and_its_events_counted_as_unpriced(engine: sa.Engine) -> None:
    events = [call("mystery-1", event_id=str(n), input_tokens=7, output_tokens=1) for n in range(3)]
    loaded = load(engine, *events, call(input_tokens=1, output_tokens=1))
    assert (loaded.inserted, loaded.unknown_models) == (4, ("openai/mystery-1",))
    assert [row.cost_usd for row in stored(engine)[:3]] == [None, None, None]
    with engine.connect() as connection:
        rows = connection.execute(sa.select(usage_hourly).order_by(usage_hourly.c.model)).all()
    known = 1 * Decimal("2.5e-6") + 1 * Decimal("10e-6")
    assert [(row.events, row.unpriced_events, row.cost_usd) for row in rows] == [(1, 0, known), (3, 3, 0)]


def test_same_event_counts_once_per_tenant(engine: sa.Engine) -> None:
    event = call(input_tokens=1)
    assert [load(engine, event, event).inserted, load(engine, event).inserted] == [1, 0]
    assert load(engine, event, tenant="u").inserted == 1
    assert differences(engine) == []


def test_no_events_make_nothing(engine: sa.Engine) -> None:
    assert load(engine) == Loaded()
    assert stored(engine) == []


@pytest.mark.parametrize(
    ("keep", "texts"), [pytest.param(False, [], id="not by default"), pytest.param(True, ["how?"], id="when asked for")]
)
def test_prompt_text_is_kept(keep: bool, texts: list[str], engine: sa.Engine) -> None:
    events = [call(event_id=name, prompt_hash="h", prompt_text="how?") for name in ("a", "b")]
    load(engine, *events, keep_texts=keep)
    with engine.connect() as connection:
        assert connection.execute(sa.select(prompt_texts.c.text)).scalars().all() == texts
    assert [row.prompt_hash for row in stored(engine)] == ["h", "h"]


def test_hour_is_cut_in_utc_and_latency_in_bins(engine: sa.Engine) -> None:
    edge = NOON + timedelta(hours=1)
    times = [NOON, edge - timedelta(microseconds=1), edge]
    for number, when in enumerate(times):
        load(engine, call(event_id=str(number), when=when, latency_ms=0.0))
    with engine.connect() as connection:
        connection.execute(sa.text("SET timezone = 'Asia/Kolkata'"))
        hours = connection.execute(sa.select(usage_hourly.c.hour, usage_hourly.c.events).order_by(usage_hourly.c.hour))
        assert [tuple(row) for row in hours] == [(NOON, 2), (edge, 1)]
    assert differences(engine) == []


def test_days_that_are_missing_are_made_once(engine: sa.Engine) -> None:
    days = {date(2026, 3, 2), date(2026, 3, 3)}

    def ensure(_: int) -> None:
        usage.ensure_partitions(engine, days)

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(ensure, range(8)))
    with engine.connect() as connection:
        names = connection.execute(
            sa.text("SELECT inhrelid::regclass::text FROM pg_inherits ORDER BY 1".replace("::", "\\:\\:"))
        ).scalars()
        tables = [name for name in names if "idx" not in name and "pkey" not in name]
        assert usage.partitions(connection) == {f"usage_events_{day:%Y%m%d}": day for day in days}
    assert tables == ["watchkeeper.usage_events_20260302", "watchkeeper.usage_events_20260303"]


def test_two_loaders_of_overlapping_events_in_opposite_orders_both_finish(engine: sa.Engine, database_url: str) -> None:
    events = [call(event_id=f"{n:03}", input_tokens=n) for n in range(100)]
    load(engine, call(), tenant="before")  # so that the day and its prices are there
    with ThreadPoolExecutor(2) as threads, engine.connect() as holder:
        # Both come as far as the event in the middle, each from its own end; then one waits for the other in a circle.
        usage.copy_new(holder, usage.pack(holder, "t", "log", [(events[50], usage.Price())]))
        both = [threads.submit(load, engine, *order) for order in (events, events[::-1])]
        assert are_waiting(database_url, 2)
        holder.rollback()
        found = [one.result() for one in both]
    assert sum(loaded.inserted for loaded in found) == 100
    assert sum(loaded.duplicates for loaded in found) == 100
    assert differences(engine) == []


def _noise(length: int, *, four_bytes: bool = False) -> str:
    """Make a text that Postgres cannot compress."""
    signs = range(0x1F300, 0x1F900) if four_bytes else range(33, 127)
    return "".join(map(chr, Random(length).choices(signs, k=length)))  # noqa: S311  no secret


NAMES = ("vendor", "model", "operation", "service", "release", "feature", "team_id")
EXTREMES = {
    "the longest names there are": {name: _noise(MAX_NAME_BYTES) for name in NAMES},
    "the longest names of four-byte characters": {name: _noise(MAX_NAME_BYTES // 4, four_bytes=True) for name in NAMES},
    "the longest id of four-byte characters": {"event_id": _noise(MAX_TEXT, four_bytes=True)},
    "the longest hash and a long text": {"prompt_hash": _noise(MAX_TEXT), "prompt_text": _noise(1_000_000)},
    "every token there is at the dearest price": {
        "model": "o1-pro",
        "input_tokens": MAX_TOKENS,
        "output_tokens": MAX_TOKENS,
    },
    "the smallest float as its cost": {"reported_cost_usd": Decimal("4.9406564584124654e-324")},
    "the highest cost": {"reported_cost_usd": Decimal("999999.999999999999")},
    "the shortest and the longest latency": {"latency_ms": 86_400_000.0, "ttft_ms": 5e-324},
}


@pytest.mark.parametrize("fields", EXTREMES.values(), ids=EXTREMES)
def test_extreme_event_that_is_valid_is_stored(fields: dict[str, Any], engine: sa.Engine) -> None:
    tenant = 100 * "\N{CJK UNIFIED IDEOGRAPH-20000}"
    event = validate(msgspec.structs.replace(CALL, **fields), NOW)
    assert load(engine, event, tenant=tenant, keep_texts=True).inserted == 1
    assert [row.event_id for row in stored(engine, tenant)] == [event.event_id]
    assert differences(engine) == []


TOKENS = st.none() | st.integers(-1, 400_000) | st.sampled_from([MAX_TOKENS, MAX_TOKENS + 1, 2**63])
ANYTHING = st.builds(
    UsageEvent,
    event_id=st.text(),
    occurred_at=st.datetimes(datetime(2026, 3, 1), datetime(2026, 3, 4), timezones=st.just(UTC)),  # noqa: DTZ001
    vendor=st.sampled_from(["openai", "anthropic", "google"]) | st.text(),
    model=st.sampled_from(["gpt-4o", "claude-sonnet-4-5", "gemini-2.5-pro"]) | st.text(),
    operation=st.text(min_size=1),
    status=st.sampled_from(Status),
    error_type=st.none() | st.sampled_from(ErrorType),
    **{name: st.none() | st.text() for name in ("user_id", "team_id", "feature", "service", "release", "tier")},
    **dict.fromkeys(("input_tokens", "output_tokens"), TOKENS),
    cached_tokens=st.none() | st.integers(0, 9),
    latency_ms=st.none() | st.floats(),
    ttft_ms=st.none() | st.floats(),
    cache_hit=st.none() | st.booleans(),
    reported_cost_usd=st.none() | st.decimals(),
    prompt_hash=st.none() | st.text(),
    prompt_text=st.none() | st.text(),
)


@pytest.mark.uncounted
@ON_POSTGRES
@given(events=st.lists(ANYTHING, min_size=1, max_size=30))
def test_whatever_is_valid_is_stored_and_priced_as_in_python(events: list[UsageEvent], engine: sa.Engine) -> None:
    valid = {}
    for event in events:
        with suppress(InvalidValue):
            valid.setdefault(event.event_id, validate(event, NOW))
    tenant = uuid4().hex
    assert load(engine, *valid.values(), tenant=tenant, keep_texts=True).inserted == len(valid)
    found = {row.event_id: row.cost_usd for row in stored(engine, tenant)}
    expected = {name: price(event) for name, event in valid.items()}
    assert found == {name: cost and round(cost, 12) for name, cost in expected.items()}
    assert differences(engine) == []


def _small(number: int) -> UsageEvent:
    """Make one of a hundred events that meet in few hours, models and releases: what repeats, repeats exactly."""
    draw = Random(number)  # noqa: S311  no secret
    hits = {None: 3, True: 1, False: 1}
    return call(
        draw.choice(["gpt-4o", "gpt-4o-mini", "mystery-1"]),
        when=NOON + timedelta(minutes=draw.randrange(180)),
        event_id=str(number),
        status=draw.choice(list(Status)),
        release=draw.choice([None, "v1", "v2"]),
        input_tokens=draw.choice([None, 0, 7, 1000]),
        output_tokens=draw.choice([None, 0, 5]),
        latency_ms=draw.choice([None, 0.0, 1.0, 99.5, 12_345.6]),
        cache_hit=draw.choices(list(hits), list(hits.values()))[0],
        reported_cost_usd=draw.choice([None, Decimal("0.01")]),
    )


@pytest.mark.uncounted
@ON_POSTGRES
@given(batches=st.lists(st.lists(st.integers(0, 99), max_size=20), max_size=6))
def test_roll_ups_equal_a_recount_after_loads_in_any_split_and_order(
    batches: list[list[int]], engine: sa.Engine
) -> None:
    tenant = uuid4().hex
    inserted = sum(load(engine, *map(_small, batch), tenant=tenant).inserted for batch in batches)
    assert inserted == len({number for batch in batches for number in batch}) == len(stored(engine, tenant))
    assert differences(engine) == []
