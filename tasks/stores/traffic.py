"""Count the requests of the last hours once for two rules: the availability of services, and the outages of vendors.

After it: `ops.monitoring.rules.availability` and `vendor`. What belongs to a vendor's incident is left out of the
services, so that one outage pages once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from ops.monitoring.alerts import Tier
from ops.monitoring.rules.availability import PASSED, TrafficSample
from ops.monitoring.rules.vendor import ANSWERED, NO_SIGN, Fallback, VendorSample, is_out
from ops.monitoring.traffic import Cell, failures, grouped
from tasks.settings import Alerting
from tasks.stores import vendor_statuses
from tasks.stores.idle import idle
from tasks.stores.sql import statement
from tasks.stores.tables import alerts, usage_hourly

NAMELESS = "unknown service"


def availability(connection: sa.Connection, tenant: str, now: datetime, limits: Alerting) -> list[TrafficSample]:  # noqa: ARG001
    """Sample every service with traffic in the last 6 hours, and one without any for a week while its alert is open."""
    cells = _cells(connection, tenant, now)
    out = {sample.vendor for sample in _vendors(connection, tenant, now, cells) if is_out(sample)}
    services = grouped(cells, lambda cell: cell.service)
    name = sa.func.coalesce(usage_hourly.c.service, NAMELESS)
    gone = idle(connection, tenant, "availability", name, now, known=services)
    return [
        *(_service(key, some, out) for key, some in services.items()),
        *(TrafficSample(key, is_idle=True) for key in gone),
    ]


def vendors(connection: sa.Connection, tenant: str, now: datetime, limits: Alerting) -> list[VendorSample]:  # noqa: ARG001
    """Sample every vendor with traffic in the last 6 hours, every configured one, and one whose alert is open."""
    return _vendors(connection, tenant, now, _cells(connection, tenant, now))


def _cells(connection: sa.Connection, tenant: str, now: datetime) -> list[Cell]:
    rows = connection.execute(statement("traffic"), {"tenant": tenant, "now": now})
    return [Cell(row.vendor, row.model, row.service, row.outcome, (row.n5m, row.n1h, row.n6h)) for row in rows]


def _service(key: str, cells: Sequence[Cell], out: set[str]) -> TrafficSample:
    shares = failures([cell for cell in cells if cell.vendor not in out], PASSED)
    return TrafficSample(key, *shares, left_out=tuple(sorted({cell.vendor for cell in cells} & out)))


def _vendors(connection: sa.Connection, tenant: str, now: datetime, cells: Sequence[Cell]) -> list[VendorSample]:
    by_vendor = grouped(cells, lambda cell: cell.vendor)
    known = vendor_statuses.known(connection, tenant)
    tiers = _open_tiers(connection, tenant)
    gone = set(idle(connection, tenant, "vendor", "vendor:" + usage_hourly.c.vendor, now))
    return [
        replace(
            _vendor(name, by_vendor, known.get(name), now),
            is_paged=tiers.get(name) == Tier.CRITICAL, is_idle=f"vendor:{name}" in gone,
        )
        for name in sorted({*by_vendor, *known, *tiers})
    ]  # fmt: skip


def _vendor(name: str, by_vendor: Mapping[str, Sequence[Cell]], row: sa.Row[Any] | None, now: datetime) -> VendorSample:
    return VendorSample(
        vendor=name, cells=by_vendor.get(name, ()),
        reading=vendor_statuses.reading(row, now) if row is not None else None,
        fallback=_fallback(row.fallback, by_vendor) if row is not None and row.fallback else None,
    )  # fmt: skip


def _fallback(model: str, by_vendor: Mapping[str, Sequence[Cell]]) -> Fallback:
    cells = by_vendor.get(model.split("/", 1)[0], ())
    _, one_hour, _ = failures([cell for cell in cells if cell.outcome not in NO_SIGN], ANSWERED)
    return Fallback(model, one_hour)


def _open_tiers(connection: sa.Connection, tenant: str) -> dict[str, str]:
    """Return the tier of each vendor's open alert."""
    rows = connection.execute(
        sa.select(alerts.c.key, alerts.c.tier).where(
            alerts.c.tenant_id == tenant, alerts.c.rule == "vendor", alerts.c.state != "resolved"
        )
    )
    return {row.key.removeprefix("vendor:"): row.tier for row in rows}
