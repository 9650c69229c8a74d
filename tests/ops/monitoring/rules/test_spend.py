"""An hour's spend against what is usual of it: a spike and the floor in dollars, and how grave that is."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ops.errors import InvalidValue
from ops.monitoring.alerts import Status, Summary, Tier
from ops.monitoring.rules.spend import Drivers, SpendSample, evaluate

WEEK = 7 * 24


def sample(cost: str, normal: float = 100, key: str = "total") -> SpendSample:
    """Sample an hour after eight days of hours that all cost the same."""
    return SpendSample(key, Decimal(cost), (float(normal),) * (WEEK + 24), floor_usd=Decimal(5))


@pytest.mark.parametrize(
    ("measured", "tier"),
    [
        pytest.param(sample("100"), None, id="normal spend"),
        pytest.param(sample("108"), None, id="8 more is within 3.1 sigmas of 3 % of a mean hour"),
        pytest.param(sample("110"), Tier.INFO, id="10 more is a spike, if no grave one"),
        pytest.param(sample("152.5"), Tier.INFO, id="(152.5 + 5) / (100 + 5) = 1.5 times, not above"),
        pytest.param(sample("153"), Tier.WARNING, id="(153 + 5) / (100 + 5) = 1.505 times"),
        pytest.param(sample("205"), Tier.WARNING, id="(205 + 5) / (100 + 5) = 2 times, not above"),
        pytest.param(sample("206"), Tier.CRITICAL, id="(206 + 5) / (100 + 5) = 2.01 times"),
        pytest.param(sample("5.9", normal=1), None, id="$4.90 more is below the floor of $5"),
        pytest.param(sample("6", normal=1), Tier.WARNING, id="$5 is not: (6 + 5) / (1 + 5) = 1.83 times"),
        pytest.param(sample("140", key="feature:x"), None, id="a part at 1.4 times its hour of the day"),
        pytest.param(sample("141", key="feature:x"), Tier.INFO, id="a part above: (141 + 5) / (100 + 5) = 1.39 times"),
    ],
)
def test_spend_breaches_on_a_spike_and_dollars(measured: SpendSample, tier: Tier | None) -> None:
    condition = evaluate(measured)
    assert condition.tier is tier
    assert condition.status is (Status.BREACH if tier else Status.OK)


def test_spend_of_a_part_is_no_spike_when_its_week_has_nearly_seen_it() -> None:
    seen = sample("206", key="feature:x")
    assert evaluate(seen).tier is Tier.CRITICAL
    history = (*seen.history[:-50], 217.0, *seen.history[-49:])  # 95 % of 217 are 206.15
    assert evaluate(replace(seen, history=history)).tier is None


@given(st.integers(1, 72), st.sampled_from(["total", "feature:x"]))
def test_spend_that_is_usual_again_after_hours_without_events_is_no_spike(lost: int, key: str) -> None:
    days = tuple(100.0 + 50 * (hour % 24 > 12) for hour in range(2 * WEEK))
    history = (*days[:-lost], *[0.0] * lost)
    found = evaluate(SpendSample(key, Decimal(days[0]), history, floor_usd=Decimal(5)))
    assert found.status is Status.OK


@given(st.lists(st.floats(0, 1000), max_size=WEEK - 1), st.integers(0, 10_000))
def test_spend_of_a_first_week_is_never_a_spike(history: list[float], cost: int) -> None:
    found = evaluate(SpendSample("user:new", Decimal(cost), tuple(history), floor_usd=Decimal("0.01")))
    assert (found.status, found.tier) == (Status.INSUFFICIENT_DATA, None)


def drivers(*usd: str) -> Drivers:
    return Drivers(*map(Decimal, usd))


def test_spend_tells_the_dollars_and_the_cause() -> None:
    condition = evaluate(replace(sample("247"), drivers=drivers("12", "128", "7")))
    assert condition.summary == Summary("Spend", "$247.00 in an hour, 2.4x normal", "2x")  # (247 + 5) / (100 + 5)
    assert condition.value == pytest.approx(2.4)
    assert condition.evidence == {
        "blast_radius": "$147.00 more than normal in an hour",
        "cause": "tokens per request, $128.00 more than normal",
        "normal": "$100.00",
        "dearest_hour_of_the_week": "$100.00",
    }


@pytest.mark.parametrize(
    ("measured", "cause"),
    [
        (("30", "0", "0"), "requests, $30.00 more than normal"),
        (("-9", "1", "1.70"), "$ per token, $1.70 more than normal"),
    ],
)
def test_drivers_name_what_added_most(measured: tuple[str, ...], cause: str) -> None:
    assert drivers(*measured).cause() == cause


@pytest.mark.parametrize(
    ("measured", "near"),
    [
        pytest.param(sample("105"), False, id="(105 + 5) / 105 = 1.05 clears"),
        pytest.param(replace(sample("150"), history=(*[100.0, 200.0] * 96,)), False, id="as much as is usual clears"),
        pytest.param(
            replace(sample("206", key="feature:x"), history=(*[100.0] * 180, 217.0, *[100.0] * 11)), True,
            id="2 times holds, though the week has seen it: 95 % of 217 are 206.15",
        ),
        pytest.param(sample("206"), False, id="a breach is past its limit, not near it"),
    ],
)  # fmt: skip
def test_spend_clears_only_well_below_its_limit(measured: SpendSample, near: bool) -> None:
    assert evaluate(measured).near_limit is near


IMMATURE = SpendSample("total", Decimal(500), (1.0,) * (WEEK - 1), floor_usd=Decimal(5))


@pytest.mark.parametrize(
    ("limit", "status"),
    [
        pytest.param(None, Status.INSUFFICIENT_DATA, id="nothing to compare with"),
        pytest.param(Decimal(499), Status.BREACH, id="above the absolute limit"),
        pytest.param(Decimal(500), Status.OK, id="at the absolute limit"),
    ],
)
def test_spend_with_an_immature_baseline_keeps_only_an_absolute_limit(limit: Decimal | None, status: Status) -> None:
    condition = evaluate(replace(IMMATURE, absolute_limit_usd=limit))
    assert condition.status is status
    assert condition.tier is (Tier.WARNING if status is Status.BREACH else None)
    assert condition.summary.value == "$500.00 in an hour, baseline immature"


def test_spend_with_an_immature_baseline_still_names_the_cause() -> None:
    condition = evaluate(replace(IMMATURE, absolute_limit_usd=Decimal(1), drivers=drivers("400", "1", "1")))
    assert condition.evidence == {"cause": "requests, $400.00 more than normal"}


@pytest.mark.parametrize("floor", ["0", "-1"])
def test_spend_refuses_a_floor_that_divides_by_nothing(floor: str) -> None:
    with pytest.raises(InvalidValue, match=r"spend\.floor_usd"):
        replace(IMMATURE, floor_usd=Decimal(floor))


@given(st.integers(0, 10_000), st.integers(0, 10_000))
def test_spend_that_is_not_above_normal_never_breaches(normal: int, less: int) -> None:
    cost = max(normal - less, 0)
    assert evaluate(sample(str(cost), normal=normal)).status is Status.OK


@pytest.mark.parametrize(
    ("cost", "limit", "shown"),
    [
        pytest.param("100", 1.5, "1.5x", id="normal spend is held against the lower limit"),
        pytest.param("160", 1.5, "1.5x", id="a warning too"),
        pytest.param("206", 2.0, "2x", id="a critical one against the higher"),
    ],
)
def test_spend_names_the_limit_that_it_crossed(cost: str, limit: float, shown: str) -> None:
    condition = evaluate(sample(cost))
    assert (condition.limit, condition.summary.limit, condition.unit) == (limit, shown, "ratio")


@pytest.mark.parametrize(("given", "limit"), [(None, None), (Decimal(499), 499.0)])
def test_spend_with_an_immature_baseline_shows_dollars(given: Decimal | None, limit: float | None) -> None:
    condition = evaluate(replace(IMMATURE, absolute_limit_usd=given))
    assert (condition.value, condition.limit, condition.unit) == (500.0, limit, "USD")
    assert condition.summary.limit == ("unknown" if given is None else "$499.00")


def test_spend_takes_the_smallest_floor_there_is() -> None:
    assert evaluate(replace(IMMATURE, floor_usd=Decimal("0.01"))).status is Status.INSUFFICIENT_DATA
