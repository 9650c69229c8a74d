from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
import sqlalchemy as sa

from ops.cost.holdout import Calibration
from ops.cost.levers import Lever
from ops.cost.savings import Saving
from ops.deployment.bucketing import bucket
from tasks.advise_savings import advise_savings, keep_advice
from tasks.settings import Channel, Savings, Settings, SwitchedOn
from tasks.show_savings import Advised, headline, realised_lines, report_markdown
from tasks.stores.tables import outbox, savings_advice
from tests.evaluated import evaluate
from tests.hand_made import DAY, HOUR, MIDNIGHT, NOW, event, load, rows_of

YESTERDAY = NOW - MIDNIGHT + 12 * HOUR
LARGE, SMALL = "openai/gpt-4o", "openai/gpt-4o-mini"


def chat(before: timedelta = YESTERDAY, **fields: Any) -> Any:
    usual = {"feature": "search", "model": "gpt-4o", "input_tokens": 400_000, "output_tokens": 0}
    return event(before, **{**usual, **fields})  # at 2.50 $ a million: 1 $


def embedding(before: timedelta = YESTERDAY, **fields: Any) -> Any:
    return chat(before, operation="embedding", model="text-embedding-3-small", **fields)  # 0.008 $


def advise(engine: sa.Engine, settings: Settings, days: int = 30, **savings: Any) -> Advised:
    given = settings.model_copy(update={"savings": Savings(**savings)})
    return advise_savings.fn(engine, given, NOW, days)


def by_lever(advised: Advised) -> dict[Lever, Saving]:
    return {saving.lever: saving for saving in advised.advice.savings}


def test_what_the_log_does_not_tell_is_unknown_and_not_nothing(engine: sa.Engine, settings: Settings) -> None:
    load(engine, [chat(), embedding(), chat(model="nobody-knows")])
    advised = advise(engine, settings)
    reasons = {saving.lever: saving.reason for saving in advised.advice.savings}
    assert reasons == {
        Lever.RESPONSE_CACHE: "the log has no prompt_hash of these calls",
        Lever.EMBEDDING_CACHE: "the log has no prompt_hash of these calls",
        Lever.CONTEXT_TRIMMING: "no evaluation of a route's main model with less context",
        Lever.CHEAPER_MODEL: "no evaluation pairs it with another model",
        Lever.PREFIX_CACHE: "no route shows two models with different shares of cached input, "
                            "and savings.prefix_share names none",
        Lever.BATCH_API: "savings.can_wait names no route",
        Lever.MICRO_BATCHING: None,
    }  # fmt: skip
    assert (advised.advice.cost_usd, advised.advice.total_usd, advised.unpriced_events) == (Decimal("1.008"), 0, 1)
    assert headline(advised) == "Savings: $0.00 (0.0%) of $1.01 in 30 days; 6 levers unknown"
    assert "1 calls have no price and are in no figure" in report_markdown(advised, NOW)


@pytest.mark.parametrize(
    ("untold", "saved", "reason"),
    [
        pytest.param(2, Decimal("0.008"), None, id="half of the calls tell their input"),
        pytest.param(3, None, "2 of 5 calls tell their input (prompt_hash), which is too few", id="fewer do"),
    ],
)
def test_cache_is_unknown_where_few_calls_tell_their_input(
    engine: sa.Engine, settings: Settings, untold: int, saved: Decimal | None, reason: str | None
) -> None:
    load(engine, [embedding(YESTERDAY - number * HOUR, prompt_hash="a") for number in range(2)])
    load(engine, [embedding() for _ in range(untold)])
    found = by_lever(advise(engine, settings))[Lever.EMBEDDING_CACHE]
    assert (found.saved_usd, found.alone_usd, found.reason) == (saved, saved, reason)


def test_replay_goes_by_time_to_live_and_capacity(engine: sa.Engine, settings: Settings) -> None:
    # a at 0, 2 and 5 h; b at 1 h; an error of c at 3 h, c at 4 h
    asked = [("a", 0), ("b", 1), ("a", 2), ("c", 3), ("c", 4), ("a", 5)]
    load(engine, [chat(YESTERDAY - at * HOUR, prompt_hash=key, status="failure" if at == 3 else "success")
                  for key, at in asked])  # fmt: skip
    saved = {
        (hours, capacity): by_lever(
            advise(engine, settings, cache_ttl_hours=hours, cache_capacity=capacity)
        )[Lever.RESPONSE_CACHE].saved_usd
        for hours, capacity in ((24, 100), (5, 100), (2, 100), (24, 1))
    }  # fmt: skip
    assert saved == {(24, 100): 2, (5, 100): 1, (2, 100): 0, (24, 1): 0}


def test_embeddings_and_answers_have_caches_of_their_own(engine: sa.Engine, settings: Settings) -> None:
    load(engine, [chat(YESTERDAY - number * HOUR, prompt_hash="a") for number in range(3)])
    load(engine, [embedding(YESTERDAY - number * HOUR, prompt_hash="a") for number in range(2)])
    advised = advise(engine, settings, cache_capacity=1)
    found = by_lever(advised)
    assert (found[Lever.RESPONSE_CACHE].saved_usd, found[Lever.EMBEDDING_CACHE].saved_usd) == (2, Decimal("0.008"))
    assert advised.details[Lever.RESPONSE_CACHE] == (
        "2 of 3 calls would be hits, 3 tell their input; 1 entries for 24 h"
    )


def everything(engine: sa.Engine) -> dict[str, Any]:
    """Make a log, and the settings, by which every lever can be judged."""
    load(engine, [chat(YESTERDAY, prompt_hash="a"), chat(YESTERDAY - HOUR, prompt_hash="a"), chat(prompt_hash="b")])
    load(engine, [embedding(YESTERDAY, prompt_hash="a"), embedding(YESTERDAY - HOUR, prompt_hash="a")])
    for model in (LARGE, SMALL):
        evaluate(engine, model, passed=450)
    evaluate(engine, LARGE, passed=450, variant="trimmed-200000")
    return {"can_wait": ("search",), "prefix_share": {"search": 0.5}}


def test_levers_are_pulled_in_their_order(engine: sa.Engine, settings: Settings) -> None:
    advised = advise(engine, settings, **everything(engine))
    # 3.016 $; a hit of 1 $ and one of 0.008 $; two contexts cut to a half: 1 $; 400,000 tokens at 0.15 $ a million
    # 0.06; half of it cached at 0.075 $: 0.045; by batch a half of that and of the other embedding's 0.008 $: of those
    # days the book has no price of batches
    steps = {lever: saving.saved_usd for lever, saving in by_lever(advised).items()}
    assert steps == {
        Lever.RESPONSE_CACHE: 1, Lever.EMBEDDING_CACHE: Decimal("0.008"), Lever.CONTEXT_TRIMMING: 1,
        Lever.CHEAPER_MODEL: Decimal("0.94"), Lever.PREFIX_CACHE: Decimal("0.015"), Lever.BATCH_API: Decimal("0.0265"),
        Lever.MICRO_BATCHING: 0,
    }  # fmt: skip
    assert advised.advice.left_usd == Decimal("3.016") - Decimal("2.9895") == Decimal("0.0265")
    assert advised.proposals == [{"flag": "model.search", "from": LARGE, "to": SMALL}]
    assert advised.limits == {"search": 200_000}


@pytest.mark.parametrize(
    ("lever", "evaluated", "reason"),
    [
        pytest.param(Lever.CHEAPER_MODEL, {"model": SMALL, "passed": 20, "items": 20}, "too few pairs to tell",
                     id="few pairs of models"),
        pytest.param(Lever.CONTEXT_TRIMMING, {"model": LARGE, "variant": "trimmed-9", "passed": 20, "items": 20},
                     "evaluations with less context do not yet show that answers stay as good", id="few of contexts"),
        pytest.param(Lever.CHEAPER_MODEL, {"model": SMALL, "passed": 100}, None, id="a worse model is an answer: 0 $"),
    ],
)  # fmt: skip
def test_evaluations_that_show_too_little(
    engine: sa.Engine, settings: Settings, lever: Lever, evaluated: dict[str, Any], reason: str | None
) -> None:
    load(engine, [chat()])
    evaluate(engine, LARGE, passed=450)
    evaluate(engine, **evaluated)
    found = by_lever(advise(engine, settings))[lever]
    assert (found.reason, found.saved_usd) == (reason, None if reason else 0)


def test_advice_is_kept_and_told_once_in_a_week(engine: sa.Engine, settings: Settings) -> None:
    given = settings.model_copy(
        update={"savings": Savings(**everything(engine)), "channels": (Channel(name="screen", kind="console"),)}
    )
    for now in (NOW, NOW, NOW + HOUR, NOW + DAY):
        keep_advice.fn(engine, given, advise_savings.fn(engine, given, now), now)
    kept = rows_of(engine, savings_advice)
    assert {row.as_of for row in kept} == {MIDNIGHT, MIDNIGHT + DAY}
    assert len(kept) == 2 * (len(Lever) + 1)
    total = next(row for row in kept if row.lever == "total")
    assert (total.days, total.base_usd, total.saved_usd) == (30, Decimal("3.016"), Decimal("2.9895"))
    model = next(row for row in kept if row.lever == "cheaper_model")
    assert model.detail["proposals"] == [{"flag": "model.search", "from": LARGE, "to": SMALL}]
    [message] = rows_of(engine, outbox)
    assert (message.dedup_key, message.tier, message.desired_rev) == ("savings:2026-W10", "info", 1)
    following = NOW + 4 * DAY  # a Monday
    keep_advice.fn(engine, given, advise_savings.fn(engine, given, following), following)
    assert [row.dedup_key for row in rows_of(engine, outbox)] == ["savings:2026-W10", "savings:2026-W11"]


def test_advice_that_cannot_be_told_is_not_kept(engine: sa.Engine, settings: Settings) -> None:
    load(engine, [chat()])
    advised = advise(engine, settings)
    with engine.begin() as connection:
        connection.execute(sa.text("ALTER TABLE watchkeeper.outbox RENAME TO elsewhere"))
    with pytest.raises(sa.exc.ProgrammingError):
        keep_advice.fn(engine, settings, advised, NOW)
    assert rows_of(engine, savings_advice) == []


def test_message_shows_every_lever_in_columns(engine: sa.Engine, settings: Settings) -> None:
    load(engine, [chat(before=YESTERDAY + day * DAY, prompt_hash="a") for day in range(20)])
    advised = advise(engine, settings, cache_ttl_hours=30)
    keep_advice.fn(engine, settings, advised, NOW)
    [message] = rows_of(engine, outbox)
    assert message.payload["text"] == "INFO · Savings: $10.00 (50.0%) of $20.00 in 30 days; 4 levers unknown"
    lines = message.payload["attachments"][0]["blocks"][0]["elements"][0]["elements"][0]["text"].splitlines()
    assert lines[:3] == [
        "Lever             rule    alone           after                    80 %",
        "Response cache    -50%   $10.00  50.0%   $10.00  50.0%  $9.00 to $11.00",
        "Embedding cache   -50%    $0.00   0.0%    $0.00   0.0%   $0.00 to $0.00",
    ]
    assert lines[3].split() == ["Context", "trimming", "-30%", "unknown", "unknown"]


SWITCHED = MIDNIGHT - 2 * DAY


def after_the_switch(engine: sa.Engine, salt: str, treated: int) -> None:
    """Let 200 users call on the day of the switch: those that are not held out use so many tokens."""
    held = [bucket(salt, f"u{number}") < 3000 for number in range(200)]
    load(engine, [chat(NOW - SWITCHED - HOUR, user_id=f"u{number}", input_tokens=400_000 if out else treated)
                  for number, out in enumerate(held)])  # fmt: skip


def test_realised_saving_stands_beside_the_estimate_from_before_the_switch(
    engine: sa.Engine, settings: Settings
) -> None:
    load(engine, [chat(12 * DAY, prompt_hash="a"), chat(12 * DAY - HOUR, prompt_hash="a"), chat(12 * DAY)])
    earlier = settings.model_copy(update={"savings": Savings()})
    before = advise_savings.fn(engine, earlier, SWITCHED - DAY)  # a hit in 3 calls
    keep_advice.fn(engine, earlier, before, SWITCHED - DAY)
    after_the_switch(engine, "salted", treated=260_000)  # 35 % less
    on = {
        "response_cache": SwitchedOn(at=SWITCHED, holdout_percent=30, salt="salted"),
        "batch_api": SwitchedOn(at=NOW + DAY),
    }
    advised = advise(engine, settings, switched_on=on)
    [found] = advised.realised
    assert (found.lever, found.users + found.held_out_users) == (Lever.RESPONSE_CACHE, 200)
    assert (found.predicted, found.realised) == (pytest.approx(1 / 3), pytest.approx(0.35))
    assert found.calibration is Calibration.HOLDS
    users = f"{found.users} users against {found.held_out_users} held out"
    assert list(realised_lines(advised)) == [
        f"Response cache, switched on: saves 35.0% of its calls' cost (35.0% to 35.0%, {users}), predicted 33.3%"
    ]


def test_saving_that_falls_short_calls_for_another_estimate(engine: sa.Engine, settings: Settings) -> None:
    after_the_switch(engine, "cheaper_model", treated=380_000)
    on = {"cheaper_model": SwitchedOn(at=SWITCHED, holdout_percent=30)}
    assert advise(engine, settings, switched_on=on).realised[0].calibration is Calibration.NO_ESTIMATE
    row = {"tenant_id": settings.tenant, "as_of": SWITCHED, "lever": "cheaper_model", "days": 30, "base_usd": 10,
           "alone_usd": 4, "detail": {}}  # fmt: skip
    with engine.begin() as connection:
        connection.execute(sa.insert(savings_advice), row)
    advised = advise(engine, settings, switched_on=on)
    assert next(realised_lines(advised)).endswith(", predicted 40.0%: recalibrate")


def test_few_users_are_said_to_be_few(engine: sa.Engine, settings: Settings) -> None:
    load(engine, [chat(user_id="u1")])
    advised = advise(engine, settings, switched_on={"batch_api": SwitchedOn(at=SWITCHED)})
    assert list(realised_lines(advised)) == [
        "Batch API, switched on: too few users, or too little cost, to compare (1 users against 0 held out)"
    ]


def test_advice_on_no_calls_is_empty(engine: sa.Engine, settings: Settings) -> None:
    advised = advise(engine, settings)
    assert headline(advised) == "Savings: $0.00 of $0.00 in 30 days; 4 levers unknown"
    assert advised.as_json()["levers"][0]["alone_share"] is None
