"""Measure what the alert rules judge: each function returns the samples of one rule, from roll-ups where they suffice.

After it: `ops.monitoring.rules`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import groupby
from typing import Any

import sqlalchemy as sa

from ops.cost.breakdown import CauseShares, PeriodUsage, break_down_by_model
from ops.cost.reconciliation import Agreement, Line, whole_days
from ops.monitoring.rules.cache import CacheSample
from ops.monitoring.rules.latency import LatencySample
from ops.monitoring.rules.prices import PriceSample
from ops.monitoring.rules.reconciliation import BillSample
from ops.monitoring.rules.silence import SourceSample, together
from ops.monitoring.rules.spend import Drivers, SpendSample
from ops.proportions import Share
from ops.window import Window, floor_day, floor_hour
from tasks.settings import Alerting
from tasks.stores import quality_checks, quality_samples, reconciliations, traffic
from tasks.stores.idle import idle
from tasks.stores.sql import statement
from tasks.stores.tables import alerts, ingest_sources, usage_events, usage_hourly

_HOUR, _DAY = timedelta(hours=1), timedelta(days=1)
_USUAL_DAYS = 7  # whose same hour tells what is usual of an hour's causes
MOST_PARTS = 200  # features and teams whose spend is watched hour by hour: the dearest


def latency(connection: sa.Connection, tenant: str, now: datetime, limits: Alerting) -> list[LatencySample]:  # noqa: ARG001
    """Sample slow requests of every model in the last hour, and one without any for a week while its alert is open."""
    rows = connection.execute(statement("latency"), {"tenant": tenant, "now": now, "today": floor_day(now)})
    found = [LatencySample(row.model, Share(row.slow, row.n), row.p95_ms) for row in rows]
    gone = idle(connection, tenant, "latency", usage_hourly.c.model, now, known={sample.key for sample in found})
    return [*found, *(LatencySample(key, is_idle=True) for key in gone)]


def spend(connection: sa.Connection, tenant: str, now: datetime, limits: Alerting) -> list[SpendSample]:
    """Sample the last full hour's cost, in total and of the dearest features and teams, with the hours before it."""
    rows = connection.execute(statement("spend_hours"), {"tenant": tenant, "now": now, "most": MOST_PARTS + 1}).all()
    at = floor_hour(now) - _HOUR
    by_key = {key: {row.hour: row for row in group} for key, group in groupby(rows, lambda row: row.key)}
    drivers = _drivers(connection, tenant, at)
    samples = (_spend_sample(key, hours, at, limits, drivers.get(key)) for key, hours in by_key.items())
    return [sample for sample in samples if sample is not None]


def _spend_sample(
    key: str, hours: Mapping[datetime, Any], at: datetime, limits: Alerting, drivers: Drivers | None
) -> SpendSample | None:
    first = min(hours)
    history = tuple(
        float(hours[hour].cost_usd) if (hour := first + k * _HOUR) in hours else 0.0
        for k in range(int((at - first) / _HOUR))
    )
    if not history:
        return None
    return SpendSample(
        key=key,
        cost_usd=Decimal(hours[at].cost_usd) if at in hours else Decimal(0),
        history=history,
        floor_usd=limits.spend_floor_usd,
        drivers=drivers,
    )


def _drivers(connection: sa.Connection, tenant: str, at: datetime) -> dict[str, Drivers]:
    """Say of every key that cost more than the mean of the same hour of the last 7 days what made it so."""
    hours = [at - k * _DAY for k in range(_USUAL_DAYS + 1)]
    rows = connection.execute(statement("spend_causes"), {"tenant": tenant, "at": at, "hours": hours})
    sides: dict[str, tuple[dict[str, PeriodUsage], dict[str, PeriodUsage]]] = defaultdict(lambda: ({}, {}))
    for row in rows:
        weight = _USUAL_DAYS if row.is_now else 1  # as often as the days that it is compared with
        sides[row.key][row.is_now][row.model] = PeriodUsage(
            weight * int(row.requests), weight * int(row.tokens), weight * Decimal(row.cost_usd)
        )
    found = {key: break_down_by_model(before, after) for key, (before, after) in sides.items()}
    return {key: _per_hour(causes) for key, causes in found.items() if causes.change_usd > 0}


def _per_hour(causes: CauseShares) -> Drivers:
    return Drivers(
        causes.requests_usd / _USUAL_DAYS, causes.tokens_per_request_usd / _USUAL_DAYS,
        causes.price_per_token_usd / _USUAL_DAYS,
    )  # fmt: skip


def cache(connection: sa.Connection, tenant: str, now: datetime, limits: Alerting) -> list[CacheSample]:  # noqa: ARG001
    """Sample the hit rate of embedding calls that went through a cache in the last hour."""
    events = usage_events.c
    hits, eligible = connection.execute(
        sa.select(sa.func.count().filter(events.cache_hit), sa.func.count(events.cache_hit)).where(
            events.tenant_id == tenant,
            events.operation == "embedding",
            events.occurred_at >= now - _HOUR,
            events.occurred_at < now,
        )
    ).one()
    if eligible:
        return [CacheSample("embedding", Share(hits, eligible))]
    gone = idle(connection, tenant, "cache", usage_hourly.c.operation, now)
    return [CacheSample(key, is_idle=True) for key in gone]


def silence(connection: sa.Connection, tenant: str, now: datetime, limits: Alerting) -> list[SourceSample]:  # noqa: ARG001
    """Sample every watched source, and one that is watched no more as long as its alert is open."""
    known = ingest_sources.c
    is_open = sa.exists().where(
        alerts.c.tenant_id == tenant, alerts.c.rule == "silence", alerts.c.key == "source:" + known.source,
        alerts.c.state != "resolved",
    )  # fmt: skip
    rows = connection.execute(
        sa.select(ingest_sources)
        .where(known.tenant_id == tenant, sa.or_(known.silent_after_minutes.is_not(None), is_open))
        .order_by(known.source)
    )
    missed = quality_checks.missed(connection, tenant, now)
    return together(source_sample(row, now, missed) for row in rows)


def source_sample(row: sa.Row[Any], now: datetime, missed: Collection[str] = ()) -> SourceSample:
    """Read a row of `ingest_sources` as the rule does."""
    minutes = row.silent_after_minutes
    return SourceSample(
        source=row.source, now=now, limit=None if minutes is None else timedelta(minutes=minutes),
        watched_since=row.first_tried_at, last_tried_at=row.last_tried_at, last_success_at=row.last_success_at,
        is_missed=row.source in missed, failures=row.failures, last_error=row.last_error,
    )  # fmt: skip


def reconciliation(connection: sa.Connection, tenant: str, now: datetime, limits: Alerting) -> list[BillSample]:
    """Sample each vendor's last final day of the week."""
    today = floor_day(now)
    by_vendor: dict[str, list[Line]] = {}
    for line in reconciliations.lines(connection, tenant, Window(today - 8 * _DAY, today)):
        by_vendor.setdefault(line.vendor, []).append(line)
    return [_bill_sample(vendor, lines, limits) for vendor, lines in by_vendor.items()]


def _bill_sample(vendor: str, lines: Sequence[Line], limits: Alerting) -> BillSample:
    limit: dict[str, Any] = {"tolerance": limits.bill_tolerance, "floor_usd": limits.bill_floor_usd}
    final = [line for line in whole_days(lines) if line.is_final]
    if not final:
        return BillSample(vendor=vendor, day=None, **limit)
    last = final[0]
    unit, (ours, theirs) = last.compared()
    shows = {line.model: line.agreement(limits.bill_tolerance) for line in lines if line.day == last.day and line.model}
    return BillSample(
        vendor=vendor, day=last.day, ours=ours, theirs=theirs, unit=unit,
        shows=last.agreement(limits.bill_tolerance).value,
        worst={model: shown.value for model, shown in shows.items() if shown is not Agreement.AGREES}, **limit,
    )  # fmt: skip


def prices(connection: sa.Connection, tenant: str, now: datetime, limits: Alerting) -> list[PriceSample]:  # noqa: ARG001
    """Sample every model of the last 24 full hours and this one, and one without requests while its alert is open."""
    day = Window(floor_hour(now) - _DAY, floor_hour(now) + _HOUR)
    rows = connection.execute(statement("price_day"), {"tenant": tenant, "start": day.start, "end": day.end})
    found = [PriceSample(**row) for row in rows.mappings()]
    known = {sample.model for sample in found}
    open_keys = connection.execute(
        sa.select(alerts.c.key).where(
            alerts.c.tenant_id == tenant, alerts.c.rule == "prices", alerts.c.state != "resolved"
        )
    ).scalars()
    gone = sorted({key.removeprefix("model:") for key in open_keys} - known)
    return [*found, *(PriceSample(model=model) for model in gone)]


def measure(connection: sa.Connection, tenant: str, now: datetime, limits: Alerting) -> dict[str, Sequence[object]]:
    """Return the samples of every rule; what judges are checked by is read once, for two rules."""
    asked = (connection, tenant, now, limits)
    judges = quality_samples.judge(*asked)
    return {
        "availability": traffic.availability(*asked),
        "vendor": traffic.vendors(*asked),
        "latency": latency(*asked),
        "spend": spend(*asked),
        "cache": cache(*asked),
        "judge": judges,
        "quality": quality_samples.quality(*asked, judges),
        "silence": silence(*asked),
        "reconciliation": reconciliation(*asked),
        "prices": prices(*asked),
        "data_quality": quality_checks.samples(*asked),
    }
