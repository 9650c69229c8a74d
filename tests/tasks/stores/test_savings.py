from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import sqlalchemy as sa

from ops.cost.levers import Cell, Lever
from ops.cost.pricing import TokenSums
from ops.cost.right_sizing import Distribution
from ops.window import Window, full_days
from tasks.stores import savings as store
from tasks.stores.savings import Hashed, Limit
from tasks.stores.tables import savings_advice, usage_hourly
from tests.hand_made import DAY, HOUR, MIDNIGHT, MOMENT, NOW, TENANT, event, hour_row, insert, load, rows_of

WEEK = full_days(NOW, 7)
YESTERDAY = NOW - MIDNIGHT + 12 * HOUR  # noon of the day before


def cells(engine: sa.Engine, limits: dict[str, Limit] | None = None, edges: tuple[int, ...] = (0,)) -> list[Cell]:
    with engine.begin() as connection:
        return store.cells(connection, TENANT, WEEK, edges, limits or {})


def chat(before: timedelta = YESTERDAY, **fields: Any) -> Any:
    return event(before, **{"feature": "search", "input_tokens": 1000, "output_tokens": 100, **fields})


def test_calls_that_are_alike_are_one_cell(engine: sa.Engine) -> None:
    load(engine, [chat(), chat(cached_tokens=400, cache_write_tokens=100, cache_write_1h_tokens=30)])
    [found] = cells(engine)
    assert (found.day, found.route, found.model) == ((NOW - DAY).date(), "search", ("openai", "gpt-4o-mini"))
    assert found.sums == found.trimmed == TokenSums(2, 2000, 400, 100, 200, 30)
    # 1500 at 0.15 $, 400 cached at 0.075 $, 100 written at 0.15 $, 200 of output at 0.60 $ a million
    assert found.cost_usd == Decimal("0.000225") + Decimal("0.00003") + Decimal("0.000015") + Decimal("0.00012")


def test_cells_are_told_apart_by_all_that_a_lever_asks_for(engine: sa.Engine) -> None:
    others: list[dict[str, Any]] = [
        {"feature": "chat"}, {"feature": None}, {"model": "gpt-4o"}, {"operation": "embedding"}, {"tier": "batch"},
        {"input_tokens": 5000}, {"before": YESTERDAY + DAY},
    ]  # fmt: skip
    load(engine, [chat(), *(chat(**other) for other in others)])
    found = cells(engine, edges=(0, 4000))
    assert len(found) == 1 + len(others)
    assert {(cell.size, cell.sums.input_tokens) for cell in found} == {(0, 1000), (4000, 5000)}


def test_calls_without_a_price_and_hits_and_other_days_and_tenants_are_in_no_cell(engine: sa.Engine) -> None:
    load(
        engine,
        [chat(model="nobody-knows"), chat(cache_hit=True), chat(NOW - WEEK.start + MOMENT), chat(NOW - WEEK.end)],
    )
    load(engine, [chat()], "another")
    assert cells(engine) == []


def test_limit_cuts_cached_tokens_first_then_uncached_then_writes(engine: sa.Engine) -> None:
    parts = {"cached_tokens": 400, "cache_write_tokens": 300, "cache_write_1h_tokens": 200}  # and 300 uncached
    load(engine, [chat(**parts)])
    kept = {limit: cells(engine, {"search": Limit(limit)})[0].trimmed for limit in (2000, 700, 450, 100)}
    assert kept == {
        2000: TokenSums(1, 1000, 400, 300, 100, 200),
        700: TokenSums(1, 700, 100, 300, 100, 200),
        450: TokenSums(1, 450, 0, 300, 100, 200),
        100: TokenSums(1, 100, 0, 100, 100, 100),
    }


def test_limit_is_of_one_route_and_of_chats(engine: sa.Engine) -> None:
    load(engine, [chat(), chat(feature="other"), chat(operation="embedding")])
    found = cells(engine, {"search": Limit(600, 40)}, edges=(0, 800))
    trimmed = {(cell.route, cell.operation): (cell.trimmed_size, cell.trimmed.input_tokens) for cell in found}
    assert trimmed == {
        ("search", "chat"): (0, 600),
        ("other", "chat"): (800, 1000),
        ("search", "embedding"): (800, 1000),
    }
    [output] = [cell.trimmed.output_tokens for cell in found if cell.trimmed.input_tokens == 600]
    assert output == 40


def test_calls_that_tell_their_input_come_in_order_of_time_and_alike_ones_have_one_key(engine: sa.Engine) -> None:
    same = {"prompt_hash": "a", "prompt_version": "p1"}
    others = [{"prompt_hash": "b"}, {"prompt_version": "p2"}, {"prompt_version": None}, {"model": "gpt-4o"},
              {"vendor": "azure"}, {"operation": "embedding"}, {"status": "failure"}]  # fmt: skip
    events = [chat(YESTERDAY + number * HOUR, **{**same, **other}) for number, other in enumerate([{}, {}, *others])]
    load(engine, [*events, chat(), chat(NOW - WEEK.end, **same)])
    with engine.begin() as connection:
        found = [call for batch in store.calls(connection, TENANT, WEEK) for call in batch]
    assert [call[0] for call in found] == [each.event_id for each in reversed(events)]
    assert len({call[2] for call in found}) == 1 + len(others) - 1  # a failure asks for the same
    assert [(call[3], call[4]) for call in found[:3]] == [(False, False), (True, True), (False, True)]


def test_repeats_are_known_within_the_transaction_and_not_after_it(engine: sa.Engine) -> None:
    repeated = chat(prompt_hash="a")
    load(engine, [repeated, chat(prompt_hash="b")])
    with engine.begin() as connection:
        store.prepare(connection)
        store.keep_repeated(connection, [(repeated.event_id, repeated.occurred_at, 1, False, True)])
        found = store.cells(connection, TENANT, WEEK, [0], {})
    assert {cell.repeats: cell.sums.requests for cell in found} == {True: 1, False: 1}
    assert [cell.repeats for cell in cells(engine)] == [False]


def test_use_of_a_route_is_told_by_values_that_some_call_has(engine: sa.Engine) -> None:
    calls = [chat(input_tokens=tokens, output_tokens=tokens // 10) for tokens in range(10, 1010, 10)]
    load(engine, [*calls, chat(operation="embedding"), chat(status="failure", error_type="timeout")])
    with engine.connect() as connection:
        [use] = store.route_use(connection, TENANT, WEEK)
    assert (use.route, use.requests) == ("search", 100)
    assert use.input == Distribution(500, 900, 950, 990, 1000)
    assert use.output == Distribution(50, 90, 95, 99, 100)


def test_use_that_no_call_tells_is_unknown(engine: sa.Engine) -> None:
    load(engine, [chat(input_tokens=None, output_tokens=None)])
    with engine.connect() as connection:
        [use] = store.route_use(connection, TENANT, WEEK)
    assert (use.input, use.output) == (None, None)


def test_calls_that_tell_their_input_are_counted_for_each_cache(engine: sa.Engine) -> None:
    with engine.connect() as connection:
        assert set(store.hashed(connection, TENANT, WEEK).values()) == {Hashed(0, 0)}
    load(engine, [chat(prompt_hash="a"), chat(), chat(operation="embedding")])
    with engine.connect() as connection:
        found = store.hashed(connection, TENANT, WEEK)
    assert found == {Lever.RESPONSE_CACHE: Hashed(2, 1), Lever.EMBEDDING_CACHE: Hashed(1, 0)}


def test_users_cost_is_of_the_calls_that_a_lever_is_about(engine: sa.Engine) -> None:
    load(engine, [chat(user_id="u1"), chat(user_id="u1", cache_hit=True), chat(),
                  chat(user_id="u2", model="nobody-knows"),
                  chat(user_id="u2", operation="embedding", model="text-embedding-3-small")])  # fmt: skip
    with engine.connect() as connection:
        found = {lever: sorted(store.user_costs(connection, TENANT, WEEK, lever))
                 for lever in (Lever.RESPONSE_CACHE, Lever.EMBEDDING_CACHE, Lever.BATCH_API)}  # fmt: skip
    # 1000 tokens at 0.15 $ and 100 at 0.60 $ a million; the hit is free; an embedding's 1000 at 0.02 $
    first, second = ("u1", 2, Decimal("0.00021")), ("u2", 1, Decimal("0.00002"))
    assert found == {
        Lever.RESPONSE_CACHE: [first], Lever.EMBEDDING_CACHE: [second], Lever.BATCH_API: [first, second]
    }  # fmt: skip


def test_main_model_of_a_route_is_the_one_that_its_chats_spend_most_on(engine: sa.Engine) -> None:
    rows = [hour_row(2 * DAY, "2", feature="search", model="small"),
            hour_row(3 * DAY, "2", feature="search", model="small"),
            hour_row(2 * DAY, "3", feature="search", model="large"),
            hour_row(2 * DAY, "9", feature="search", model="e", operation="embedding"),
            hour_row(9 * DAY, "9", feature="search", model="old"), hour_row(2 * DAY, "1", model="free")]  # fmt: skip
    insert(engine, usage_hourly, rows)
    with engine.connect() as connection:
        assert store.main_models(connection, TENANT, WEEK) == {"search": ("openai", "small"), "": ("openai", "free")}
        in_use = {("openai", name) for name in ("small", "large", "e", "free")}
        assert store.models_in_use(connection, TENANT, WEEK) == in_use


def advice_row(
    days_ago: int, lever: str = "response_cache", alone: str | None = "3", base: str = "10"
) -> dict[str, Any]:
    amounts = {"base_usd": base, "alone_usd": alone, "saved_usd": None, "low80_usd": None, "high80_usd": None}
    return {"tenant_id": TENANT, "as_of": MIDNIGHT - days_ago * DAY, "lever": lever, "days": 30, **amounts,
            "reason": None, "detail": {}}  # fmt: skip


def test_prediction_is_the_last_one_before_the_switch(engine: sa.Engine) -> None:
    rows = [advice_row(9, alone="1"), advice_row(5), advice_row(4, alone=None), advice_row(3, base="0"),
            advice_row(1, alone="9"), advice_row(2, lever="batch_api", alone="8")]  # fmt: skip
    with engine.begin() as connection:
        store.save(connection, rows)
        found = [
            store.predicted(connection, TENANT, Lever.RESPONSE_CACHE, MIDNIGHT - days * DAY) for days in (10, 5, 2)
        ]
    assert found == [None, 0.3, 0.3]


def test_advice_given_again_replaces_that_of_the_same_time(engine: sa.Engine) -> None:
    for alone in ("1", "2", "2"):
        with engine.begin() as connection:
            store.save(connection, [advice_row(1, alone=alone), advice_row(2)])
    assert [row.alone_usd for row in rows_of(engine, savings_advice)] == [3, 2]


def test_window_may_begin_within_a_day(engine: sa.Engine) -> None:
    load(engine, [chat(YESTERDAY, prompt_hash="a"), chat(YESTERDAY - HOUR, prompt_hash="b")])
    half = Window(NOW - YESTERDAY + HOUR / 2, NOW - YESTERDAY + 2 * HOUR)
    with engine.begin() as connection:
        assert [len(batch) for batch in store.calls(connection, TENANT, half)] == [1]
