"""Read the state of everything: a small query or two for each section, of roll-ups and states; of events the last hour.

Before it: everything that writes. Between: the areas of `ops` write the rows (`ops/*/status.py`). After it:
`cli/status.py` prints them. A look changes nothing: the schema stays as it is, and a section that cannot be read says
why. To add a section: one function and one line in SECTIONS. Prefect is not imported: it takes a second.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from ops.cost.scopes import TOTAL
from ops.cost.status import Spent, budget_row, spend_row
from ops.deployment.status import rollout_rows
from ops.errors import Unavailable, in_words
from ops.monitoring.metrics import METRICS
from ops.monitoring.rules import RULES
from ops.monitoring.status import (
    alert_rows,
    backlog_rows,
    check_rows,
    metric_rows,
    score_rows,
    source_row,
    step_rows,
    vendor_rows,
)
from ops.monitoring.vendor_status import Reading
from ops.status import Level, Row, Section
from ops.window import Window
from tasks.embedded_postgres import Cluster
from tasks.measure_budget import measure_budget, window_of
from tasks.resources import first_line, open_database
from tasks.settings import Budget, Settings
from tasks.show_sources import source_rows
from tasks.stores import (
    alerts,
    costs,
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
    "latency": ("latency_p50_ms", "latency_p95_ms", "latency_p99_ms"),
}
# Of one query, and of its waiting for a lock: whoever locks one table mostly locks others too.
_PATIENCE = sa.text("SELECT set_config('statement_timeout', '5s', true), set_config('lock_timeout', '150ms', true)")
_UPGRADE = "`watchkeeper db upgrade`"


@dataclass(frozen=True, slots=True)
class Look:
    """What a section is read with."""

    connection: sa.Connection
    settings: Settings
    now: datetime
    schedules: Schedules

    @property
    def tenant(self) -> str:
        """Whose state it is."""
        return self.settings.tenant


@dataclass(frozen=True, slots=True)
class Page:
    """The state of everything at one time."""

    tenant: str
    now: datetime
    sections: tuple[Section, ...]

    @property
    def levels(self) -> list[Level]:
        """How each row stands."""
        return [row.level for section in self.sections for row in section.rows]

    def as_json(self) -> dict[str, Any]:
        """Return what `--json` prints."""
        return {
            "tenant": self.tenant, "as_of": self.now, "level": Level.gravest(self.levels),
            "sections": [
                {"section": section.name, "level": section.level, "rows": [asdict(row) for row in section.rows]}
                for section in self.sections
            ],
        }  # fmt: skip


def read_status(settings: Settings, now: datetime, schedules: Schedules) -> Page:
    """Read every section as of `now`; without a database, or a schema in it, that is all there is to say."""
    return Page(settings.tenant, now, tuple(_sections(settings, now, schedules)))


def _sections(settings: Settings, now: datetime, schedules: Schedules) -> list[Section]:
    if settings.database_url is None and not Cluster(settings.home).exists:
        return [_database(Level.UNREADABLE, "there is none yet: `watchkeeper up` makes one")]
    try:
        with open_database(settings, upgrade=False) as engine:
            found = schema.current(engine)
            if found is None:
                return [_database(Level.UNREADABLE, f"it has no schema yet: {_UPGRADE} makes it")]
            return [_section(engine, settings, now, schedules, name) for name in SECTIONS]
    except Unavailable as error:
        return [_database(Level.CRITICAL, str(error))]


def _database(level: Level, text: str) -> Section:
    return Section("database", (Row(level, "", text),))


def _section(engine: sa.Engine, settings: Settings, now: datetime, schedules: Schedules, name: str) -> Section:
    try:
        with engine.connect().execution_options(postgresql_readonly=True) as connection:
            connection.execute(_PATIENCE)
            return Section(name, tuple(SECTIONS[name](Look(connection, settings, now, schedules))))
    except sa.exc.DBAPIError as error:
        return Section(name, (Row(Level.UNREADABLE, "", first_line(error)),))
    except Exception as error:  # noqa: BLE001  rows of another version: the other sections are read
        return Section(name, (Row(Level.UNREADABLE, "", in_words(error)),))


def _read_database(look: Look) -> Iterable[Row]:
    version = str(look.connection.execute(sa.text("SHOW server_version")).scalar_one()).split()[0]
    size = storage.database_bytes(look.connection)
    found, newest = schema.current_of(look.connection), schema.head()
    facts = {"version": version, "bytes": size, "schema": found, "newest": newest}
    kind = "embedded" if look.settings.database_url is None else "configured"
    text = f"Postgres {version}, {kind}, {size / 1e6:,.0f} MB, schema {found}"
    if found == newest:
        return [Row(Level.OK, "", text, facts)]
    return [Row(Level.WARNING, "", f"{text}, this version's is {newest}: {_UPGRADE}", facts)]


def _read_sources(look: Look) -> Iterable[Row]:
    known = source_states.states(look.connection, look.tenant)
    rejected = rejects.counts(look.connection, look.tenant)
    rows = [
        source_row(source, rejected.get(source["source"], 0), look.now)
        for source in source_rows(look.settings, known, look.now)
    ]
    return rows or [Row(Level.NONE, "", "none is configured")]


def _read_spend(look: Look) -> Iterable[Row]:
    zone = look.settings.zone
    day, month = Window.day_of(look.now, zone), Window.month_of(look.now, zone)
    forecast = costs.forecasts(look.connection, look.tenant, month).get(TOTAL)
    return [
        spend_row("today", _spent(look, day), look.now),
        spend_row("this month", _spent(look, month), look.now, forecast),
    ]


def _spent(look: Look, window: Window) -> Spent:
    events, unpriced, usd = costs.totals(look.connection, look.tenant, Window(window.start, look.now))
    return Spent(events=events, unpriced_events=unpriced, usd=usd)


def _read_budgets(look: Look) -> Iterable[Row]:
    month = Window.month_of(look.now, look.settings.zone)
    known = costs.forecasts(look.connection, look.tenant, month)
    rows = []
    for budget in look.settings.budgets:
        window = window_of(budget, look.settings.zone, look.now)
        standings = list(measure_budget(look.connection, look.settings, budget, window, look.now))
        rows.append(budget_row(standings, known) if standings else _nothing_spent(budget))
    return rows or [Row(Level.NONE, "", "none is set")]


def _nothing_spent(budget: Budget) -> Row:
    return Row(Level.OK, f"{budget.scope}:{budget.key}", "nobody has spent half of it")


def _read_alerts(look: Look) -> Iterable[Row]:
    judged_at = ingest.watermark(look.connection, look.tenant, "evaluate_alerts")
    return alert_rows(alerts.firing(look.connection, look.tenant), judged_at, look.now)


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
    samples = quality_samples.quality(look.connection, look.tenant, look.now, look.settings.alerting)
    return score_rows([RULES["quality"](sample) for sample in samples])


def _read_checks(look: Look) -> Iterable[Row]:
    return check_rows(quality_checks.results(look.connection, look.tenant, look.now, look.now - _DAY), look.now)


def _read_steps(look: Look) -> Iterable[Row]:
    return step_rows(look.schedules, ingest.all_watermarks(look.connection, look.tenant), look.now)


# In the order of the screen.
SECTIONS: dict[str, Callable[[Look], Iterable[Row]]] = {
    "database": _read_database,
    "sources": _read_sources,
    "spend": _read_spend,
    "budgets": _read_budgets,
    "alerts": _read_alerts,
    "vendors": _read_vendors,
    "outbox": _read_outbox,
    "rollouts": _read_rollouts,
    "metrics": _read_metrics,
    "scores": _read_scores,
    "data checks": _read_checks,
    "steps": _read_steps,
}
