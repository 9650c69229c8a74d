"""A vendor's outage: our errors weigh more than its page, and both are one incident."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from ops.monitoring.alerts import Alert, Reason, State, Status, Summary, Tier, step
from ops.monitoring.rules import RULES
from ops.monitoring.rules.vendor import Fallback, VendorSample, evaluate, is_out
from ops.monitoring.traffic import SUCCESS, Cell
from ops.monitoring.vendor_status import PageState, Reading, StatusPage
from ops.proportions import Share

NOW = datetime(2026, 3, 5, 12, tzinfo=UTC)


def cell(outcome: str, in_five: int, model: str = "gpt-4o", service: str = "chat-api", older: int = 0) -> Cell:
    """Requests of the last five minutes, and so many more of the hours before."""
    return Cell("openai", model, service, outcome, (in_five, in_five, in_five + older))


FINE = [cell(SUCCESS, 600)]  # 539 show 99.5 %
OUTAGE = [cell(SUCCESS, 40), cell("server", 50), cell("timeout", 10)]
FEW = [cell(SUCCESS, 10), cell("server", 10)]  # of 52 that it takes


def page(state: PageState | None) -> Reading | None:
    """A page that was read just now; None: none is configured."""
    if state is None:
        return None
    return Reading(now=NOW, read_at=NOW, page=StatusPage(state=state, description="as it says"))


def vendor(
    cells: Sequence[Cell], state: PageState | None = PageState.OPERATIONAL, *, is_paged: bool = False
) -> VendorSample:
    return VendorSample(vendor="openai", cells=cells, reading=page(state), is_paged=is_paged)


def test_page_that_cannot_be_read_for_long_is_a_warning_and_says_since_when() -> None:
    since = NOW - timedelta(hours=6)
    unread = Reading(now=NOW, error="404", failing_since=since)
    condition = evaluate(VendorSample(vendor="openai", cells=FINE, reading=unread))
    assert (condition.status, condition.tier) == (Status.BREACH, Tier.WARNING)
    assert condition.summary == Summary("Status page", "not readable since 2026-03-05 06:00 UTC", "6 h")
    assert condition.evidence["status_page"] == "unknown: 404"
    assert evaluate(VendorSample(vendor="openai", cells=OUTAGE, reading=unread)).tier is Tier.CRITICAL
    shorter = Reading(now=NOW, error="404", failing_since=since + timedelta(seconds=1))
    assert evaluate(VendorSample(vendor="openai", cells=FINE, reading=shorter)).status is Status.INSUFFICIENT_DATA


OK, UNKNOWN, BREACH = Status.OK, Status.INSUFFICIENT_DATA, Status.BREACH


@pytest.mark.parametrize("state", [*PageState, None])
def test_our_errors_alone_are_critical_whatever_the_page_says(state: PageState | None) -> None:
    condition = evaluate(vendor(OUTAGE, state))
    assert (condition.status, condition.tier, condition.key) == (BREACH, Tier.CRITICAL, "vendor:openai")
    assert condition.summary == Summary("Error rate", "60 %", "5 %")  # (50 + 10) / 100


@pytest.mark.parametrize("cells", [pytest.param(FINE, id="fine"), pytest.param(FEW, id="too few"),
                                   pytest.param([], id="none")])  # fmt: skip
@pytest.mark.parametrize(
    ("state", "tier"),
    [
        (PageState.MAJOR_OUTAGE, Tier.WARNING),
        (PageState.PARTIAL_OUTAGE, Tier.WARNING),
        (PageState.DEGRADED, Tier.INFO),
        (PageState.MAINTENANCE, Tier.INFO),
    ],
)
def test_a_page_alone_is_a_warning_at_most(cells: list[Cell], state: PageState, tier: Tier) -> None:
    condition = evaluate(vendor(cells, state))
    assert (condition.status, condition.tier) == (BREACH, tier)
    assert condition.summary == Summary("Status page", f"says {state}", "operational")


@pytest.mark.parametrize(
    ("cells", "state", "status"),
    [
        pytest.param(FINE, PageState.OPERATIONAL, OK, id="both are fine"),
        pytest.param(FINE, None, OK, id="without a page our requests suffice"),
        pytest.param(FINE, PageState.UNKNOWN, UNKNOWN, id="a page that nobody could read is never OK"),
        pytest.param(FEW, PageState.OPERATIONAL, UNKNOWN, id="ten failures of twenty are too few, whatever it says"),
        pytest.param(FEW, None, UNKNOWN, id="too few without a page"),
        pytest.param([], PageState.OPERATIONAL, OK, id="without any request the page is all there is"),
        pytest.param([], PageState.UNKNOWN, UNKNOWN, id="unless it is unknown"),
        pytest.param([], None, UNKNOWN, id="or there is none"),
    ],
)
def test_a_vendor_is_fine_only_when_that_is_known(cells: list[Cell], state: PageState | None, status: Status) -> None:
    assert evaluate(vendor(cells, state)).status is status


@pytest.mark.parametrize(
    ("outcome", "status"),
    [
        pytest.param("server", BREACH, id="a server's error is an outage"),
        pytest.param("timeout", BREACH, id="so is a timeout"),
        pytest.param("other", BREACH, id="so is an error without a name"),
        pytest.param("rate_limit", OK, id="our rate limit is none"),
        pytest.param("client", OK, id="our own error is none"),
        pytest.param("content_filter", OK, id="a filtered answer is an answer"),
    ],
)
def test_rate_limits_and_client_errors_are_no_outage(outcome: str, status: Status) -> None:
    assert evaluate(vendor([*FINE, cell(outcome, 600)])).status is status


def test_rate_limits_do_not_hide_an_outage() -> None:
    condition = evaluate(vendor([*OUTAGE, cell("rate_limit", 99_000), cell("client", 900)]))
    assert (condition.tier, condition.value) == (Tier.CRITICAL, (50 + 10) / (40 + 50 + 10))
    assert condition.evidence["not_counted"] == "client 900, rate limit 99,000"


def test_outage_names_services_models_errors_page_and_fallback() -> None:
    cells = [
        cell(SUCCESS, 10, older=1000), cell("server", 40), cell(SUCCESS, 45, "gpt-4o-mini"),
        cell("timeout", 5, "gpt-4o-mini"), cell(SUCCESS, 30, "gpt-4.1", "search-api"),
    ]  # fmt: skip
    sample = VendorSample(
        vendor="openai", cells=cells, reading=page(PageState.MAJOR_OUTAGE),
        fallback=Fallback("anthropic/claude-x", Share(3, 1200)),
    )  # fmt: skip
    condition = evaluate(sample)
    assert list(condition.evidence.items()) == [
        # 40 + 5 of 10 + 40 + 45 + 5 + 30; search-api failed in none of 30
        ("blast_radius", "45 of 130 requests failed in 5 min: chat-api 45 of 100"),
        ("models", "gpt-4o 40 of 50, gpt-4o-mini 5 of 50"),
        ("errors", "server 40, timeout 5"),
        ("status_page", "major outage: as it says"),
        ("fallback", "anthropic/claude-x; 3 of 1,200 requests to anthropic failed in 1 h"),
        ("budget_burn", "69.2x, 30-day budget gone in 10 h"),  # 45 / 130 / .005; 720 h / 69.2
        ("failures_1_h", "45 of 130"),
        ("failures_6_h", "45 of 1,130"),
    ]


def test_outage_of_many_models_names_the_worst() -> None:
    cells = [cell("server", 60 + number, f"m{number}") for number in range(7)]
    assert evaluate(vendor(cells)).evidence["models"] == (
        "m6 66 of 66, m5 65 of 65, m4 64 of 64, m3 63 of 63, m2 62 of 62 and 2 more"
    )


def test_outage_without_a_fallback_or_a_page_says_so() -> None:
    evidence = evaluate(vendor(OUTAGE, None)).evidence
    assert (evidence["fallback"], evidence["status_page"]) == ("none configured", "none configured")


def test_fallback_that_nobody_uses_is_not_called_healthy() -> None:
    assert str(Fallback("google/gemini", Share(0, 0))) == "google/gemini; no requests to google in 1 h"


def test_page_alone_names_the_models_in_use_and_our_own_requests() -> None:
    evidence = evaluate(vendor([*FINE, cell(SUCCESS, 5, "gpt-4.1")], PageState.DEGRADED)).evidence
    assert evidence["models_in_use"] == "gpt-4.1, gpt-4o"
    assert evidence["blast_radius"] == "0 of 605 requests failed in 5 min"
    unused = evaluate(vendor([], PageState.DEGRADED))
    assert (unused.value, unused.evidence["models_in_use"]) == (None, "none in 6 h")
    assert unused.evidence["blast_radius"] == "unknown: 0 requests in 6 h, 52 needed"


@pytest.mark.parametrize(
    ("cells", "state", "status"),
    [
        pytest.param(FINE, PageState.MAJOR_OUTAGE, OK, id="a page that lingers does not hold it open"),
        pytest.param(FINE, PageState.UNKNOWN, OK, id="nor does one that is gone"),
        pytest.param(FEW, PageState.OPERATIONAL, UNKNOWN, id="too few requests are no end"),
        pytest.param([], PageState.OPERATIONAL, OK, id="who went elsewhere has the page's word"),
        pytest.param([], None, UNKNOWN, id="or nobody's"),
        pytest.param([], PageState.DEGRADED, BREACH, id="and that it is not over"),
    ],
)
def test_incident_that_was_paged_ends_by_our_own_requests(
    cells: list[Cell], state: PageState | None, status: Status
) -> None:
    assert evaluate(vendor(cells, state, is_paged=True)).status is status


@pytest.mark.parametrize(
    ("state", "status"),
    [
        pytest.param(None, OK, id="where there is no page it is over"),
        pytest.param(PageState.UNKNOWN, UNKNOWN, id="a page that cannot be read is the reader's trouble"),
        pytest.param(PageState.MAJOR_OUTAGE, BREACH, id="a page that tells of an outage is believed"),
    ],
)
def test_incident_of_a_vendor_that_nobody_asks_any_more(state: PageState | None, status: Status) -> None:
    assert evaluate(replace(vendor([], state, is_paged=True), is_idle=True)).status is status


def test_incident_is_held_while_a_few_requests_still_fail() -> None:
    condition = evaluate(vendor([cell(SUCCESS, 995), cell("server", 5)], is_paged=True))  # 0.5 % clears no more
    assert (condition.status, condition.near_limit) == (OK, True)


def test_incident_of_few_requests_says_how_many_it_takes() -> None:
    condition = evaluate(vendor(FEW, None))
    assert condition.summary == Summary("Availability", "unknown: 20 requests in 6 h, 52 needed", "99.5 %")
    assert (condition.value, condition.near_limit) == (10 / 20, False)
    assert evaluate(vendor(FINE, PageState.UNKNOWN)).summary == Summary("Status page", "unknown", "operational")


@pytest.mark.parametrize(
    ("sample", "out"),
    [
        pytest.param(vendor(OUTAGE), True, id="its outage is proven"),
        pytest.param(vendor(FINE, PageState.MAJOR_OUTAGE), False, id="its page alone takes nothing from the services"),
        pytest.param(vendor(FINE), False, id="it is fine"),
        pytest.param(vendor(FINE, is_paged=True), True, id="its incident is not over yet"),
    ],
)
def test_vendor_is_out_while_its_incident_is_the_place_to_look(sample: VendorSample, out: bool) -> None:
    assert is_out(sample) is out


def story(*chapters: tuple[int, list[Cell], PageState]) -> list[tuple[Reason, Tier]]:
    """Return what is told while each state of things lasts so many evaluations."""
    alert: Alert | None = None
    told = []
    looks = [(cells, state) for times, cells, state in chapters for _ in range(times)]
    for number, (cells, state) in enumerate(looks):
        is_paged = alert is not None and alert.state is not State.RESOLVED and alert.tier is Tier.CRITICAL
        condition = evaluate(vendor(cells, state, is_paged=is_paged))
        transition = step(alert, condition, RULES["vendor"].policy, NOW + number * timedelta(minutes=1))
        alert = transition.alert
        if transition.notify and alert is not None:
            told.append((transition.reason, alert.tier))
    return told


FIRED, ESCALATED, RESOLVED = Reason.FIRED, Reason.ESCALATED_TIER, Reason.RESOLVED


@pytest.mark.parametrize(
    ("chapters", "told"),
    [
        pytest.param(
            [
                (5, OUTAGE, PageState.OPERATIONAL),
                (20, OUTAGE, PageState.MAJOR_OUTAGE),
                (5, FINE, PageState.OPERATIONAL),
            ],
            [(FIRED, Tier.CRITICAL), (RESOLVED, Tier.CRITICAL)],
            id="the page comes late, and changes nothing",
        ),
        pytest.param(
            [(5, FINE, PageState.MAJOR_OUTAGE), (9, OUTAGE, PageState.MAJOR_OUTAGE), (5, FINE, PageState.OPERATIONAL)],
            [(FIRED, Tier.WARNING), (ESCALATED, Tier.CRITICAL), (RESOLVED, Tier.CRITICAL)],
            id="the page comes first: the same incident becomes critical",
        ),
        pytest.param(
            [(9, OUTAGE, PageState.DEGRADED), (9, FINE, PageState.DEGRADED), (9, OUTAGE, PageState.DEGRADED)],
            [(FIRED, Tier.CRITICAL), (RESOLVED, Tier.CRITICAL), (FIRED, Tier.INFO), (ESCALATED, Tier.CRITICAL)],
            id="a page that lingers does not silence the next outage",
        ),
        pytest.param(
            [(5, FINE, PageState.MAJOR_OUTAGE), (60, FINE, PageState.UNKNOWN), (5, FINE, PageState.OPERATIONAL)],
            [(FIRED, Tier.WARNING), (RESOLVED, Tier.WARNING)],
            id="a page that cannot be read ends nothing",
        ),
        pytest.param([(60, FEW, PageState.UNKNOWN)], [], id="what nobody knows is told to nobody"),
    ],
)
def test_one_outage_is_one_incident(
    chapters: list[tuple[int, list[Cell], PageState]], told: list[tuple[Reason, Tier]]
) -> None:
    assert story(*chapters) == told
