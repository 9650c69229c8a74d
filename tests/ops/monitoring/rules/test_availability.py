"""Error rate and availability: the bound must cross, in two windows."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ops.monitoring.alerts import Status, Summary, Tier
from ops.monitoring.metrics import FAILURE_BUDGET
from ops.monitoring.rules.availability import MIN_REQUESTS, TrafficSample, evaluate
from ops.proportions import Share

FINE_HOUR, FINE_SIX = Share(10, 12_000), Share(60, 72_000)


def sample(five: Share, hour: Share = FINE_HOUR, six: Share = FINE_SIX) -> TrafficSample:
    return TrafficSample("chat-api", five, hour, six)


@pytest.mark.parametrize(
    ("traffic", "status"),
    [
        pytest.param(sample(Share(124, 1000), Share(900, 12_000)), Status.BREACH, id="many errors in both windows"),
        pytest.param(sample(Share(124, 1000)), Status.OK, id="five bad minutes in a good hour do not page"),
        pytest.param(sample(Share(0, 1000), Share(900, 12_000)), Status.OK, id="a bad hour that is over does not page"),
        pytest.param(sample(Share(15, 1000), Share(120, 12_000)), Status.BREACH, id="99 % available is under 99.5 %"),
        pytest.param(sample(Share(6, 1000), Share(72, 12_000)), Status.OK, id="99.4 % in five minutes proves nothing"),
        pytest.param(sample(Share(2, 10), Share(12, 120), Share(30, 720)), Status.BREACH, id="few requests"),
        pytest.param(sample(Share(2, 10), Share(12, 120), Share(12, 9000)), Status.OK, id="one bad hour of six"),
        pytest.param(sample(Share(1, 1), Share(6, 10), Share(30, 60)), Status.BREACH, id="fewer still: 6 h alone"),
        pytest.param(sample(Share(0, 5), Share(2, 81), Share(3, 214)), Status.OK, id="two failures in a quiet hour"),
        pytest.param(sample(Share(0, 5), Share(2, 81), Share(12, 539)), Status.BREACH, id="enough in 6 h: 2.2 %"),
        pytest.param(sample(Share(0, 5), Share(0, 81), Share(12, 539)), Status.OK, id="an outage of hours ago is over"),
        pytest.param(sample(Share(0, 5), Share(1, 81), Share(12, 539)), Status.OK, id="over, but for one failure"),
        pytest.param(sample(Share(0, 0), Share(0, 0), Share(51, 51)), Status.INSUFFICIENT_DATA, id="too few in 6 h"),
        pytest.param(sample(Share(0, 0), Share(0, 0), Share(0, 0)), Status.INSUFFICIENT_DATA, id="no traffic"),
    ],
)
def test_availability_needs_proof_in_a_short_and_a_long_window(traffic: TrafficSample, status: Status) -> None:
    condition = evaluate(traffic)
    assert condition.status is status
    assert condition.tier is (Tier.CRITICAL if status is Status.BREACH else None)


def test_availability_of_what_nobody_asks_any_more_is_over() -> None:
    condition = evaluate(TrafficSample("chat-api", is_idle=True))
    assert (condition.status, condition.value) == (Status.OK, None)
    assert condition.summary == Summary("Availability", "no requests in 7 d: no longer in use", "99.5 %")


def test_availability_above_five_percent_reads_as_an_error_rate() -> None:
    condition = evaluate(sample(Share(124, 1000), Share(900, 12_000)))
    assert condition.summary == Summary("Error rate", "12.4 %", "5 %")
    assert (condition.value, condition.limit) == (124 / 1000, 0.05)
    assert condition.evidence == {
        "blast_radius": "124 of 1,000 requests failed in 5 min",
        "budget_burn": "24.8x, 30-day budget gone in 29 h",  # .124 / .005 = 24.8; 720 h / 24.8 = 29.03 h
        "failures_1_h": "900 of 12,000",
        "failures_6_h": "60 of 72,000",
    }


def test_availability_below_its_limit_reads_as_availability() -> None:
    condition = evaluate(sample(Share(15, 1000), Share(120, 12_000)))
    assert condition.summary == Summary("Availability", "98.5 %", "99.5 %")  # 1 - 15/1000
    assert condition.limit == FAILURE_BUDGET


def test_availability_says_what_belongs_to_a_vendors_incident() -> None:
    left = TrafficSample("chat-api", Share(0, 100), *[Share(0, 600)] * 2, left_out=("anthropic", "openai"))
    told = "requests to anthropic, openai, whose outage is an incident of its own"
    assert evaluate(left).evidence["left_out"] == told
    assert "left_out" not in evaluate(sample(Share(0, 600))).evidence
    nothing = TrafficSample("chat-api", *[Share(0, 0)] * 3, left_out=("anthropic", "openai"))
    assert evaluate(nothing).summary.value == f"unknown: 0 requests in 6 h, 52 needed, without {told}"


def test_availability_without_enough_requests_says_how_many_it_needs() -> None:
    condition = evaluate(sample(Share(0, 1), Share(0, 2), Share(1, 20)))
    assert condition.summary == Summary("Availability", "unknown: 20 requests in 6 h, 52 needed", "99.5 %")
    assert condition.value == 1 / 20


@pytest.mark.parametrize(
    ("failures", "near"),
    [
        pytest.param(0, False, id="no failures clear"),
        pytest.param(4, False, id="0.4 % clears"),
        pytest.param(5, True, id="0.5 % holds"),
        pytest.param(4.1, True, id="0.41 % holds too"),
    ],
)
def test_availability_clears_only_well_below_its_limit(failures: float, near: bool) -> None:
    condition = evaluate(sample(Share(round(10 * failures), 10_000)))
    assert (condition.status, condition.near_limit) == (Status.OK, near)


def test_availability_clears_by_the_present_hour_not_by_what_six_hours_remember() -> None:
    condition = evaluate(sample(Share(0, 5), Share(0, 81), Share(12, 539)))
    assert (condition.status, condition.near_limit) == (Status.OK, False)
    assert (condition.value, condition.summary.value) == (0.0, "100 %")  # of the hour; six hours: 1 - 12 / 539


def test_availability_that_is_not_good_yet_shows_what_is_not() -> None:
    condition = evaluate(sample(Share(0, 5), Share(1, 81), Share(12, 539)))
    assert (condition.status, condition.near_limit, condition.value) == (Status.OK, True, 12 / 539)


def test_availability_within_budget_foretells_no_end_of_it() -> None:
    assert evaluate(sample(Share(2, 1000))).evidence["budget_burn"] == "0.4x"  # .002 / .005


@given(st.integers(MIN_REQUESTS, 5000), st.floats(0, 1))
def test_availability_never_breaches_while_the_point_estimate_keeps_the_limit(n: int, part: float) -> None:
    share = Share(int(part * FAILURE_BUDGET * n), n)
    assert evaluate(sample(share, share, share)).status is Status.OK


def test_availability_in_breach_is_not_near_its_limit_but_past_it() -> None:
    assert evaluate(sample(Share(124, 1000), Share(900, 12_000))).near_limit is False


@pytest.mark.parametrize(
    ("five", "hour", "shown"),
    [
        # 100 requests can show 5 % (52 needed), not 0.5 % (539 needed); 600 can
        pytest.param(Share(1, 100), Share(12, 600), (12 / 600, "12 of 600 requests failed in 1 h"), id="of the hour"),
        pytest.param(Share(6, 600), Share(12, 900), (6 / 600, "6 of 600 requests failed in 5 min"), id="of 5 min"),
        pytest.param(
            Share(30, 100), Share(90, 600), (30 / 100, "30 of 100 requests failed in 5 min"), id="of 5 min, for errors"
        ),
    ],
)
def test_availability_shows_the_shortest_window_that_can_judge(
    five: Share, hour: Share, shown: tuple[float, str]
) -> None:
    condition = evaluate(sample(five, hour, Share(100, 4000)))
    assert (condition.value, condition.evidence["blast_radius"]) == shown


def test_availability_takes_the_shortest_window_as_proof_that_it_goes_on() -> None:
    # 3 of 60 is surely above 0.5 % (bound 2.1 %), 3 of 500 is not (0.25 %) and need not be: six hours are (2.2 %)
    assert Share(3, 500).lower() < FAILURE_BUDGET < Share(3, 60).lower()
    assert evaluate(sample(Share(3, 60), Share(3, 500), Share(30, 1000))).status is Status.BREACH


@pytest.mark.parametrize(
    ("failures", "burn"),
    [
        pytest.param(Share(10, 2000), "1.0x", id="0.5 % is exactly the budget"),
        pytest.param(Share(15, 2000), "1.5x, 30-day budget gone in 480 h", id="0.75 %: 720 h / 1.5"),
        pytest.param(Share(200, 2000), "20.0x, 30-day budget gone in 36 h", id="10 %: 720 h / 20"),
    ],
)
def test_availability_burns_its_budget(failures: Share, burn: str) -> None:
    assert evaluate(sample(failures)).evidence["budget_burn"] == burn


def test_availability_is_written_to_a_hundredth_of_a_percent() -> None:
    assert evaluate(sample(Share(1234, 100_000))).summary.value == "98.77 %"  # 1 - .01234 = .98766
