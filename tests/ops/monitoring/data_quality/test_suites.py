"""The data contract: one table, read as sentences."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from ops.errors import UnknownName
from ops.monitoring.alerts import Tier
from ops.monitoring.data_quality import SUITES, find, suites_under
from ops.monitoring.data_quality.checks import Broken, Check, Kind, Use, hold_reason
from ops.monitoring.data_quality.events import OPERATIONS
from ops.usage import normalise_operation

BY_NAME = {(suite.name, check.name): check for suite in SUITES.values() for check in suite.checks}
STATEMENTS = Path(__file__).parents[4] / "tasks" / "stores" / "sql"


@pytest.mark.parametrize("suite", SUITES.values(), ids=list(SUITES))
def test_checks_have_names_of_their_own(suite: object) -> None:
    assert suite is find(suite.name)  # type: ignore[attr-defined]
    names = Counter(check.name for check in suite.checks)  # type: ignore[attr-defined]
    assert [name for name, count in names.items() if count > 1] == []


@pytest.mark.parametrize(
    ("suite", "name", "kind", "kwargs"),
    [
        ("events", "vendor is known", Kind.COMPLETE, {"column": "vendor", "severity": "critical"}),
        ("events", "an event is stored once", Kind.UNIQUE, {"column": "event_id", "severity": "critical"}),
        (
            "events", "status is a name we know", Kind.ACCEPTED,
            {"column": "status", "value_set": ["success", "failure"], "severity": "critical"},
        ),
        (
            "events", "input_tokens within 0 to 4294967296", Kind.RANGE,
            {"column": "input_tokens", "min_value": 0, "max_value": 2**32, "severity": "warning"},
        ),
        (
            "events", "latency_ms within 0 to 86400000", Kind.RANGE,
            {"column": "latency_ms", "min_value": 0, "max_value": 24 * 3600 * 1000, "severity": "warning"},
        ),
        (
            "events", "operation is a name we know", Kind.ACCEPTED,
            {"column": "operation", "value_set": list(OPERATIONS), "severity": "warning"},
        ),
        (
            "events", "cached tokens are part of the input", Kind.ORDERED,
            {"column_A": "input_tokens", "column_B": "cached_tokens", "or_equal": True,
             "ignore_row_if": "either_value_is_missing", "severity": "warning"},
        ),
        ("events", "no event is ahead of the clock", Kind.FINDINGS, {"query": "events_ahead", "severity": "warning"}),
        (
            "prices", "cost_usd within 0 to 1000", Kind.RANGE,
            {"column": "cost_usd", "min_value": 0, "max_value": 1000, "severity": "critical"},
        ),
        (
            "prices", "at least 95 % of events are priced", Kind.COMPLETE,
            {"column": "cost_usd", "mostly": 0.95, "severity": "warning"},
        ),
    ],
)  # fmt: skip
def test_check_is_one_expectation_with_its_arguments(
    suite: str, name: str, kind: Kind, kwargs: dict[str, object]
) -> None:
    check = BY_NAME[suite, name]
    assert (check.kind, {**check.kwargs, "severity": check.severity}) == (kind, kwargs)


def test_every_statement_of_a_check_is_there() -> None:
    wanted = {str(check.params["query"]) for check in BY_NAME.values() if check.kind is Kind.FINDINGS}
    assert {name for name in wanted if not (STATEMENTS / f"{name}.sql").is_file()} == set()
    assert len(wanted) == 15


def test_operations_are_all_that_a_source_can_name() -> None:
    call_types = ("completion", "embedding", "text_completion", "rerank", "image_generation", "speech", None)
    assert {normalise_operation(call_type) for call_type in call_types} == set(OPERATIONS)


@pytest.mark.parametrize(
    ("suite", "name", "columns"),
    [
        ("events", "vendor is known", {"vendor"}),
        ("events", "cached tokens are part of the input", {"input_tokens", "cached_tokens"}),
        ("events", "no event is ahead of the clock", set()),
    ],
)
def test_check_says_which_columns_it_looks_at(suite: str, name: str, columns: set[str]) -> None:
    assert BY_NAME[suite, name].columns == columns


def test_check_is_critical_unless_it_says_otherwise() -> None:
    assert Check("x is known", "x", Kind.COMPLETE).severity is Tier.CRITICAL


def test_find_lists_the_suites_when_it_does_not_know_one() -> None:
    with pytest.raises(UnknownName, match="'logs' is not one of events, prices, projections, rollups, traffic"):
        find("logs")


def test_success_rates_rest_on_events_and_projections_on_all() -> None:
    assert suites_under(Use.PROMOTIONS) == ("events", "traffic")
    assert suites_under(Use.PROJECTIONS) == tuple(SUITES)


def test_hold_reason_names_each_failed_check_and_what_it_found() -> None:
    broken = [Broken("events", "vendor is known", "3 rows break it"), Broken("traffic", "events are fresh", None)]
    assert hold_reason(broken) == (
        "data check failed: events: vendor is known (3 rows break it); traffic: events are fresh"
    )
    assert hold_reason([]) is None
