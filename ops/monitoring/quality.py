"""The data contract of `usage_events`, as data: what a batch of events must keep before anything is decided on it.

Before it: `flows/ingest_usage.py` has written the events. After it: `tasks/check_quality.py` builds one Great
Expectations expectation per check; the severities are the alert tiers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from ops.monitoring.alerts import Json, Tier
from ops.usage import MAX_TOKENS, ErrorType, Status

OPERATIONS = ("chat", "embedding", "completion", "rerank", "image", "audio", "other")
DAY_MS = 86_400_000


class Kind(StrEnum):
    """What is checked; the value is the class in `great_expectations.expectations` that checks it."""

    COMPLETE = "ExpectColumnValuesToNotBeNull"
    RANGE = "ExpectColumnValuesToBeBetween"
    ACCEPTED = "ExpectColumnValuesToBeInSet"
    UNIQUE = "ExpectCompoundColumnsToBeUnique"
    ROWS = "ExpectTableRowCountToBeBetween"
    ORDERED = "ExpectColumnPairValuesAToBeGreaterThanB"


@dataclass(frozen=True, slots=True)
class Check:
    """One promise about the table; `column` is None when it is about more or less than one column."""

    name: str
    column: str | None
    kind: Kind
    params: Mapping[str, Json] = field(default_factory=dict)
    severity: Tier = Tier.CRITICAL

    @property
    def expectation(self) -> str:
        """The expectation's class name."""
        return self.kind.value

    @property
    def kwargs(self) -> dict[str, Json]:
        """The expectation's arguments, severity included."""
        column: dict[str, Json] = {} if self.column is None else {"column": self.column}
        return {**column, **self.params, "severity": self.severity.value}


def _complete(column: str) -> Check:
    return Check(f"{column} is known", column, Kind.COMPLETE)


def _between(column: str, least: int, most: int, severity: Tier = Tier.WARNING) -> Check:
    bounds = {"min_value": least, "max_value": most}
    return Check(f"{column} within {least} to {most}", column, Kind.RANGE, bounds, severity)


def _one_of(column: str, accepted: tuple[str, ...], severity: Tier = Tier.CRITICAL) -> Check:
    return Check(f"{column} is a name we know", column, Kind.ACCEPTED, {"value_set": list(accepted)}, severity)


EVENT_CHECKS: tuple[Check, ...] = (
    Check("there are rows", None, Kind.ROWS, {"min_value": 1}),
    *(_complete(column) for column in ("event_id", "occurred_at", "vendor", "model", "operation", "status")),
    Check("an event is stored once", None, Kind.UNIQUE, {"column_list": ["event_id", "occurred_at"]}),
    _one_of("status", tuple(status.value for status in Status)),
    _one_of("operation", OPERATIONS, Tier.WARNING),
    _one_of("error_type", tuple(error.value for error in ErrorType), Tier.WARNING),
    *(_between(column, 0, MAX_TOKENS) for column in ("input_tokens", "cached_tokens", "output_tokens")),
    *(_between(column, 0, DAY_MS) for column in ("latency_ms", "ttft_ms")),
    _between("cost_usd", 0, 1000, Tier.CRITICAL),
    Check("at least 95 % of events are priced", "cost_usd", Kind.COMPLETE, {"mostly": 0.95}, Tier.WARNING),
    Check(
        "cached tokens are part of the input",
        None,
        Kind.ORDERED,
        {
            "column_A": "input_tokens",
            "column_B": "cached_tokens",
            "or_equal": True,
            "ignore_row_if": "either_value_is_missing",
        },
        Tier.WARNING,
    ),
)
