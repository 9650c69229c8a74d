"""Alert state: a pure function of the last state, the rule's report and the time."""

from __future__ import annotations

import random
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ops.errors import InvalidValue
from ops.monitoring.alerts import (
    Alert,
    Condition,
    Policy,
    Reason,
    State,
    Status,
    Summary,
    Tier,
    Transition,
    percent,
    step,
)
from ops.monitoring.rules import latency
from ops.proportions import Share

NOW = datetime(2026, 7, 20, 6, 40, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
SIGNS = {
    "C": (Status.BREACH, Tier.CRITICAL, False),
    "W": (Status.BREACH, Tier.WARNING, False),
    "o": (Status.OK, None, False),
    "n": (Status.OK, None, True),
    "?": (Status.INSUFFICIENT_DATA, None, False),
}


def condition(sign: str, key: str = "chat-api", value: float = 0.124) -> Condition:
    status, tier, near = SIGNS[sign]
    return Condition(
        rule="availability",
        key=key,
        status=status,
        tier=tier,
        value=value,
        limit=0.05,
        unit="share",
        summary=Summary("Error rate", percent(value), "5 %"),
        evidence={"blast_radius": sign},
        near_limit=near,
    )


def run(signs: Sequence[str], policy: Policy | None = None) -> list[Transition]:
    """Step once a minute through `signs`, from no alert at all."""
    taken: list[Transition] = []
    for minute, sign in enumerate(signs):
        alert = taken[-1].alert if taken else None
        taken.append(step(alert, condition(sign), policy or Policy(), NOW + minute * MINUTE))
    return taken


def last(signs: str, policy: Policy | None = None) -> Alert:
    alert = run(signs, policy)[-1].alert
    assert alert is not None
    return alert


@pytest.mark.parametrize(
    ("signs", "reasons"),
    [
        pytest.param("o", "quiet", id="nothing wrong is quiet"),
        pytest.param("CC", "first_breach fired", id="the second breach in a row fires"),
        pytest.param("CoC", "first_breach subsided first_breach", id="a breach that goes away starts from one again"),
        pytest.param("CnC", "first_breach subsided first_breach", id="near the limit breaks a row of breaches too"),
        pytest.param("?", "held_no_data", id="no data is not quiet"),
        pytest.param("C?C", "first_breach held_no_data fired", id="no data holds a pending alert"),
        pytest.param("CC?", "first_breach fired held_no_data", id="no data does not resolve"),
        pytest.param("CCC", "first_breach fired still_firing", id="a third breach is told to nobody"),
        pytest.param("WWC", "first_breach fired escalated_tier", id="a rise of tier is told"),
        pytest.param("CCW", "first_breach fired still_firing", id="a fall of tier is not"),
        pytest.param("CCWC", "first_breach fired still_firing still_firing", id="nor is the rise back"),
        pytest.param("CCooo", "first_breach fired clearing clearing resolved", id="the third clear resolves"),
        pytest.param("CCooC", "first_breach fired clearing clearing still_firing", id="a breach stops the clearing"),
        pytest.param("CCnnn", "first_breach fired" + 3 * " held_near_limit", id="near the limit never clears"),
        pytest.param(
            "CCoonoo",
            "first_breach fired clearing clearing held_near_limit clearing clearing",
            id="near the limit starts the clearing anew",
        ),
        pytest.param("CCo?oo", "first_breach fired clearing held_no_data clearing resolved", id="no data is no clear"),
        pytest.param("CCoooo", "first_breach fired clearing clearing resolved quiet", id="resolved is quiet"),
    ],
)
def test_step_names_its_reason(signs: str, reasons: str) -> None:
    assert [str(transition.reason) for transition in run(signs)] == reasons.split()


def test_step_opens_and_fires_with_what_the_rule_reported() -> None:
    alert = last("WC")
    assert alert == Alert(
        alert_id="availability:chat-api:20260720T064000.000000Z",
        rule="availability",
        key="chat-api",
        tier=Tier.CRITICAL,  # as pending: the tier of the latest breach
        state=State.FIRING,
        since=NOW,
        fired_at=NOW + MINUTE,
        revision=1,
        value=0.124,
        limit=0.05,
        summary=Summary("Error rate", "12.4 %", "5 %"),
        evidence={"blast_radius": "C"},
        breaches=2,
    )


def test_step_keeps_the_breach_evidence_while_it_clears_but_shows_the_new_value() -> None:
    transition = step(last("CC"), condition("o", value=0.01), Policy(), NOW)
    assert transition.alert is not None
    assert transition.alert.summary.value == "1 %"
    assert transition.alert.evidence == {"blast_radius": "C"}


def test_step_resolves_with_its_time_and_a_revision() -> None:
    alert = last("CCooo")
    assert (alert.state, alert.resolved_at, alert.revision) == (State.RESOLVED, NOW + 4 * MINUTE, 2)


def test_step_opens_a_new_incident_after_a_resolved_one() -> None:
    alert = last("CCoooC")
    assert alert.alert_id == "availability:chat-api:20260720T064500.000000Z"
    assert (alert.state, alert.revision, alert.fired_at) == (State.PENDING, 0, None)


def test_step_holds_a_breach_for_as_long_as_the_policy_says() -> None:
    reasons = [transition.reason for transition in run("CCCC", Policy(hold=3 * MINUTE))]
    assert reasons == [Reason.FIRST_BREACH, Reason.STILL_PENDING, Reason.STILL_PENDING, Reason.FIRED]


def test_step_fires_at_once_when_the_policy_says_one_breach() -> None:
    assert run("C", Policy(fire_after=1))[0].reason is Reason.FIRED


def test_step_refuses_a_condition_about_something_else() -> None:
    with pytest.raises(InvalidValue, match="'availability vendor:openai' is not about availability chat-api"):
        step(last("C"), condition("C", key="vendor:openai"), Policy(), NOW)


@pytest.mark.parametrize(
    ("status", "tier"),
    [(Status.BREACH, None), (Status.OK, Tier.WARNING), (Status.INSUFFICIENT_DATA, Tier.INFO)],
)
def test_condition_has_a_tier_exactly_when_it_is_a_breach(status: Status, tier: Tier | None) -> None:
    with pytest.raises(InvalidValue, match=r"condition\.tier"):
        Condition(
            rule="r", key="k", status=status, tier=tier, value=0, limit=1, unit="share", summary=Summary("", "", "")
        )


@given(st.lists(st.sampled_from("CWon?"), max_size=60))
def test_step_tells_only_when_it_says_why(signs: list[str]) -> None:
    told = {Reason.FIRED, Reason.ESCALATED_TIER, Reason.RESOLVED}
    revision, alert_id = 0, None
    for transition in run(signs):
        assert transition.notify == (transition.reason in told)
        if transition.alert is None:
            continue
        if transition.alert.alert_id != alert_id:
            alert_id, revision = transition.alert.alert_id, 0
        revision += transition.notify
        assert transition.alert.revision == revision


@given(st.lists(st.sampled_from("CWon"), max_size=30), st.integers(1, 20))
def test_step_is_unmoved_by_missing_data(signs: list[str], gap: int) -> None:
    before = run(signs)
    alert = before[-1].alert if before else None
    for minute in range(gap):
        transition = step(alert, condition("?"), Policy(), NOW + minute * MINUTE)
        assert (transition.alert, transition.notify) == (alert, False)


def test_step_tells_at_most_twice_a_day_of_noise_round_the_limit() -> None:
    noise = random.Random(5)  # noqa: S311 - a seeded simulation
    rates = [min(max(noise.gauss(0.05, 0.01), 0), 1) for _ in range(24 * 60)]
    crossings = sum((a > 0.05) != (b > 0.05) for a, b in pairwise(rates))
    assert crossings > 600

    alert, told, incidents = None, 0, set()
    for minute, rate in enumerate(rates):
        report = latency.evaluate(latency.LatencySample("chat-api", Share(round(1000 * rate), 1000), 1200))
        transition = step(alert, report, Policy(fire_after=3, clear_after=10), NOW + minute * MINUTE)
        alert, told = transition.alert, told + transition.notify
        if alert is not None and alert.fired_at is not None:
            incidents.add(alert.alert_id)
    assert 1 <= told <= 2
    assert len(incidents) == 1


@pytest.mark.parametrize(
    ("signs", "breaches", "clears"),
    [
        pytest.param("CCC", 3, 0, id="breaches in a row"),
        pytest.param("CCCoo", 0, 2, id="clears in a row"),
        pytest.param("CCCon", 0, 0, id="near the limit is neither"),
        pytest.param("CCCoC", 1, 0, id="a breach starts from one again"),
        pytest.param("Co", 0, 0, id="nothing is left of a breach that subsided"),
        pytest.param("CC?", 2, 0, id="no data changes nothing"),
    ],
)
def test_step_counts(signs: str, breaches: int, clears: int) -> None:
    alert = last(signs)
    assert (alert.breaches, alert.clears) == (breaches, clears)


def test_step_gives_a_subsided_alert_its_end_and_tells_nobody() -> None:
    alert = last("Co")
    assert (alert.state, alert.resolved_at, alert.fired_at, alert.revision) == (State.RESOLVED, NOW + MINUTE, None, 0)


def test_condition_is_not_near_its_limit_unless_it_says_so() -> None:
    plain = Condition(
        rule="availability", key="chat-api", status=Status.OK, tier=None, value=0, limit=1, unit="share",
        summary=Summary("", "", ""),
    )  # fmt: skip
    assert step(last("CC"), plain, Policy(), NOW).reason is Reason.CLEARING


def test_tier_ranks_critical_above_warning_above_info() -> None:
    assert Tier.CRITICAL.outranks(Tier.WARNING)
    assert Tier.WARNING.outranks(Tier.INFO)
    assert not Tier.WARNING.outranks(Tier.WARNING)
    assert len({tier.colour for tier in Tier}) == 3


@pytest.mark.parametrize(
    ("share", "figures", "text"),
    [(0.05, 3, "5 %"), (0.12432, 3, "12.4 %"), (0.9948, 4, "99.48 %"), (0, 3, "0 %"), (1, 3, "100 %")],
)
def test_percent_writes_significant_figures(share: float, figures: int, text: str) -> None:
    assert percent(share, figures) == text


def test_percent_writes_three_figures_unless_told_otherwise() -> None:
    assert percent(0.12432) == "12.4 %"
