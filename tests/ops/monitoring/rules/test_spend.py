"""Spend against the seasonal median: the ratio and the dollars must both be out of the ordinary."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ops.errors import InvalidValue
from ops.monitoring.alerts import Status, Summary, Tier
from ops.monitoring.baselines import Point
from ops.monitoring.rules.spend import Drivers, SpendSample, evaluate

NOW = datetime(2026, 7, 20, 10, tzinfo=UTC)


def history(usd: str, spread: str = "0", weeks: int = 4) -> tuple[Point, ...]:
    """Sums of `usd` at ten, `spread` less at nine and more at eleven: median usd, MAD spread."""
    offsets = ((-1, -Decimal(spread)), (0, Decimal(0)), (1, Decimal(spread)))
    return tuple(
        Point(NOW - timedelta(weeks=week) + timedelta(hours=hour), Decimal(usd) + extra)
        for week in range(1, weeks + 1)
        for hour, extra in offsets
    )


def sample(cost: str, normal: str = "100", spread: str = "0") -> SpendSample:
    return SpendSample("total", NOW, Decimal(cost), history(normal, spread), floor_usd=Decimal(5))


@pytest.mark.parametrize(
    ("measured", "tier"),
    [
        pytest.param(sample("100"), None, id="normal spend"),
        pytest.param(sample("150"), None, id="(150 + 5) / (100 + 5) = 1.48 times"),
        pytest.param(sample("152.5"), None, id="(152.5 + 5) / (100 + 5) = 1.5 times, not above"),
        pytest.param(sample("160"), Tier.WARNING, id="(160 + 5) / (100 + 5) = 1.57 times"),
        pytest.param(sample("205"), Tier.WARNING, id="(205 + 5) / (100 + 5) = 2 times, not above"),
        pytest.param(sample("206"), Tier.CRITICAL, id="(206 + 5) / (100 + 5) = 2.01 times"),
        pytest.param(sample("5", normal="0"), None, id="$5 is not more than the floor of $5"),
        pytest.param(sample("6", normal="0"), Tier.CRITICAL, id="$6 is, where nothing is normal"),
        pytest.param(sample("206", spread="18"), None, id="4 x 1.4826 x 18 = 106.7 > 106 more"),
        pytest.param(sample("206", spread="17"), Tier.CRITICAL, id="4 x 1.4826 x 17 = 100.8 < 106 more"),
    ],
)
def test_spend_breaches_on_ratio_and_dollars(measured: SpendSample, tier: Tier | None) -> None:
    condition = evaluate(measured)
    assert condition.tier is tier
    assert condition.status is (Status.BREACH if tier else Status.OK)


def test_spend_tells_the_dollars_and_the_cause() -> None:
    condition = evaluate(replace(sample("247"), drivers=Drivers(1.1, 2.0, 1.05)))
    assert condition.summary == Summary("Spend", "$247.00 in 3 h, 2.4x normal", "2x")  # (247 + 5) / (100 + 5)
    assert condition.value == pytest.approx(2.4)
    assert condition.evidence == {
        "blast_radius": "$147.00 more than normal in 3 h",
        "cause": "tokens per request 2.0x normal",
        "normal": "$100.00",
        "baseline": "same hour of the week, 12 points",
    }


@pytest.mark.parametrize(
    ("drivers", "cause"),
    [
        (Drivers(3.0, 1.0, 1.0), "requests 3.0x normal"),
        (Drivers(0.9, 1.0, 1.7), "$ per token 1.7x normal"),
    ],
)
def test_drivers_name_what_rose_most(drivers: Drivers, cause: str) -> None:
    assert drivers.cause() == cause


@pytest.mark.parametrize(
    ("measured", "near"),
    [
        pytest.param(sample("140"), False, id="(140 + 5) / 105 = 1.38 clears"),
        pytest.param(sample("145"), True, id="(145 + 5) / 105 = 1.43 holds"),
        pytest.param(sample("206", spread="22"), True, id="106 more is over 0.8 x 4 x 1.4826 x 22 = 104.4: holds"),
        pytest.param(sample("206", spread="23"), False, id="106 more is under 0.8 x 4 x 1.4826 x 23 = 109.1: clears"),
        pytest.param(sample("206"), False, id="a breach is past its limit, not near it"),
        pytest.param(sample("206", spread="30"), False, id="106 more is under 0.8 x 4 x 1.4826 x 30 = 142: clears"),
    ],
)
def test_spend_clears_only_well_below_its_limit(measured: SpendSample, near: bool) -> None:
    assert evaluate(measured).near_limit is near


IMMATURE = SpendSample("total", NOW, Decimal(500), (), floor_usd=Decimal(5))


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
    assert condition.summary.value == "$500.00 in 3 h, baseline immature"


def test_spend_with_an_immature_baseline_still_names_the_cause() -> None:
    condition = evaluate(replace(IMMATURE, absolute_limit_usd=Decimal(1), drivers=Drivers(4, 1, 1)))
    assert condition.evidence == {"cause": "requests 4.0x normal"}


@pytest.mark.parametrize("floor", ["0", "-1"])
def test_spend_refuses_a_floor_that_divides_by_nothing(floor: str) -> None:
    with pytest.raises(InvalidValue, match=r"spend\.floor_usd"):
        replace(IMMATURE, floor_usd=Decimal(floor))


@given(st.integers(0, 10_000), st.integers(0, 10_000))
def test_spend_that_is_not_above_normal_never_breaches(normal: int, less: int) -> None:
    cost = max(normal - less, 0)
    assert evaluate(sample(str(cost), normal=str(normal))).status is Status.OK


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
