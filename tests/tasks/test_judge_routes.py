from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
import sqlalchemy as sa

from ops.cost.model_selection import Reason, Verdict
from ops.cost.right_sizing import Basis
from ops.window import full_days
from tasks.judge_routes import SelectedModels, SizedRoutes, right_size, select_models
from tasks.settings import Savings, Settings
from tests.evaluated import evaluate
from tests.hand_made import HOUR, MIDNIGHT, NOW, event, load

LARGE, SMALL = "openai/gpt-4o", "openai/gpt-4o-mini"
YESTERDAY = NOW - MIDNIGHT + 12 * HOUR
WEEK = full_days(NOW, 7)


def chat(**fields: Any) -> Any:
    usual = {"feature": "search", "model": "gpt-4o", "input_tokens": 100_000, "output_tokens": 1000}
    return event(fields.pop("before", YESTERDAY), **{**usual, **fields})


def select(engine: sa.Engine, settings: Settings) -> SelectedModels:
    return select_models(engine, settings, WEEK)


def size(engine: sa.Engine, settings: Settings) -> SizedRoutes:
    return right_size(engine, settings, WEEK)


def test_cheaper_model_that_is_as_good_is_chosen_at_the_price_of_the_same_tokens(
    engine: sa.Engine, settings: Settings
) -> None:
    load(engine, [chat(), chat(cached_tokens=50_000), chat(model="gpt-4o-mini")])
    for model in (LARGE, SMALL):
        evaluate(engine, model, passed=450)
    [found] = select(engine, settings).decisions
    # At 2.50, 1.25 (cached) and 10 $ a million: 150,000, 50,000 and 2,000 tokens; at 0.15, 0.075 and 0.60 $
    assert (found.current, found.current_cost_usd) == (LARGE, Decimal("0.4575"))
    [small] = found.candidates
    assert (small.cost_usd, small.verdict, small.pairs.n) == (Decimal("0.02745"), Verdict.ADMITTED, 500)
    assert found.change == {"flag": "model.search", "from": LARGE, "to": SMALL}
    assert found.saved_usd == Decimal("0.43005")


def test_negotiated_price_of_the_other_model_goes_before_the_book_s(engine: sa.Engine, settings: Settings) -> None:
    load(engine, [chat()])
    for model in (LARGE, SMALL):
        evaluate(engine, model, passed=450)
    contract = {"contract": "deal", "vendor": "openai", "model": "gpt-4o-mini", "input": "0.05", "output": "0.2"}
    [found] = select(engine, Settings(prices=[contract])).decisions
    # 100,000 tokens at 0.05 $ and 1,000 at 0.20 $ a million
    assert found.candidates[0].cost_usd == Decimal("0.0052")


def test_larger_inputs_pay_the_other_model_s_price_of_large_inputs(engine: sa.Engine, settings: Settings) -> None:
    load(engine, [chat(), chat(input_tokens=300_000)])
    for model in (LARGE, "google/gemini-2.5-pro"):
        evaluate(engine, model, passed=450)
    [found] = select(engine, settings).decisions
    # Up to 200,000 tokens at 1.25 and 10 $ a million, above at 2.50 and 15 $
    assert found.candidates[0].cost_usd == Decimal("0.125") + Decimal("0.01") + Decimal("0.75") + Decimal("0.015")


@pytest.mark.parametrize(
    ("model", "passed", "items", "reason"),
    [
        pytest.param(SMALL, 300, 500, Reason.NOT_SHOWN, id="a worse model"),
        pytest.param(SMALL, 18, 20, Reason.INSUFFICIENT_DATA, id="a model with few pairs"),
        pytest.param("openai/nobody-knows", 450, 500, Reason.ALREADY_CHEAPEST, id="a model without a price"),
    ],
)
def test_route_keeps_its_model_rather_than(
    engine: sa.Engine, settings: Settings, model: str, passed: int, items: int, reason: Reason
) -> None:
    load(engine, [chat()])
    evaluate(engine, LARGE, passed=450, items=500)
    evaluate(engine, model, passed=passed, items=items)
    [found] = select(engine, settings).decisions
    assert (found.chosen, found.reason, found.change) == (LARGE, reason, None)


def test_bar_is_a_setting(engine: sa.Engine, settings: Settings) -> None:
    load(engine, [chat()])
    for model, passed in ((LARGE, 450), (SMALL, 440)):  # 2 points worse, at least 3.5
        evaluate(engine, model, passed=passed)
    stricter = settings.model_copy(update={"savings": Savings(max_quality_drop=0.02)})
    chosen = [select(engine, given).decisions[0].chosen for given in (settings, stricter)]
    assert chosen == [SMALL, LARGE]


def test_table_of_models_shows_all_that_was_judged(engine: sa.Engine, settings: Settings) -> None:
    load(engine, [chat(), chat(feature=None)])
    for model, passed in ((LARGE, 450), (SMALL, 450), ("openai/nobody-knows", 450)):
        evaluate(engine, model, passed=passed)
    found = select(engine, settings)
    assert [tuple(row) for row in found.rows()] == [
        ("(unknown)", LARGE, "$0.26", "", "", "", "", "", "chosen: in use"),
        ("search", LARGE, "$0.26", "", "", "", "", "", "in use"),
        ("search", SMALL, "$0.02", "94%", "500", "+0.0 points", "-0.5 points", "5", "chosen: admitted"),
        ("search", "openai/nobody-knows", "unknown", "", "500", "+0.0 points", "-0.5 points", "5", "admitted"),
    ]
    assert found.as_json()["routes"][1]["change"]["to"] == SMALL


def test_context_is_limited_to_what_evaluations_admit(engine: sa.Engine, settings: Settings) -> None:
    load(engine, [chat(), chat(input_tokens=20_000)])
    evaluate(engine, LARGE, passed=450)
    for tokens, passed in ((5_000, 300), (30_000, 450), (60_000, 450)):
        evaluate(engine, LARGE, passed=passed, variant=f"trimmed-{tokens}")
    [found] = size(engine, settings).routes
    assert (found.limits.max_input, found.limits.basis) == (30_000, Basis.EVALUATED)
    # 70,000 of 120,000 tokens stand above it, at 2.50 $ a million
    assert (round(found.never_needed or 0, 4), found.input_saved_usd) == (0.5833, Decimal("0.175"))
    assert (found.limits.max_output, found.output_saved_usd) == (1024, 0)


def test_without_evaluations_limits_are_what_99_percent_of_the_calls_stay_below(
    engine: sa.Engine, settings: Settings
) -> None:
    calls = [chat(input_tokens=1000, output_tokens=100) for _ in range(200)]
    load(engine, [*calls, chat(input_tokens=11_024, output_tokens=1256), chat(input_tokens=None, model="nobody-knows")])
    found = size(engine, settings)
    [route] = found.routes
    # 1000 goes up to 1024, 100 to 256: 10,000 tokens at 2.50 $ and 1,000 at 10 $ a million
    assert (route.limits.max_input, route.limits.max_output, route.never_needed) == (1024, 256, None)
    assert (route.input_saved_usd, route.output_saved_usd) == (Decimal("0.025"), Decimal("0.01"))
    assert [row[2:] for row in route.rows()] == [
        ("input", "1,000", "1,000", "1,000", "1,000", "11,024", "1,024", "", "$0.02"),
        ("output", "100", "100", "100", "100", "1,256", "256", "", "$0.01"),
    ]
    assert found.as_json()["routes"][0]["limits"]["max_input"] == 1024


def test_route_that_tells_no_tokens_is_shown_as_unknown(engine: sa.Engine, settings: Settings) -> None:
    load(engine, [chat(input_tokens=None, output_tokens=None)])
    [route] = size(engine, settings).routes
    assert [row[2:4] for row in route.rows()] == [("input", "unknown"), ("output", "unknown")]
    assert route.input_saved_usd == 0


def test_price_that_the_book_does_not_know_saves_nothing(engine: sa.Engine, settings: Settings) -> None:
    load(engine, [chat()])
    with engine.begin() as connection:
        connection.execute(sa.text("UPDATE watchkeeper.usage_events SET model = 'nobody-knows'"))
    [route] = size(engine, settings).routes
    assert (route.input_saved_usd, route.output_saved_usd) == (0, 0)


def test_calls_of_before_are_no_part(engine: sa.Engine, settings: Settings) -> None:
    load(engine, [chat(before=timedelta(days=20))])
    assert select(engine, settings).decisions == []
    assert size(engine, settings).routes == []
