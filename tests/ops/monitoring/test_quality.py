"""The data contract: one table, read as sentences."""

from __future__ import annotations

from collections import Counter

import pytest

from ops.monitoring.alerts import Tier
from ops.monitoring.quality import EVENT_CHECKS, OPERATIONS, Check, Kind
from ops.usage import normalise_operation

BY_NAME = {check.name: check for check in EVENT_CHECKS}


def test_event_checks_have_names_of_their_own() -> None:
    assert [name for name, count in Counter(check.name for check in EVENT_CHECKS).items() if count > 1] == []


@pytest.mark.parametrize(
    ("name", "expectation", "kwargs"),
    [
        ("there are rows", "ExpectTableRowCountToBeBetween", {"min_value": 1, "severity": "critical"}),
        ("vendor is known", "ExpectColumnValuesToNotBeNull", {"column": "vendor", "severity": "critical"}),
        (
            "an event is stored once",
            "ExpectCompoundColumnsToBeUnique",
            {"column_list": ["event_id", "occurred_at"], "severity": "critical"},
        ),
        (
            "status is a name we know",
            "ExpectColumnValuesToBeInSet",
            {"column": "status", "value_set": ["success", "failure"], "severity": "critical"},
        ),
        (
            "input_tokens within 0 to 4294967296",
            "ExpectColumnValuesToBeBetween",
            {"column": "input_tokens", "min_value": 0, "max_value": 2**32, "severity": "warning"},
        ),
        (
            "latency_ms within 0 to 86400000",
            "ExpectColumnValuesToBeBetween",
            {"column": "latency_ms", "min_value": 0, "max_value": 24 * 3600 * 1000, "severity": "warning"},
        ),
        (
            "cost_usd within 0 to 1000",
            "ExpectColumnValuesToBeBetween",
            {"column": "cost_usd", "min_value": 0, "max_value": 1000, "severity": "critical"},
        ),
        (
            "operation is a name we know",
            "ExpectColumnValuesToBeInSet",
            {"column": "operation", "value_set": list(OPERATIONS), "severity": "warning"},
        ),
        (
            "at least 95 % of events are priced",
            "ExpectColumnValuesToNotBeNull",
            {"column": "cost_usd", "mostly": 0.95, "severity": "warning"},
        ),
        (
            "cached tokens are part of the input",
            "ExpectColumnPairValuesAToBeGreaterThanB",
            {
                "column_A": "input_tokens",
                "column_B": "cached_tokens",
                "or_equal": True,
                "ignore_row_if": "either_value_is_missing",
                "severity": "warning",
            },
        ),
    ],
)
def test_check_is_one_expectation_with_its_arguments(name: str, expectation: str, kwargs: dict[str, object]) -> None:
    assert (BY_NAME[name].expectation, BY_NAME[name].kwargs) == (expectation, kwargs)


@pytest.mark.parametrize(
    ("column", "kind"),
    [
        *((column, Kind.COMPLETE) for column in ("event_id", "occurred_at", "vendor", "model", "operation", "status")),
        *((column, Kind.RANGE) for column in ("input_tokens", "cached_tokens", "output_tokens", "latency_ms")),
        *((column, Kind.RANGE) for column in ("ttft_ms", "cost_usd")),
        *((column, Kind.ACCEPTED) for column in ("status", "operation", "error_type")),
    ],
)
def test_event_checks_cover_the_column(column: str, kind: Kind) -> None:
    assert [check.kind for check in EVENT_CHECKS if check.column == column].count(kind) >= 1


def test_event_checks_accept_every_operation_that_a_source_can_name() -> None:
    call_types = ("completion", "embedding", "text_completion", "rerank", "image_generation", "speech", None)
    assert {normalise_operation(call_type) for call_type in call_types} == set(OPERATIONS)


def test_check_is_critical_unless_it_says_otherwise() -> None:
    assert Check("x is known", "x", Kind.COMPLETE).severity is Tier.CRITICAL
