"""What a status page says: of all of it, or of the components that are asked for."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ops.errors import InvalidValue
from ops.monitoring.vendor_status import (
    MOST_CHARACTERS,
    MOST_LISTED,
    STALE_AFTER,
    PageState,
    Reading,
    StatusPage,
    read_page,
    worst,
)
from tests.any_json import rows_like
from tests.status_page import component, incident, maintenance, summary_json

NOW = datetime(2026, 3, 5, 12, tzinfo=UTC)
MESSAGES, CONSOLE = component("Messages API", "major_outage"), component("Console")


@pytest.mark.parametrize(
    ("document", "state"),
    [
        pytest.param(summary_json(), PageState.OPERATIONAL, id="all is well"),
        pytest.param(summary_json("minor"), PageState.DEGRADED, id="a minor indicator"),
        pytest.param(summary_json("major"), PageState.PARTIAL_OUTAGE, id="a major one"),
        pytest.param(summary_json("critical"), PageState.MAJOR_OUTAGE, id="a critical one"),
        pytest.param(summary_json("maintenance"), PageState.MAINTENANCE, id="maintenance"),
        pytest.param(summary_json("rosy"), PageState.UNKNOWN, id="an indicator that we do not know is unknown"),
        pytest.param(
            summary_json(components=[MESSAGES, CONSOLE]), PageState.MAJOR_OUTAGE, id="the worst component counts"
        ),
        pytest.param(
            summary_json(components=[component("A", "degraded_performance"), component("B", "partial_outage")]),
            PageState.PARTIAL_OUTAGE,
            id="of two that are ill too",
        ),
        pytest.param(
            summary_json(components=[component("A", "under_maintenance")]), PageState.MAINTENANCE, id="its maintenance"
        ),
        pytest.param(
            summary_json(components=[component("A", "full_outage")]), PageState.UNKNOWN, id="a word of another format"
        ),
        pytest.param(
            summary_json(components=[component("A", "??"), component("B", "degraded_performance")]),
            PageState.DEGRADED,
            id="what is surely bad outranks what nobody knows",
        ),
        pytest.param(
            summary_json(incidents=[incident("Errors", "critical")]), PageState.MAJOR_OUTAGE, id="an open incident"
        ),
        pytest.param(
            summary_json(incidents=[incident("Errors", "none")]), PageState.OPERATIONAL, id="one without impact"
        ),
        pytest.param(
            summary_json(incidents=[incident("Errors", "grave")]), PageState.UNKNOWN, id="one of unknown impact"
        ),
        pytest.param(
            summary_json(incidents=[incident("Errors", "critical", "resolved"), incident("X", "major", "postmortem")]),
            PageState.OPERATIONAL,
            id="incidents that are over",
        ),
        pytest.param(summary_json(maintenances=[maintenance("Later")]), PageState.OPERATIONAL, id="later maintenance"),
        pytest.param(summary_json(components=[]), PageState.OPERATIONAL, id="no components, but an indicator"),
    ],
)
def test_page_is_as_bad_as_the_worst_it_says(document: dict[str, Any], state: PageState) -> None:
    assert read_page(document).state is state


@pytest.mark.parametrize(
    ("document", "wanted", "state"),
    [
        pytest.param(
            summary_json("critical", [component("Sora", "major_outage"), component("API")]),
            ["API"],
            PageState.OPERATIONAL,
            id="another component's outage and the indicator are none of ours",
        ),
        pytest.param(
            summary_json(components=[MESSAGES, CONSOLE]), ["messages  API"], PageState.MAJOR_OUTAGE,
            id="names are compared without case and spaces",
        ),
        pytest.param(summary_json(), ["Messages API", "Batch"], PageState.UNKNOWN, id="one that is not listed"),
        pytest.param(
            summary_json(components=[MESSAGES]), ["Messages API", "Batch"], PageState.MAJOR_OUTAGE,
            id="one that is out beside one that is not listed",
        ),
        pytest.param(
            summary_json(components=[component("API"), component("API", "partial_outage", group_id="g2")]),
            ["API"],
            PageState.PARTIAL_OUTAGE,
            id="two of one name in two groups",
        ),
        pytest.param(
            summary_json(incidents=[incident("Errors", "major", "identified", "Console")]),
            ["Messages API"],
            PageState.OPERATIONAL,
            id="an incident of another component",
        ),
        pytest.param(
            summary_json(incidents=[incident("Errors", "major", "identified", "Console", "Messages API")]),
            ["Messages API"],
            PageState.PARTIAL_OUTAGE,
            id="an incident of ours among others",
        ),
        pytest.param(
            summary_json(incidents=[incident("Errors", "major")]), ["Messages API"], PageState.PARTIAL_OUTAGE,
            id="an incident that names no component may be ours",
        ),
    ],
)  # fmt: skip
def test_page_is_judged_by_the_wanted_components_alone(
    document: dict[str, Any], wanted: list[str], state: PageState
) -> None:
    assert read_page(document, wanted).state is state


def test_page_tells_what_is_wrong_in_words() -> None:
    page = read_page(
        summary_json(
            "major", [MESSAGES, CONSOLE], [incident("Elevated  errors", "major", "identified")],
            [maintenance("Database upgrade")],
        ),
        ["Messages API", "Batch"],
    )  # fmt: skip
    assert page == StatusPage(
        state=PageState.MAJOR_OUTAGE,
        description="Partial System Outage",
        components=("Messages API: major_outage", "Batch: not on the page"),
        incidents=("Elevated errors (major impact, identified)",),
        maintenances=("Database upgrade (scheduled, 2026-03-06T02:00:00.000Z to 2026-03-06T04:00:00.000Z)",),
    )
    assert page.reasons == (
        "Elevated errors (major impact, identified); Messages API: major_outage; Batch: not on the page"
    )
    assert read_page(summary_json()).reasons == "All Systems Operational"


def without(*names: str) -> dict[str, Any]:
    """A page that lacks a field."""
    document: dict[str, Any] = summary_json(incidents=[incident("Errors")])
    parent: Any = document
    for name in names[:-1]:
        parent = parent[int(name)] if isinstance(parent, list) else parent[name]
    del parent[names[-1]]
    return document


@pytest.mark.parametrize(
    ("document", "words"),
    [
        pytest.param(without("status"), "missing required field `status`", id="no status"),
        pytest.param(without("status", "indicator"), r"`indicator` - at `\$.status`", id="no indicator"),
        pytest.param(without("components"), "missing required field `components`", id="no components"),
        pytest.param(without("components", "0", "status"), r"`status` - at `\$.components", id="one without a status"),
        pytest.param(without("components", "0", "name"), r"`name` - at `\$.components", id="one without a name"),
        pytest.param(without("incidents"), "missing required field `incidents`", id="no list of incidents"),
        pytest.param(without("incidents", "0", "impact"), r"`impact` - at `\$.incidents", id="one without an impact"),
        pytest.param({"status": None}, r"'status'", id="null"),
        pytest.param([], "'list' is not a Statuspage summary", id="a list"),
        pytest.param("operational", "'str' is not a Statuspage summary", id="a word"),
        pytest.param({"ongoing_incidents": []}, "'ongoing_incidents'", id="the widget of another product"),
    ],
)
def test_page_with_renamed_or_missing_fields_is_an_error_and_never_fine(document: object, words: str) -> None:
    with pytest.raises(InvalidValue, match=words):
        read_page(document)


def test_page_without_what_we_only_show_is_read() -> None:
    bare = {"status": {"indicator": "none"}, "components": [], "incidents": [{"name": "x", "status": "identified",
            "impact": "minor"}], "scheduled_maintenances": [{"name": "y", "status": "scheduled"}]}  # fmt: skip
    page = read_page(bare)
    assert (page.state, page.description) == (PageState.DEGRADED, "none")
    assert page.maintenances == ("y (scheduled, unknown to unknown)",)
    assert read_page({**bare, "scheduled_maintenances": None}).maintenances == ()


def test_page_of_any_length_is_kept_short_and_storable() -> None:
    many = [incident(f"{n} \x00\ud800\x1b[31m" + "x" * 1000) for n in range(100)]
    page = read_page(summary_json(incidents=many))
    assert len(page.incidents) == MOST_LISTED
    assert {len(text) for text in page.incidents} == {MOST_CHARACTERS}
    assert page.incidents[7].startswith("7 [31mxxx")


COMPONENTS = st.lists(rows_like(component("API")), max_size=2)
INCIDENTS = st.lists(rows_like(incident("Errors", "minor", "identified", "API")), max_size=2)


@given(rows_like(summary_json()) | st.builds(lambda a, b: summary_json("none", a, b), COMPONENTS, INCIDENTS))
def test_any_document_is_a_page_or_invalid(document: object) -> None:
    try:
        page = read_page(document, ["API"])
    except InvalidValue:
        return
    assert isinstance(page.state, PageState)


@pytest.mark.parametrize("document", ["\ud83d", {"\ud83d": 1}, {**summary_json(), "\ud83d": 1}])
def test_page_with_half_of_a_character_is_invalid(document: object) -> None:
    with pytest.raises(InvalidValue, match="a Statuspage summary") as told:
        read_page(document)
    assert str(told.value).encode()


def test_page_comes_back_from_json_as_it_was() -> None:
    page = read_page(summary_json("major", [MESSAGES], [incident("Errors")], [maintenance("Later")]))
    assert msgspec.convert(msgspec.to_builtins(page), StatusPage) == page


def test_no_state_at_all_is_unknown() -> None:
    assert worst([]) is PageState.UNKNOWN


OUT = read_page(summary_json(components=[MESSAGES]))
LATE = STALE_AFTER + timedelta(seconds=1)


@pytest.mark.parametrize(
    ("reading", "state", "words"),
    [
        pytest.param(
            Reading(now=NOW, read_at=NOW - STALE_AFTER, page=OUT), PageState.MAJOR_OUTAGE,
            "major outage: Messages API: major_outage", id="read lately",
        ),
        pytest.param(Reading(now=NOW), PageState.UNKNOWN, "unknown: not read yet", id="never read"),
        pytest.param(Reading(now=NOW, error="500"), PageState.UNKNOWN, "unknown: 500", id="never read, for a reason"),
        pytest.param(
            Reading(now=NOW, read_at=NOW - LATE, page=OUT), PageState.UNKNOWN,
            "unknown: not read since; at 2026-03-05 11:44 UTC it said major outage", id="read too long ago",
        ),
        pytest.param(
            Reading(now=NOW, read_at=NOW + LATE, page=OUT), PageState.UNKNOWN,
            "unknown: not read since; at 2026-03-05 12:15 UTC it said major outage", id="read after a replayed day",
        ),
        pytest.param(
            Reading(now=NOW, read_at=NOW, page=read_page(summary_json()), error="500"), PageState.UNKNOWN,
            "unknown: 500; at 2026-03-05 12:00 UTC it said operational", id="the last try failed",
        ),
    ],
)  # fmt: skip
def test_reading_is_unknown_once_it_is_the_past(reading: Reading, state: PageState, words: str) -> None:
    assert (reading.state, reading.words()) == (state, words)
