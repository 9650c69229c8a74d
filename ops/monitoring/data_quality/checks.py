"""What a check of the data is, as data: one promise about a table, how grave it is to break it, and what rests on it.

After it: one file per suite; `tasks/validate_suites.py` builds one Great Expectations expectation per check.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from ops.monitoring.alerts import Json, Tier


class Kind(StrEnum):
    """What is checked; the value is the class in `great_expectations.expectations` that checks it, but of FINDINGS."""

    COMPLETE = "ExpectColumnValuesToNotBeNull"
    RANGE = "ExpectColumnValuesToBeBetween"
    ACCEPTED = "ExpectColumnValuesToBeInSet"
    UNIQUE = "ExpectColumnValuesToBeUnique"
    ORDERED = "ExpectColumnPairValuesAToBeGreaterThanB"
    FINDINGS = "findings"  # a statement of ours that must return no row; `query` is its name


class Outcome(StrEnum):
    """What came of a check: one that could not be evaluated, or had nothing to look at, has said nothing."""

    PASSED = "passed"
    FAILED = "failed"
    ERRORED = "errored"
    NO_DATA = "no_data"

    @property
    def words(self) -> str:
        """The outcome as people read it."""
        return self.value.replace("_", " ")


class Use(StrEnum):
    """What rests on data, and is held while a critical check of that data fails."""

    PROMOTIONS = "promotions"
    PROJECTIONS = "projections"


@dataclass(frozen=True, slots=True)
class Check:
    """One promise about the table; `column` is None when it is about more or less than one column."""

    name: str
    column: str | None
    kind: Kind
    params: Mapping[str, Json] = field(default_factory=dict)
    severity: Tier = Tier.CRITICAL
    of: Mapping[str, str] = field(default_factory=dict)  # the lists that a statement is about: why, when one is empty

    @property
    def kwargs(self) -> dict[str, Json]:
        """The expectation's own arguments."""
        return dict(self.params) if self.column is None else {"column": self.column, **self.params}

    @property
    def columns(self) -> set[str]:
        """The columns that the expectation looks at; a statement names its own."""
        return {str(self.kwargs[name]) for name in ("column", "column_A", "column_B") if name in self.kwargs}


@dataclass(frozen=True, slots=True)
class Suite:
    """The checks of one table, and what rests on it."""

    name: str
    checks: tuple[Check, ...]
    carries: frozenset[Use]


@dataclass(frozen=True, slots=True)
class Broken:
    """A critical check that failed when it was looked at last."""

    suite: str
    name: str
    detail: str | None


def complete(column: str) -> Check:
    """Promise that a column is never NULL."""
    return Check(f"{column} is known", column, Kind.COMPLETE)


def between(column: str, least: int, most: int, severity: Tier = Tier.WARNING) -> Check:
    """Promise that what is known of a column lies within limits, both included."""
    bounds = {"min_value": least, "max_value": most}
    return Check(f"{column} within {least} to {most}", column, Kind.RANGE, bounds, severity)


def one_of(column: str, accepted: Sequence[str], severity: Tier = Tier.CRITICAL) -> Check:
    """Promise that a column holds accepted names only."""
    return Check(f"{column} is a name we know", column, Kind.ACCEPTED, {"value_set": list(accepted)}, severity)


def at_most(name: str, part: str, whole: str, severity: Tier = Tier.WARNING) -> Check:
    """Promise that a column never exceeds another, where both are known."""
    params: dict[str, Json] = {
        "column_A": whole, "column_B": part, "or_equal": True, "ignore_row_if": "either_value_is_missing",
    }  # fmt: skip
    return Check(name, None, Kind.ORDERED, params, severity)


def no_findings(name: str, query: str, severity: Tier = Tier.CRITICAL, of: Mapping[str, str] | None = None) -> Check:
    """Promise that a statement returns no row; each that it returns has a text `finding` for people.

    Where one of the lists `of` that it is about is empty, it has looked at nothing, for the reason given.
    """
    return Check(name, None, Kind.FINDINGS, {"query": query}, severity, of or {})


def hold_reason(broken: Iterable[Broken]) -> str | None:
    """Say in words which failed checks hold what rests on them; None when none did."""
    told = [f"{each.suite}: {each.name}" + (f" ({each.detail})" if each.detail else "") for each in broken]
    return f"data check failed: {'; '.join(told)}" if told else None
