from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
import sqlalchemy as sa

from ops.monitoring.rules import RULES
from ops.monitoring.rules.availability import TrafficSample
from ops.monitoring.rules.cache import CacheSample
from ops.monitoring.rules.latency import LatencySample
from ops.monitoring.rules.prices import PriceSample
from ops.monitoring.rules.spend import SpendSample
from ops.proportions import Share
from tasks.settings import Alerting
from tasks.stores import measures
from tasks.stores.tables import alerts, latency_hourly, usage_hourly
from tests.hand_made import DAY, HOUR, MOMENT, NOW, alert_row, event, failed, hour_row, insert, load

MINUTE = timedelta(minutes=1)
MODEL = "gpt-4o-mini"
BIN, NEXT_BIN = 230, 231  # of about 100 ms: 1.02 ** 230 is 95


def measure(engine: sa.Engine, name: str, **limits: Any) -> list[Any]:
    with engine.connect() as connection:
        return list(measures.measure(connection, "default", NOW, Alerting(**limits))[name])


def by_key(engine: sa.Engine, name: str, **limits: Any) -> dict[str, Any]:
    return {sample.key: sample for sample in measure(engine, name, **limits)}


def test_measures_there_is_one_for_every_rule(engine: sa.Engine) -> None:
    with engine.connect() as connection:
        assert set(measures.measure(connection, "default", NOW, Alerting())) == set(RULES)


# Availability


def test_availability_counts_each_service(engine: sa.Engine) -> None:
    load(
        engine,
        [
            event(MINUTE),
            failed(2 * MINUTE),
            failed(2 * MINUTE, vendor="anthropic", service="search-api"),
            event(30 * MINUTE, vendor="anthropic"),
            failed(3 * HOUR),
        ],
    )
    assert measure(engine, "availability") == [
        TrafficSample("assistant", Share(1, 2), Share(1, 2 + 1), Share(2, 2 + 1 + 1)),
        TrafficSample("search-api", Share(1, 1), Share(1, 1), Share(1, 1)),
    ]


@pytest.mark.parametrize(
    ("before", "seen"),
    [
        pytest.param(timedelta(0), None, id="a request that begins now is not past yet"),
        pytest.param(MOMENT, (1, 1, 1), id="one that began a moment ago is in every window"),
        pytest.param(5 * MINUTE, (1, 1, 1), id="the window of 5 minutes holds its first moment"),
        pytest.param(5 * MINUTE + MOMENT, (0, 1, 1), id="and nothing before"),
        pytest.param(HOUR, (0, 1, 1), id="the window of 1 hour holds its first moment"),
        pytest.param(HOUR + MOMENT, (0, 0, 1), id="and nothing before"),
        pytest.param(6 * HOUR, (0, 0, 1), id="the window of 6 hours holds its first moment"),
        pytest.param(6 * HOUR + MOMENT, None, id="and nothing before"),
    ],
)
def test_availability_windows_are_half_open(
    engine: sa.Engine, before: timedelta, seen: tuple[int, int, int] | None
) -> None:
    load(engine, [failed(before)])
    windows = tuple(Share(n, n) for n in seen) if seen else None
    assert by_key(engine, "availability").get("assistant") == (
        TrafficSample("assistant", *windows) if windows else None
    )


@pytest.mark.parametrize(
    ("error_type", "failures"),
    [
        pytest.param("timeout", 1, id="a timeout is a failure"),
        pytest.param("rate_limit", 1, id="a refusal by the rate limit is a failure"),
        pytest.param("server", 1, id="a server's error is a failure"),
        pytest.param("other", 1, id="an error without a name is a failure"),
        pytest.param(None, 1, id="a failure whose source names no kind is a failure"),
        pytest.param("client", 0, id="the client's own error is none of ours"),
        pytest.param("content_filter", 0, id="a filtered content is none of ours"),
    ],
)
def test_availability_counts_as_failed_what_is_ours(engine: sa.Engine, error_type: str | None, failures: int) -> None:
    load(engine, [failed(MINUTE, error_type=error_type)])
    assert by_key(engine, "availability")["assistant"].one_hour == Share(failures, 1)


def test_availability_leaves_out_cache_hits_and_other_tenants(engine: sa.Engine) -> None:
    load(engine, [event(MINUTE, cache_hit=True), event(MINUTE, cache_hit=False), event(MINUTE)])
    load(engine, [failed(MINUTE)], tenant="other")
    assert by_key(engine, "availability")["assistant"].one_hour == Share(0, 2)


def test_availability_names_requests_without_a_service(engine: sa.Engine) -> None:
    load(engine, [event(MINUTE, service=None)])
    assert list(by_key(engine, "availability")) == ["unknown service"]


# Latency


def histogram(engine: sa.Engine, *bins: tuple[int, int], before: timedelta = DAY, **fields: Any) -> None:
    usual = {"vendor": "openai", "model": MODEL, "hour": NOW - before}
    insert(engine, latency_hourly, [{**usual, "bin": number, "n": n, **fields} for number, n in bins])


def milliseconds(engine: sa.Engine, number: int) -> float:
    with engine.connect() as connection:
        return float(connection.execute(sa.text(f"SELECT watchkeeper.latency_of_bin({number}::smallint)")).scalar_one())


def baseline(engine: sa.Engine) -> float | None:
    load(engine, [event(MINUTE)])
    found: LatencySample = by_key(engine, "latency")[MODEL]
    return found.baseline_ms


@pytest.mark.parametrize(
    ("bins", "expected"),
    [
        pytest.param([(BIN, 950), (NEXT_BIN, 50)], BIN, id="950 of 1,000 requests reach the 95th percentile"),
        pytest.param([(BIN, 949), (NEXT_BIN, 51)], NEXT_BIN, id="949 of 1,000 do not"),
        pytest.param([(BIN, 999)], None, id="fewer than 1,000 requests are no baseline"),
    ],
)
def test_latency_baseline_is_the_p95_of_the_histogram(
    engine: sa.Engine, bins: list[tuple[int, int]], expected: int | None
) -> None:
    histogram(engine, *bins)
    assert baseline(engine) == (milliseconds(engine, expected) if expected else None)


@pytest.mark.parametrize(
    ("before", "is_part"),
    [
        pytest.param(timedelta(hours=12), False, id="today's first hour may be part of the trouble"),
        pytest.param(timedelta(hours=13), True, id="yesterday's last hour is part of the baseline"),
        pytest.param(timedelta(days=7, hours=12), True, id="so is the first hour of the day a week ago"),
        pytest.param(timedelta(days=7, hours=13), False, id="and nothing before"),
    ],
)
def test_latency_baseline_is_of_the_seven_days_before_today(
    engine: sa.Engine, before: timedelta, is_part: bool
) -> None:
    histogram(engine, (BIN, 1000), before=before)
    assert (baseline(engine) is not None) is is_part


def test_latency_baseline_adds_up_services_and_leaves_out_other_models_and_tenants(engine: sa.Engine) -> None:
    histogram(engine, (BIN, 500), service="assistant")
    histogram(engine, (BIN, 500), service="search-api")
    histogram(engine, (2 * BIN, 9000), model="gpt-4o")
    histogram(engine, (2 * BIN, 9000), tenant_id="other")
    assert baseline(engine) == milliseconds(engine, BIN)


def test_latency_baseline_of_loaded_events_is_true_to_one_percent(engine: sa.Engine) -> None:
    load(engine, [event(DAY, latency_ms=100.0) for _ in range(960)] + [event(DAY, latency_ms=900.0) for _ in range(40)])
    assert baseline(engine) == pytest.approx(100, rel=0.01)


def test_latency_counts_requests_slower_than_twice_the_baseline(engine: sa.Engine) -> None:
    histogram(engine, (BIN, 1000))
    limit = 2 * milliseconds(engine, BIN)
    slow = limit + 1
    load(
        engine,
        [
            event(MOMENT, latency_ms=slow),
            event(HOUR, latency_ms=slow),
            event(MINUTE, latency_ms=limit),
            event(MINUTE, latency_ms=slow, cache_hit=True),
            event(MINUTE, latency_ms=None),
            failed(MINUTE, latency_ms=slow),
            event(timedelta(0), latency_ms=slow),
            event(HOUR + MOMENT, latency_ms=slow),
            event(MINUTE, latency_ms=slow, model="gpt-4o"),
        ],
    )
    load(engine, [event(MINUTE, latency_ms=slow)], tenant="other")
    assert measure(engine, "latency") == [
        LatencySample("gpt-4o", Share(0, 1), None),
        LatencySample(MODEL, Share(1 + 1, 1 + 1 + 1), pytest.approx(limit / 2)),  # type: ignore[arg-type]
    ]


# Spend


def test_spend_is_the_last_full_hour_and_all_before_it(engine: sa.Engine) -> None:
    costs = {0: "100", 1: "4", 2: "2", 3: "1", 6: "40"}
    insert(engine, usage_hourly, [hour_row(hours * HOUR, cost) for hours, cost in costs.items()])
    sample: SpendSample = by_key(engine, "spend", spend_floor_usd=Decimal(3))["total"]
    assert (sample.cost_usd, sample.floor_usd) == (4, 3)
    assert sample.history == (40, 0, 0, 1, 2)  # hours without events cost nothing


def test_spend_is_sampled_in_total_and_for_each_feature_and_team(engine: sa.Engine) -> None:
    rows = [
        hour_row(hours * HOUR, cost, feature=feature, team_id=team)
        for hours in (1, 5)
        for feature, team, cost in (("chat", "core", "2"), ("search", "core", "3"), (None, None, "5"))
    ]
    insert(engine, usage_hourly, [*rows, hour_row(HOUR, "1000", tenant_id="other", team_id="core")])
    found = {key: sample.cost_usd for key, sample in by_key(engine, "spend").items()}
    assert found == {"feature:chat": 2, "feature:search": 3, "team:core": 2 + 3, "total": 2 + 3 + 5}


def test_spend_of_the_dearest_parts_is_sampled(engine: sa.Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tasks.stores.measures.MOST_PARTS", 1)
    insert(engine, usage_hourly, [hour_row(2 * HOUR, cost, feature=cost) for cost in ("1", "9", "5")])
    assert set(by_key(engine, "spend")) == {"total", "feature:9"}


@pytest.mark.parametrize(
    ("hours", "is_sampled"),
    [
        pytest.param(1, False, id="in the first hour there is nothing to compare with"),
        pytest.param(2, True, id="after two there is one earlier hour"),
    ],
)
def test_spend_needs_an_earlier_hour(engine: sa.Engine, hours: int, is_sampled: bool) -> None:
    insert(engine, usage_hourly, [hour_row(hours * HOUR, "1")])
    assert bool(measure(engine, "spend")) is is_sampled


def test_spend_history_is_of_three_weeks(engine: sa.Engine) -> None:
    insert(engine, usage_hourly, [hour_row(21 * DAY, "1"), hour_row(21 * DAY + HOUR, "1")])
    assert len(by_key(engine, "spend")["total"].history) == 21 * 24 - 1


def test_spend_drivers_compare_with_the_same_hours_of_a_week(engine: sa.Engine) -> None:
    usual = [hour_row(HOUR + k * DAY, "7", events=70, tokens=700) for k in range(1, 8)]
    older = [hour_row(HOUR + 8 * DAY, "500", events=1, tokens=1)]
    insert(engine, usage_hourly, [*usual, *older, hour_row(HOUR, "56", events=140, tokens=2800)])
    # Twice the requests, twice the tokens in each and twice the price: $49 more, a third each.
    assert causes(engine, "total") == [pytest.approx(49 / 3)] * 3


def test_spend_drivers_are_of_each_model(engine: sa.Engine) -> None:
    dear = [hour_row(HOUR + k * DAY, "10", events=10, tokens=100, feature="ask") for k in range(8)]
    insert(engine, usage_hourly, [*dear, hour_row(HOUR, "2", events=90, tokens=900, model="cheap", feature="new")])
    assert causes(engine, "total") == [2, 0, 0]  # all together a token costs $12 / 1,000 after $10 / 100
    found = by_key(engine, "spend")["feature:ask"]
    assert found.drivers is None  # it costs what it always did


def causes(engine: sa.Engine, key: str) -> list[float]:
    found = by_key(engine, "spend")[key].drivers
    assert found
    return [float(amount) for amount in (found.requests_usd, found.tokens_per_request_usd, found.price_per_token_usd)]


@pytest.mark.parametrize(
    "now",
    [
        pytest.param({"events": 0}, id="no requests"),
        pytest.param({"tokens": 0}, id="no tokens"),
        pytest.param({"cost": "0"}, id="no cost"),
    ],
)
def test_spend_names_no_driver_of_an_hour_that_costs_no_more(engine: sa.Engine, now: dict[str, Any]) -> None:
    latest = hour_row(HOUR, **{"cost": "1", **now})
    insert(engine, usage_hourly, [latest, *(hour_row(HOUR + k * DAY, "1") for k in range(1, 8))])
    assert by_key(engine, "spend")["total"].drivers is None


# Cache


def test_cache_counts_embedding_calls_that_went_through_a_cache(engine: sa.Engine) -> None:
    calls = [(MOMENT, True), (HOUR, True), (MINUTE, False), (MINUTE, None), (timedelta(0), True), (HOUR + MOMENT, True)]
    load(engine, [event(before, operation="embedding", cache_hit=hit) for before, hit in calls])
    load(engine, [event(MINUTE, operation="chat", cache_hit=True)])
    load(engine, [event(MINUTE, operation="embedding", cache_hit=True)], tenant="other")
    assert measure(engine, "cache") == [CacheSample("embedding", Share(1 + 1, 1 + 1 + 1))]


def test_cache_has_no_sample_where_there_is_no_cache(engine: sa.Engine) -> None:
    load(engine, [event(MINUTE, operation="embedding", cache_hit=None)])
    assert measure(engine, "cache") == []


# Prices


def test_prices_of_each_model_are_those_of_the_last_24_full_hours_and_this_one(engine: sa.Engine) -> None:
    million = {"input_tokens": 10**6, "output_tokens": 0}
    load(engine, [
        event(HOUR, **million, reported_cost_usd=Decimal("0.2")), event(DAY, **million),
        event(DAY + MOMENT, **million, reported_cost_usd=Decimal(7)), event(MINUTE, model="mystery"),
        failed(MINUTE, model="mystery", reported_cost_usd=Decimal(7)),
    ])  # fmt: skip
    assert measure(engine, "prices") == [
        PriceSample(model="openai/gpt-4o-mini", events=2, our_usd=Decimal("0.15"), reported_usd=Decimal("0.2")),
        PriceSample(model="openai/mystery", events=2, failures=1, unpriced_events=2),
    ]


def test_prices_of_a_model_that_has_gone_are_sampled_as_long_as_its_alert_is_open(engine: sa.Engine) -> None:
    states = {"openai/old": "firing", "openai/older": "resolved"}
    insert(engine, alerts, [alert_row("prices", f"model:{model}", state) for model, state in states.items()])
    assert measure(engine, "prices") == [PriceSample(model="openai/old")]
