"""Vendors of the settings as rows: their fallback, and what their status page said when it was read last.

Before it: `tasks/read_vendor_status.py` reads the pages. After it: `tasks/stores/traffic.py` samples the vendors.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from ops.monitoring.vendor_status import Reading, StatusPage
from tasks.settings import Vendor
from tasks.stores.tables import vendor_statuses

_KEY = ["tenant_id", "vendor"]
_OF_THE_PAGE = ("read_at", "page", "etag", "last_modified", "tried_at", "error", "failing_since")


def watch(connection: sa.Connection, tenant: str, vendors: Iterable[Vendor]) -> None:
    """Keep these vendors and no others; what was read of another page, or for other components, is forgotten."""
    known = vendor_statuses.c
    by_name = {vendor.name: vendor for vendor in vendors}
    connection.execute(sa.delete(vendor_statuses).where(known.tenant_id == tenant, known.vendor.not_in(by_name)))
    for name, vendor in sorted(by_name.items()):  # in one order, so that two flows do not deadlock
        fields = {"status_url": vendor.status_url, "components": list(vendor.components), "fallback": vendor.fallback}
        statement = insert(vendor_statuses).values(tenant_id=tenant, vendor=name, **fields)
        fresh = statement.excluded
        is_same = sa.and_(
            known.status_url.is_not_distinct_from(fresh.status_url), known.components == fresh.components
        )  # fmt: skip
        kept = {name: sa.case((is_same, known[name]), else_=None) for name in _OF_THE_PAGE}
        changed = {**kept, **{name: fresh[name] for name in fields}}
        connection.execute(statement.on_conflict_do_update(index_elements=_KEY, set_=changed))


def known(connection: sa.Connection, tenant: str) -> dict[str, sa.Row[Any]]:
    """Return the row of every vendor, by its name."""
    rows = connection.execute(
        sa.select(vendor_statuses).where(vendor_statuses.c.tenant_id == tenant).order_by(vendor_statuses.c.vendor)
    )
    return {row.vendor: row for row in rows}


def reading(row: sa.Row[Any], now: datetime) -> Reading | None:
    """Return how the reading of a vendor's page stands; None when none is configured."""
    if row.status_url is None:
        return None
    page = msgspec.convert(row.page, StatusPage) if row.page is not None else None
    return Reading(now=now, read_at=row.read_at, page=page, error=row.error, failing_since=row.failing_since)


def record_page(
    connection: sa.Connection, tenant: str, vendor: str, page: StatusPage, now: datetime,
    *, etag: str | None, last_modified: str | None,
) -> None:  # fmt: skip
    """Remember what a page says now, and by which marks to ask whether it still does."""
    _update(
        connection, tenant, vendor, tried_at=now, error=None, failing_since=None, read_at=now,
        page=msgspec.to_builtins(page), etag=etag, last_modified=last_modified,
    )  # fmt: skip


def record_unchanged(connection: sa.Connection, tenant: str, vendor: str, now: datetime) -> None:
    """Remember that a page still says what it said."""
    _update(connection, tenant, vendor, tried_at=now, error=None, failing_since=None, read_at=now)


def record_failure(connection: sa.Connection, tenant: str, vendor: str, error: str, now: datetime) -> None:
    """Remember that a page could not be read and since when, and what it said before."""
    since = sa.func.coalesce(vendor_statuses.c.failing_since, now)
    _update(connection, tenant, vendor, tried_at=now, error=error, failing_since=since)


def _update(connection: sa.Connection, tenant: str, vendor: str, **values: Any) -> None:
    is_it = (vendor_statuses.c.tenant_id == tenant, vendor_statuses.c.vendor == vendor)
    connection.execute(sa.update(vendor_statuses).where(*is_it).values(**values))
