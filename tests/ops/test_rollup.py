from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from math import ceil, exp, log
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ops.rollup import BIN_KEY, HOUR_KEY, HOUR_SUMS, LOG_GAMMA, Deltas, latency_bin
from ops.usage import DAY_MS, Status, UsageEvent

NOON = datetime(2026, 3, 5, 12, tzinfo=UTC)
HOUR, MOMENT = timedelta(hours=1), timedelta(microseconds=1)
GAMMA = 1.01 / 0.99
NOTHING = dict.fromkeys(HOUR_SUMS, 0)


def call(when: datetime = NOON, **fields: Any) -> UsageEvent:
    usual = {"vendor": "openai", "model": "gpt-4o", "operation": "chat", "status": Status.SUCCESS}
    return UsageEvent(**{"event_id": "e", "occurred_at": when, **usual, **fields})


def deltas(*priced: tuple[UsageEvent, Decimal | None], sign: int = 1) -> Deltas:
    found = Deltas()
    found.add([event for event, _ in priced], [cost for _, cost in priced], sign)
    return found


def sums(found: Deltas) -> dict[str, Any]:
    """Return the sums of the only hour's only key, by name."""
    [row] = found.hours.values()
    return dict(zip(HOUR_SUMS, row, strict=True))


def test_sums_of_no_events_are_none_at_all() -> None:
    assert deltas() == Deltas()


def test_sums_of_an_event_that_tells_nothing_count_it_and_its_unknown_cost() -> None:
    assert sums(deltas((call(), None))) == {**NOTHING, "events": 1, "unpriced_events": 1}


def test_sums_add_up_what_is_known() -> None:
    one = call(
        input_tokens=100, cached_tokens=40, cache_write_tokens=20, output_tokens=7, cache_hit=False,
        reported_cost_usd=Decimal("0.5"),
    )  # fmt: skip
    two = call(input_tokens=10, cached_tokens=0, output_tokens=None, cache_hit=True, status=Status.FAILURE)
    three = call(input_tokens=None, cached_tokens=2, reported_cost_usd=Decimal("0.25"))
    assert sums(deltas((one, Decimal("0.75")), (two, None), (three, Decimal("0.125")))) == {
        "events": 3, "failures": 1, "unpriced_events": 1,
        "cost_usd": Decimal("0.75") + Decimal("0.125"), "reported_cost_usd": Decimal("0.5") + Decimal("0.25"),
        "input_tokens": 100 + 10, "cached_tokens": 40 + 0 + 2, "cache_write_tokens": 20, "output_tokens": 7,
        "cache_hits": 1, "cache_eligible": 2,
        "compared_cost_usd": Decimal("0.75") + Decimal("0.125"), "compared_reported_usd": Decimal("0.75"),
    }  # fmt: skip


def test_only_events_with_both_costs_are_compared() -> None:
    reported = call(reported_cost_usd=Decimal("0.5"))
    found = sums(deltas((reported, Decimal("0.25")), (reported, None), (call(), Decimal(8))))
    assert (found["compared_cost_usd"], found["compared_reported_usd"]) == (Decimal("0.25"), Decimal("0.5"))
    assert (found["cost_usd"], found["reported_cost_usd"]) == (Decimal("8.25"), 2 * Decimal("0.5"))


def test_a_cost_of_nothing_is_known() -> None:
    found = sums(deltas((call(reported_cost_usd=Decimal(0)), Decimal(0))))
    assert (found["unpriced_events"], found["cost_usd"], found["reported_cost_usd"]) == (0, 0, 0)


def test_reported_cost_is_summed_as_it_is_stored_with_12_decimals() -> None:
    third = call(reported_cost_usd=Decimal("0.3333333333335"))  # half a unit beyond the last: away from zero
    assert sums(deltas((third, None), (third, None)))["reported_cost_usd"] == 2 * Decimal("0.333333333334")


@pytest.mark.parametrize(
    "other",
    [
        pytest.param(call(NOON + HOUR), id="hour"),
        pytest.param(call(NOON - MOMENT), id="hour, a microsecond earlier"),
        pytest.param(call(vendor="azure"), id="vendor"),
        pytest.param(call(model="gpt-4o-mini"), id="model"),
        pytest.param(call(operation="embedding"), id="operation"),
        pytest.param(call(service="assistant"), id="service"),
        pytest.param(call(release="v1"), id="release"),
        pytest.param(call(feature="search"), id="feature"),
        pytest.param(call(team_id="blue"), id="team"),
        pytest.param(call(service=""), id="empty service, which is not an unknown one"),
    ],
)
def test_events_are_told_apart_by_their(other: UsageEvent) -> None:
    found = deltas((call(), None), (other, None))
    assert [row[0] for row in found.hours.values()] == [1, 1]


@pytest.mark.parametrize(
    "other",
    [
        pytest.param(call(NOON + HOUR - MOMENT), id="time within the hour"),
        pytest.param(call(user_id="u"), id="user"),
        pytest.param(call(prompt_version="p"), id="version of the prompt"),
        pytest.param(call(tier="batch"), id="tier"),
        pytest.param(call(status=Status.FAILURE), id="status"),
    ],
)
def test_events_are_not_told_apart_by_their(other: UsageEvent) -> None:
    [row] = deltas((call(), None), (other, None)).hours.values()
    assert row[0] == 2


def test_key_is_the_hour_and_the_names_in_their_order() -> None:
    named = call(NOON + HOUR / 2, service="s", release="r", feature="f", team_id="t", latency_ms=1.0)
    found = deltas((named, None))
    [hour], [spot] = found.hours, found.bins
    assert dict(zip(HOUR_KEY, hour, strict=True)) == {
        "hour": NOON, "vendor": "openai", "model": "gpt-4o", "operation": "chat", "service": "s", "release": "r",
        "feature": "f", "team_id": "t",
    }  # fmt: skip
    assert dict(zip(BIN_KEY, spot, strict=True)) == {
        "hour": NOON, "vendor": "openai", "model": "gpt-4o", "service": "s", "release": "r", "bin": 0,
    }  # fmt: skip


def test_hour_is_utc_whatever_the_zone_of_the_event() -> None:
    from zoneinfo import ZoneInfo

    in_kathmandu = (NOON + HOUR / 4).astimezone(ZoneInfo("Asia/Kathmandu"))  # 18:00 there: 5 h 45 min ahead
    [(hour, *_)] = deltas((call(in_kathmandu), None)).hours
    assert hour == NOON


def test_events_in_any_order_fall_into_their_hours() -> None:
    times = [NOON + HOUR, NOON, NOON + 2 * HOUR - MOMENT, NOON + MOMENT, NOON + HOUR]
    found = deltas(*((call(when), None) for when in times))
    assert {key[0]: row[0] for key, row in found.hours.items()} == {NOON: 2, NOON + HOUR: 3}


def test_bins_hold_successful_requests_that_the_cache_did_not_answer() -> None:
    hundred = {"latency_ms": 100.0}
    counted = [call(**hundred), call(cache_hit=False, **hundred), call(latency_ms=0.0)]
    not_counted = [call(), call(status=Status.FAILURE, **hundred), call(cache_hit=True, **hundred)]
    found = deltas(*((event, None) for event in [*counted, *not_counted]))
    assert {key[-1]: count for key, count in found.bins.items()} == {latency_bin(100): 2, latency_bin(0): 1}


def test_bins_of_features_and_teams_are_one() -> None:
    calls = [call(latency_ms=5.0, feature=feature, operation=name) for feature in "ab" for name in ("chat", "other")]
    found = deltas(*((event, None) for event in calls))
    assert (len(found.hours), list(found.bins.values())) == (4, [4])


def test_what_is_taken_away_again_leaves_zeros() -> None:
    one, two = call(input_tokens=5, latency_ms=10.0), call(input_tokens=7, latency_ms=10.0)
    found = deltas((one, Decimal("0.5")), (two, None))
    found.add([one], [Decimal("0.5")], sign=-1)
    left = {"events": 2 - 1, "unpriced_events": 1, "input_tokens": 5 + 7 - 5}
    assert sums(found) == {**NOTHING, **left}
    assert list(found.bins.values()) == [2 - 1]
    found.add([two], [None], sign=-1)
    assert sums(found) == NOTHING
    assert list(found.bins.values()) == [0]


def test_what_is_taken_away_from_nothing_is_negative() -> None:
    found = deltas((call(input_tokens=5, latency_ms=10.0), Decimal("0.5")), sign=-1)
    assert sums(found) == {**NOTHING, "events": -1, "cost_usd": Decimal("-0.5"), "input_tokens": -5}
    assert list(found.bins.values()) == [-1]


@pytest.mark.parametrize("costs", [pytest.param([], id="too few"), pytest.param([None, None], id="too many")])
def test_costs_must_be_as_many_as_events(costs: list[Decimal | None]) -> None:
    with pytest.raises(ValueError, match="zip"):
        Deltas().add([call()], costs)


@pytest.mark.parametrize(
    ("latency_ms", "expected"),
    [
        pytest.param(1.0, 0, id="a millisecond: log 1 = 0"),
        pytest.param(GAMMA**0.5, 1, id="within the first bin above"),
        pytest.param(100.0, ceil(log(100) / log(GAMMA)), id="a tenth of a second"),
        pytest.param(0.001, ceil(log(0.001) / log(GAMMA)), id="a microsecond, the least"),
        pytest.param(0.0, ceil(log(0.001) / log(GAMMA)), id="nothing, as the least"),
        pytest.param(DAY_MS, ceil(log(86_400_000) / log(GAMMA)), id="a day, the most"),
    ],
)
def test_bin_is_the_logarithm_to_the_base_of_gamma_rounded_up(latency_ms: float, expected: int) -> None:
    assert latency_bin(latency_ms) == expected
    assert -(2**15) <= latency_bin(latency_ms) < 2**15  # a smallint


@given(st.floats(0.001, DAY_MS))
def test_middle_of_a_bin_is_within_one_percent_of_what_falls_into_it(latency_ms: float) -> None:
    middle = 2 * GAMMA ** latency_bin(latency_ms) / (1 + GAMMA)
    assert abs(middle - latency_ms) / latency_ms <= 0.01 * (1 + 1e-9)


@given(st.lists(st.floats(0, DAY_MS), min_size=2))
def test_bins_rise_with_the_latency(latencies: list[float]) -> None:
    assert all(latency_bin(low) <= latency_bin(high) for low, high in pairwise(sorted(latencies)))


def test_gamma_is_that_of_one_percent() -> None:
    assert exp(LOG_GAMMA) == pytest.approx(GAMMA)


def test_users_sums_are_by_day_and_those_of_nobody_are_left_out() -> None:
    late = datetime(2026, 3, 5, 23, 59, tzinfo=UTC)
    found = deltas(
        (call(user_id="u", input_tokens=3, output_tokens=4), Decimal("0.5")),
        (call(late, user_id="u", input_tokens=None, output_tokens=1), None),
        (call(late + HOUR, user_id="u", input_tokens=7), Decimal("0.25")),
        (call(input_tokens=100), Decimal(9)),
    )
    day = datetime(2026, 3, 5, tzinfo=UTC)
    assert found.users == {
        (day, "u"): [2, 1, Decimal("0.5"), 3, 4 + 1],
        (day + 24 * HOUR, "u"): [1, 0, Decimal("0.25"), 7, 0],
    }
    assert deltas((call(user_id="u", output_tokens=4), None), sign=-1).users == {(day, "u"): [-1, -1, 0, 0, -4]}
