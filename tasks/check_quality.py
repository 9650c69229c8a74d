"""Check the data contract on a window of events with Great Expectations, and keep every outcome.

Before it: `ops.monitoring.quality` holds the contract as data. The library is imported
inside the task: it is slow to load.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal

import sqlalchemy as sa
from prefect import task
from prefect.cache_policies import NO_CACHE

from ops.monitoring.quality import EVENT_CHECKS, Check
from ops.window import Window
from tasks.settings import Settings
from tasks.stores import quality

if TYPE_CHECKING:
    from great_expectations.core.expectation_validation_result import ExpectationValidationResult

Outcome = Literal["passed", "failed", "errored"]


@dataclass(frozen=True, slots=True)
class Checked:
    """The outcome of one check; `errored` could not be evaluated, which is neither passed nor failed."""

    name: str
    severity: str
    outcome: Outcome
    observed: str | None
    detail: str | None


@task(cache_policy=NO_CACHE, persist_result=False)
def check_quality(
    engine: sa.Engine, settings: Settings, now: datetime, span: timedelta = timedelta(days=1)
) -> list[Checked]:
    """Check the events of the `span` that ends at `now`."""
    results = _validate(engine, settings.tenant, Window.before(now, span))
    rows = [{"tenant_id": settings.tenant, "as_of": now, **asdict(result)} for result in results]
    with engine.begin() as connection:
        quality.save_checks(connection, rows)
    return results


def _validate(engine: sa.Engine, tenant: str, window: Window) -> list[Checked]:
    import great_expectations as gx
    from great_expectations import expectations
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
    context = gx.get_context(mode="ephemeral", project_config=config)
    source = context.data_sources.add_postgres("watchkeeper", connection_string=_url(engine))
    suite = gx.ExpectationSuite(name="usage_events")
    for check in EVENT_CHECKS:
        suite.add_expectation(getattr(expectations, check.expectation)(**_arguments(check), meta={"name": check.name}))
    try:
        asset = source.add_query_asset("usage_events", query=_query(engine, tenant, window))
        batch = asset.add_batch_definition_whole_table("window").get_batch()
        validation = batch.validate(suite, result_format="SUMMARY")
    finally:  # the library has two engines, and closes neither
        source.get_execution_engine().close()
        source.get_engine().dispose()
    outcomes = {_name(result): result for result in validation.results}
    return [_checked(check, outcomes.get(check.name)) for check in EVENT_CHECKS]


def _url(engine: sa.Engine) -> str:
    """Return the URL as the library accepts it: with a host (a socket's folder in the query wins), `$` escaped."""
    url = engine.url if engine.url.host else engine.url.set(host="localhost")
    return url.render_as_string(hide_password=False).replace("$", r"\$")


def _arguments(check: Check) -> dict[str, Any]:
    return {name: list(value) if isinstance(value, tuple) else value for name, value in check.kwargs.items()}


def _query(engine: sa.Engine, tenant: str, window: Window) -> str:
    """Write the window's events as literal SQL, since the library takes no parameters."""
    from tasks.stores.tables import usage_events

    events = usage_events.c
    wanted = sa.select(usage_events).where(
        events.tenant_id == tenant, events.occurred_at >= window.start, events.occurred_at < window.end
    )
    return str(wanted.compile(engine, compile_kwargs={"literal_binds": True}))


def _name(result: ExpectationValidationResult) -> str | None:
    config = result.expectation_config
    return str(config.meta["name"]) if config and config.meta else None


def _checked(check: Check, result: ExpectationValidationResult | None) -> Checked:
    if result is None:
        return Checked(check.name, check.severity.value, "errored", None, "no result")
    errors = [info.get("exception_message") for info in _exceptions(result.exception_info)]
    if errors:
        return Checked(check.name, check.severity.value, "errored", None, str(errors[0])[:500])
    details = result.result or {}
    outcome: Outcome = "passed" if result.success else "failed"
    return Checked(check.name, check.severity.value, outcome, _observed(details), _unexpected(details))


def _exceptions(info: Any) -> list[dict[str, Any]]:
    """Return the raised ones; the library gives one mapping, or one per metric."""
    entries = [info] if "raised_exception" in (info or {}) else list((info or {}).values())
    return [entry for entry in entries if entry.get("raised_exception")]


def _observed(details: dict[str, Any]) -> str | None:
    value = details.get("observed_value", details.get("element_count"))
    return None if value is None else str(value)


def _unexpected(details: dict[str, Any]) -> str | None:
    count = details.get("unexpected_count")
    return f"{count:,} rows break it" if count else None


def summary(results: list[Checked]) -> str:
    """Say in one line how the checks came out, naming those that did not pass."""
    counts = Counter(result.outcome for result in results)
    broken = [f"{result.name} ({result.outcome})" for result in results if result.outcome != "passed"]
    return f"{counts['passed']} of {len(results)} checks passed" + (f"; not: {', '.join(broken)}" if broken else "")


def report_markdown(results: list[Checked], now: datetime) -> str:
    """Write the artifact: one row per check, what failed first."""
    marks = {"failed": "❌", "errored": "⚠️", "passed": "✅"}
    order = list(marks)
    rows = [
        f"| {marks[r.outcome]} {r.outcome} | {r.severity} | {r.name} | {r.observed or ''} | {r.detail or ''} |"
        for r in sorted(results, key=lambda result: order.index(result.outcome))
    ]
    head = "| Outcome | Severity | Check | Observed | |\n|---|---|---|---|---|\n"
    return f"# Data quality, as of {now:%Y-%m-%d %H:%M} UTC\n\n{head}" + "\n".join(rows) + "\n"
