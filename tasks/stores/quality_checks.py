"""The outcomes of data checks as rows: kept for ever, and read as the alert rule and what rests on data read them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from itertools import groupby
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from ops.monitoring.alerts import Tier
from ops.monitoring.data_quality import SUITES, suites_under
from ops.monitoring.data_quality.checks import Broken, Outcome, Use, hold_reason
from ops.monitoring.data_quality.history import Past, Run, told_apart
from ops.monitoring.data_quality.traffic import OF_WATCHED, told_of
from ops.monitoring.quality_status import CheckResult
from ops.monitoring.rules.data_quality import CheckSample
from ops.window import Window
from tasks.settings import Alerting
from tasks.stores import alerts, source_states
from tasks.stores.sql import statement
from tasks.stores.tables import quality_checks

_KEY = ("tenant_id", "suite", "as_of", "name")


def save(connection: sa.Connection, rows: Sequence[dict[str, Any]]) -> None:
    """Keep the outcome of every check of a run; a run repeated for the same time replaces it."""
    if not rows:
        return
    new = insert(quality_checks)
    changed = {name: new.excluded[name] for name in ("severity", "outcome", "observed", "detail", "told_by")}
    connection.execute(new.on_conflict_do_update(index_elements=_KEY, set_=changed), list(rows))


def latest(connection: sa.Connection, tenant: str, now: datetime) -> list[sa.Row[Any]]:
    """Return every suite's outcomes of its last run up to `now`: a check that is made no more counts no more."""
    values = {"tenant": tenant, "now": now, "suites": list(SUITES)}
    return list(connection.execute(statement("latest_checks"), values))


def results(connection: sa.Connection, tenant: str, now: datetime) -> list[CheckResult]:
    """Return the outcomes of every suite's last run."""
    return [
        CheckResult(
            suite=row.suite,
            name=row.name,
            severity=row.severity,
            outcome=row.outcome,
            detail=row.detail,
            as_of=row.as_of,
        )
        for row in latest(connection, tenant, now)
    ]


def hold(connection: sa.Connection, tenant: str, use: Use, now: datetime) -> str | None:
    """Say which failed critical checks hold a use of the data; None when there are none.

    One that failed and then could not be evaluated, or had no data, holds until it passes, as its alert does.
    """
    under = suites_under(use)
    return hold_reason(
        Broken(row.suite, row.name, row.stands_detail)
        for row in _asked(connection, tenant, now)
        if row.suite in under and row.severity == Tier.CRITICAL and row.stands == "failed"
    )


def history(connection: sa.Connection, tenant: str, window: Window) -> list[Past]:
    """Return how every check came out in the window, by suite and name."""
    table = quality_checks.c
    rows = connection.execute(
        sa.select(table.suite, table.name, table.as_of, table.severity, table.outcome, table.observed, table.detail)
        .where(table.tenant_id == tenant, table.as_of >= window.start, table.as_of < window.end)
        .order_by(table.suite, table.name, table.as_of)
    )
    by_check = groupby(rows, lambda row: (row.suite, row.name))
    return [Past(suite, name, told_apart(Run(*row[2:]) for row in same)) for (suite, name), same in by_check]


def missed(connection: sa.Connection, tenant: str, now: datetime) -> set[str]:
    """Return the sources whose silence the last checks found to be the cause of what is missing."""
    told = [row.told_by for row in latest(connection, tenant, now) if row.outcome == Outcome.FAILED and row.told_by]
    return {source for words in told for source in told_of(words)}


def _asked(connection: sa.Connection, tenant: str, now: datetime) -> list[sa.Row[Any]]:
    """Return the latest outcomes, but what stands of sources that are watched no more: nobody waits for them."""
    since = source_states.watched_since(connection, tenant)
    return [row for row in latest(connection, tenant, now) if not _is_over(row, since)]


def _is_over(row: sa.Row[Any], watched_since: datetime | None) -> bool:
    """Tell whether a check of watched sources has no data, and none of today's was watched when it said something."""
    if row.outcome != Outcome.NO_DATA or row.name not in OF_WATCHED:
        return False
    return watched_since is None or (row.stands_at is not None and row.stands_at < watched_since)


def samples(connection: sa.Connection, tenant: str, now: datetime, limits: Alerting) -> list[CheckSample]:  # noqa: ARG001
    """Sample every check of the last runs, and one that is made no more as long as its alert is open."""
    found = {f"{row.suite}/{row.name}": row for row in _asked(connection, tenant, now)}
    opened = {
        key.removeprefix("check:") for rule, key in alerts.open_alerts(connection, tenant) if rule == "data_quality"
    }
    gone = sorted(opened - found.keys())
    return [
        *(_sample(check, row) for check, row in found.items()),
        *(CheckSample(check=check, severity=Tier.INFO, outcome=None, checked_at=now) for check in gone),
    ]


def _sample(check: str, row: sa.Row[Any]) -> CheckSample:
    return CheckSample(
        check=check, severity=row.severity, outcome=row.outcome, checked_at=row.as_of, detail=row.detail,
        told_by=row.told_by,
        holds=tuple(sorted(SUITES[row.suite].carries)) if row.severity == Tier.CRITICAL else (),
    )  # fmt: skip
