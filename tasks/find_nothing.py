"""The one expectation of our own: a statement that must return no row, and tells in words what it found.

The library's UnexpectedRowsExpectation runs its statement twice and keeps none of what it returned. This module imports
the library, which is slow to load: import it where it is needed.
"""

from __future__ import annotations

from typing import Any

from great_expectations.compatibility import pydantic
from great_expectations.expectations.core.unexpected_rows_expectation import UnexpectedRowsExpectation

SHOWN = 3


class ExpectNoFindings(UnexpectedRowsExpectation):
    """Pass when the statement returns no row; else each row's `finding` says what is wrong."""

    metric_dependencies = ("unexpected_rows_query.table",)

    @pydantic.validator("unexpected_rows_query")
    def _validate_query(cls, query: str) -> str:  # the library's would print that a statement names its own tables
        return query

    def _validate(self, metrics: dict[str, Any], *_: object, **__: object) -> dict[str, Any]:
        findings = [str(row["finding"]) for row in metrics["unexpected_rows_query.table"]]
        more = f"; and {len(findings) - SHOWN} more" if len(findings) > SHOWN else ""
        result = {"observed_value": len(findings), "details": {"findings": "; ".join(findings[:SHOWN]) + more}}
        return {"success": not findings, "result": result}
