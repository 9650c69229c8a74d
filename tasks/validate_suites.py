"""Have Great Expectations validate suites in Postgres: no row leaves it but the findings.

Before it: `tasks/check_quality.py` says which suites, and what is expected at the time. After it: the outcomes are
kept, told and shown. The library is imported inside: it is slow to load.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from ops.monitoring.data_quality.checks import Check, Kind, Outcome, Suite
from tasks.stores.check_queries import batch_query, finding_query

if TYPE_CHECKING:
    from great_expectations.core.expectation_validation_result import ExpectationValidationResult

_SITE = "watchkeeper"
# Counts without examples: Data Docs would write values of rows, which are anybody's text, into its pages as HTML.
_RESULTS = {"result_format": "SUMMARY", "partial_unexpected_count": 0}


@dataclass(frozen=True, slots=True)
class Checked:
    """The outcome of one check; `detail` says what is wrong, or why nothing could be said."""

    suite: str
    name: str
    severity: str
    outcome: Outcome
    observed: str | None
    detail: str | None
    told_by: str | None = None  # the alert that tells of the cause, so that this one tells nobody


def validate(
    engine: sa.Engine, suites: Iterable[Suite], values: Mapping[str, Any], docs: Path | None = None
) -> list[Checked]:
    """Validate suites with the values that their statements ask for; with `docs`, write Data Docs into that folder."""
    checked: list[Checked] = []
    with _opened(engine, docs) as (context, source):
        for suite in suites:
            checked += _run(context, source, suite, engine, values)
        if docs is not None:
            context.build_data_docs(site_names=[_SITE])
    return checked


@contextmanager
def _opened(engine: sa.Engine, docs: Path | None) -> Iterator[tuple[Any, Any]]:
    import great_expectations as gx
    from great_expectations.data_context.types.base import (
        DataContextConfig,
        InMemoryStoreBackendDefaults,
        ProgressBarsConfig,
    )

    config = DataContextConfig(
        store_backend_defaults=InMemoryStoreBackendDefaults(
            init_temp_docs_sites=False
        ),  # else each run leaves a folder
        progress_bars=ProgressBarsConfig(globally=False),
        analytics_enabled=False,
    )
    context: Any = gx.get_context(mode="ephemeral", project_config=config)
    if docs is not None:
        from tasks.data_docs import site

        context.add_data_docs_site(_SITE, site(docs))
    source = context.data_sources.add_postgres(
        "watchkeeper", connection_string=_url(engine),
        create_temp_table=True,  # to learn the columns of a query the library would fetch all of its rows
        kwargs={"poolclass": sa.StaticPool},  # and it would look for the table on any connection
    )  # fmt: skip
    try:
        yield context, source
    finally:  # the library has two engines, and closes neither
        source.get_execution_engine().close()
        source.get_engine().dispose()


def _run(context: Any, source: Any, suite: Suite, engine: sa.Engine, values: Mapping[str, Any]) -> list[Checked]:
    import great_expectations as gx

    built = gx.ExpectationSuite(name=suite.name)
    for check in suite.checks:
        built.add_expectation(_expectation(check, engine, values))
    asset = source.add_query_asset(suite.name, query=batch_query(engine, suite, values))
    batch = asset.add_batch_definition_whole_table("window")
    definition = gx.ValidationDefinition(name=suite.name, data=batch, suite=context.suites.add(built))
    results = context.validation_definitions.add(definition).run(result_format=_RESULTS).results
    outcomes = {_name(result): result for result in results}
    is_empty = _rows(results) == 0
    return [
        _checked(suite, check, outcomes.get(check.name), _nothing(check, values, is_empty=is_empty))
        for check in suite.checks
    ]


def _rows(results: Iterable[ExpectationValidationResult]) -> int | None:
    """Return how many rows the suite has looked at; None when no check of a column could be evaluated."""
    counts = ((result.result or {}).get("element_count") for result in results)
    return max((count for count in counts if count is not None), default=None)


def _nothing(check: Check, values: Mapping[str, Any], *, is_empty: bool) -> str | None:
    """Say why a check had nothing to look at; None when it had something."""
    reasons = [reason for name, reason in check.of.items() if not values[name]]
    return reasons[0] if reasons else "no rows" if is_empty else None


def _expectation(check: Check, engine: sa.Engine, values: Mapping[str, Any]) -> Any:
    from great_expectations import expectations

    from tasks.find_nothing import ExpectNoFindings

    told: dict[str, Any] = {
        "meta": {"name": check.name}, "description": check.name, "severity": check.severity.value
    }  # fmt: skip
    if check.kind is Kind.FINDINGS:
        query = finding_query(engine, str(check.params["query"]), values)
        return ExpectNoFindings(unexpected_rows_query=query, **told)
    return getattr(expectations, check.kind.value)(**check.kwargs, **told)


def _url(engine: sa.Engine) -> str:
    """Return the URL as the library accepts it: with a host (a socket's folder in the query wins), `$` escaped."""
    url = engine.url if engine.url.host else engine.url.set(host="localhost")
    return url.render_as_string(hide_password=False).replace("$", r"\$")


def _name(result: ExpectationValidationResult) -> str | None:
    config = result.expectation_config
    return str(config.meta["name"]) if config and config.meta else None


def _checked(suite: Suite, check: Check, result: ExpectationValidationResult | None, nothing: str | None) -> Checked:
    known = (suite.name, check.name, check.severity.value)
    if result is None:
        return Checked(*known, Outcome.ERRORED, None, "no result")
    errors = [str(info.get("exception_message")) for info in _exceptions(result.exception_info)]
    if errors:
        return Checked(*known, Outcome.ERRORED, None, errors[0].partition("\n")[0][:500])  # the statement follows
    details = result.result or {}
    if result.success and nothing is not None:
        return Checked(*known, Outcome.NO_DATA, None, nothing)
    return Checked(*known, Outcome.PASSED if result.success else Outcome.FAILED, _observed(details), _told(details))


def _exceptions(info: Any) -> list[dict[str, Any]]:
    """Return the raised ones; the library gives one mapping, or one per metric."""
    entries = [info] if "raised_exception" in (info or {}) else list((info or {}).values())
    return [entry for entry in entries if entry.get("raised_exception")]


def _observed(details: dict[str, Any]) -> str | None:
    value = details.get("observed_value", details.get("element_count"))
    return None if value is None else str(value)


def _told(details: dict[str, Any]) -> str | None:
    findings = details.get("details", {}).get("findings")
    count = details.get("unexpected_count")
    return findings or (f"{count:,} rows break it" if count else None)
