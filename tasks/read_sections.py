"""Read each section of `watchkeeper status`: a small query or two of roll-ups and states; of events the last hour.

Before it: `tasks/read_status.py` opens the database. Between: the areas of `ops` write the rows (`ops/*/*status.py`).
To add a section: one function and one line in SECTIONS. All of them are to take half a second: the month's roll-ups are
read once, and what would need every user's is taken from what was told.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from functools import cached_property

import sqlalchemy as sa

from ops.cost.budgets import Period
from ops.cost.scopes import TOTAL, Scope, ScopeKind
from ops.cost.status import Checked, Forecast, Spent, budget_row, spend_row, told_row
from ops.deployment.status import rollout_rows
from ops.monitoring.metrics import METRICS
from ops.monitoring.quality_status import check_rows, evaluation_rows, metric_rows, score_rows
from ops.monitoring.status import Evaluated, alert_rows, backlog_rows, period, source_row, step_rows, vendor_rows
from ops.monitoring.vendor_status import Reading
from ops.status import ALERTS, Level, Row
from ops.usage import ErrorType
from ops.window import Window
from tasks.find_due import IDLE
from tasks.measure_budget import measure_budget, named_beside, period_of, standings_of, window_of
from tasks.settings import PROBE_SET, Budget, Settings
from tasks.show_sources import source_rows
from tasks.stores import (
    alerts,
    budgets,
    costs,
    evaluation_runs,
    ingest,
    metrics,
    outbox,
    quality_checks,
    quality_samples,
    rejects,
    rollouts,
    schema,
    source_states,
    storage,
    vendor_statuses,
)

Schedules = Mapping[str, str | None]  # cron by flow
_HOUR, _DAY = timedelta(hours=1), timedelta(days=1)
# Of the last hour.
_HEADLINES = {
    "requests": ("requests_per_minute", "error_rate", "availability"),
    "errors": tuple(f"error_rate_{kind}" for kind in ErrorType),
    "latency": ("latency_p50_ms", "latency_p95_ms", "latency_p99_ms"),
    "cost": ("cost_total_usd", "cost_per_request_usd"),
    "cache hits": ("response_cache_hit_rate", "embedding_cache_hit_rate", "prompt_cache_hit_rate"),
}
UPGRADE = "`watchkeeper db upgrade`"


@dataclass(frozen=True)
class Look:
    """What a section is read with, and what several of them need."""

    connection: sa.Connection
    settings: Settings
    now: datetime
    schedules: Schedules

    @property
    def tenant(self) -> str:
        """Whose state it is."""
        return self.settings.tenant

    @cached_property
    def spent(self) -> Mapping[tuple[Period, Scope], Spent]:
        """What the present month and day cost, in all and by team, feature and model."""
        day = Window.day_of(self.now, self.settings.zone)
        return costs.spent_by_scope(self.connection, self.tenant, self.month.start, day.start, self.now)

    @cached_property
    def forecasts(self) -> Mapping[Scope, Forecast]:
        """What was projected last for the month, in all and by team, feature and model."""
        return costs.forecasts(self.connection, self.tenant, self.month)

    @cached_property
    def reached(self) -> Mapping[str, datetime]:
        """When each step came to its end last."""
        return ingest.all_watermarks(self.connection, self.tenant)

    @property
    def month(self) -> Window:
        """The present one, as budgets have it."""
        return Window.month_of(self.now, self.settings.zone)

    def every(self, flow: str) -> timedelta | None:
        """How often a flow is to run; None: by hand only."""
        cron = self.schedules.get(flow)
        return period(cron) if cron else None


def _read_database(look: Look) -> Iterable[Row]:
    version = str(look.connection.execute(sa.text("SHOW server_version")).scalar_one()).split()[0]
    size = storage.database_bytes(look.connection)
    found, newest = schema.current_of(look.connection), schema.head()
    facts = {"version": version, "bytes": size, "schema": found, "newest": newest}
    kind = "embedded" if look.settings.database_url is None else "configured"
    text = f"Postgres {version}, {kind}, {size / 1e6:,.0f} MB, schema {found}"
    if found == newest:
        return [Row(Level.OK, "", text, facts)]
    return [Row(Level.WARNING, "", f"{text}, this version's is {newest}: {UPGRADE}", facts)]


def _read_sources(look: Look) -> Iterable[Row]:
    known = source_states.states(look.connection, look.tenant)
    rejected = rejects.counts(look.connection, look.tenant)
    rows = [
        source_row(source, rejected.get(source["source"], 0), look.now)
        for source in source_rows(look.settings, known, look.now)
    ]
    return rows or [Row(Level.NONE, "", "none is configured")]


def _read_spend(look: Look) -> Iterable[Row]:
    return [
        spend_row("today", look.spent[Period.DAY, TOTAL], look.now),
        spend_row("this month", look.spent[Period.MONTH, TOTAL], look.now, look.forecasts.get(TOTAL)),
    ]


def _read_budgets(look: Look) -> Iterable[Row]:
    rows = [_budget_row(look, budget) for budget in look.settings.budgets]
    return rows or [Row(Level.NONE, "", "none is set")]


def _budget_row(look: Look, budget: Budget) -> Row:
    window, length, kind = window_of(budget, look.settings.zone, look.now), period_of(budget), ScopeKind(budget.scope)
    if kind is ScopeKind.USER and budget.key == budgets.EACH:
        apart = named_beside(look.settings, budget)
        told = budgets.told(look.connection, look.tenant, kind, length, window.start, budget.usd, apart)
        checked = Checked(look.reached.get("check-budgets"), look.every("check-budgets") or _DAY)
        return told_row(f"{kind}:{budget.key}, {length}", budget.usd, told, checked, look.now)
    if kind is ScopeKind.USER:
        standings = list(measure_budget(look.connection, look.settings, budget, window, look.now))
    else:
        standings = list(standings_of(look.settings, budget, window, look.now, _by_key(look, kind, length, budget.key)))
    return budget_row(standings, look.forecasts) if standings else _nothing_spent(budget, length)


def _by_key(look: Look, kind: ScopeKind, length: Period, key: str) -> Mapping[str, Decimal]:
    found = {scope.key: spent.usd for (period, scope), spent in look.spent.items()
             if period is length and scope.kind is kind}  # fmt: skip
    return found if key == budgets.EACH else {key: found.get(key, Decimal(0))}


def _nothing_spent(budget: Budget, length: Period) -> Row:
    return Row(Level.OK, f"{budget.scope}:{budget.key}, {length}", "nobody has spent anything")


def _read_alerts(look: Look) -> Iterable[Row]:
    pending, resolved = alerts.pending_and_resolved(look.connection, look.tenant, look.now - _DAY)
    evaluated = Evaluated(at=look.reached.get("evaluate_alerts"), every=IDLE, pending=pending, resolved=resolved)
    return alert_rows(alerts.firing(look.connection, look.tenant), evaluated, look.now)


def _read_vendors(look: Look) -> Iterable[Row]:
    known = vendor_statuses.known(look.connection, look.tenant)
    unread = {vendor.name: Reading(now=look.now) if vendor.status_url else None for vendor in look.settings.vendors}
    return vendor_rows(unread | {name: vendor_statuses.reading(row, look.now) for name, row in known.items()})


def _read_outbox(look: Look) -> Iterable[Row]:
    return backlog_rows(outbox.backlogs(look.connection, look.tenant, look.now), look.now)


def _read_rollouts(look: Look) -> Iterable[Row]:
    return rollout_rows(rollouts.open_or_ended_since(look.connection, look.tenant, look.now - _DAY), look.now)


def _read_metrics(look: Look) -> Iterable[Row]:
    window = Window.before(look.now, _HOUR)
    found = {about: [METRICS[name] for name in names] for about, names in _HEADLINES.items()}
    sources = {metric.source for group in found.values() for metric in group}
    sums = {source: metrics.read(look.connection, look.tenant, source, window, None).get(None) for source in sources}
    return metric_rows(
        {about: [each.read(None, sums[each.source], window) for each in group] for about, group in found.items()}
    )


def _read_scores(look: Look) -> Iterable[Row]:
    asked = (look.connection, look.tenant, look.now, look.settings.alerting)
    samples = quality_samples.quality(*asked, quality_samples.judge(*asked))
    return score_rows(samples)


def _read_evaluations(look: Look) -> Iterable[Row]:
    evaluation = look.settings.evaluation
    names = [*(each.name for each in evaluation.sets), *([PROBE_SET] if evaluation.judge else [])]
    runs = evaluation_runs.last_of(look.connection, look.tenant, names, look.now) if names else {}
    return evaluation_rows(runs, look.every("run-evaluations"), look.now)


def _read_checks(look: Look) -> Iterable[Row]:
    results = quality_checks.results(look.connection, look.tenant, look.now)
    return check_rows(results, look.every("check-quality") or _DAY, look.now)


def _read_steps(look: Look) -> Iterable[Row]:
    return step_rows(look.schedules, look.reached, look.now)


# In the order of the screen.
SECTIONS: dict[str, Callable[[Look], Iterable[Row]]] = {
    "database": _read_database,
    "sources": _read_sources,
    "spend": _read_spend,
    "budgets": _read_budgets,
    ALERTS: _read_alerts,
    "vendors": _read_vendors,
    "outbox": _read_outbox,
    "rollouts": _read_rollouts,
    "last hour": _read_metrics,
    "scores": _read_scores,
    "evaluations": _read_evaluations,
    "data checks": _read_checks,
    "steps": _read_steps,
}
