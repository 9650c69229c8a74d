"""Both sides of the vendors' bills: our events' sums, the vendors' reports, and the comparison that is kept.

Before it: `tasks/stores/ingest.py` keeps the reports. After it: `tasks/reconcile_costs.py` compares, and
`tasks/stores/measures.py` measures the last final day.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import fields
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import sqlalchemy as sa

from ops.cost.reconciliation import FINAL_AFTER, WHOLE_DAY, Key, Line, Sums, cost_family, family
from ops.vendor_usage import INPUT_ALONE
from ops.window import Window
from tasks.stores.sql import statement
from tasks.stores.tables import reconciliations, vendor_costs, vendor_usage

_COUNTS = ("requests", "input_tokens", "cached_tokens", "output_tokens")
_FIELDS = tuple(field.name for field in fields(Sums))
_LOCK = 0x57A7EC
Amounts = dict[str, Any]


def reported_days(connection: sa.Connection, tenant: str, days: Window) -> dict[tuple[str, date], bool]:
    """Return the days that each vendor has reported, and whether they are final.

    A vendor writes nothing of a day without usage: every day between its first and its last one counts.
    """
    rows = connection.execute(
        statement("reported_days"),
        {"tenant": tenant, "start": days.start, "end": days.end, "final_after": FINAL_AFTER},
    )
    return {(row.vendor, row.day): row.is_final for row in rows}


def our_sums(connection: sa.Connection, tenant: str, days: Window, vendors: Iterable[str]) -> dict[Key, Sums]:
    """Sum up our events by vendor, day and family; what our own cache answered never reached the vendor."""
    rows = connection.execute(
        statement("our_sums"), {"tenant": tenant, "start": days.start, "end": days.end, "vendors": sorted(set(vendors))}
    )
    return _added_up((row.vendor, row.day, family(row.model), _ours(row)) for row in rows)


def _ours(row: sa.Row[Any]) -> Amounts:
    return {name: getattr(row, name) for name in _COUNTS} | {"cost_usd": None if row.unpriced else row.cost_usd}


def their_sums(connection: sa.Connection, tenant: str, days: Window) -> dict[Key, Sums]:
    """Sum up the vendors' reports by vendor, day and family; all sources of a vendor are one bill.

    A line of the bill counts for a model when the usage of that day names it; of the whole day it is a part always.
    """
    usage = connection.execute(_reports(vendor_usage, tenant, days)).all()
    told: list[tuple[str, date, str | None, Amounts]] = [
        (row.vendor, row.starts_at.date(), family(row.model) if row.model else None, _counts(row)) for row in usage
    ]
    models = {key[:3] for key in told}
    for row in connection.execute(_reports(vendor_costs, tenant, days)):
        day = row.starts_at.date()
        name = cost_family(row.line_item, row.dimensions.get("model"))
        known = name if (row.vendor, day, name) in models else None
        told.append((row.vendor, day, known, {"cost_usd": row.cost_usd}))
    return _added_up(told)


def _counts(row: sa.Row[Any]) -> Amounts:
    counts = {name: getattr(row, name) for name in _COUNTS}
    if row.endpoint in INPUT_ALONE:
        counts |= {name: counts[name] or 0 for name in ("cached_tokens", "output_tokens")}
    return counts


def _reports(table: sa.Table, tenant: str, days: Window) -> sa.Select[Any]:
    return sa.select(table).where(
        table.c.tenant_id == tenant, table.c.starts_at >= days.start, table.c.starts_at < days.end
    )


def _added_up(rows: Iterable[tuple[str, date, str | None, Amounts]]) -> dict[Key, Sums]:
    """Add up by family and by whole day. What one row does not know (None) is unknown in the sum."""
    sums: dict[Key, Amounts] = defaultdict(dict)
    for vendor, day, model, amounts in rows:
        for name in {model, WHOLE_DAY} - {None}:
            found = sums[vendor, day, str(name)]
            for field, amount in amounts.items():
                before = found.get(field, 0)
                found[field] = None if amount is None or before is None else before + amount
    return {key: Sums(**amounts) for key, amounts in sums.items()}


def replace(connection: sa.Connection, tenant: str, days: Window, lines: Iterable[Line], now: datetime) -> None:
    """Keep the lines in place of all that is kept of these days; two that do so at once take turns."""
    connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_LOCK)))
    kept = reconciliations.c
    connection.execute(
        sa.delete(reconciliations).where(
            kept.tenant_id == tenant, kept.day >= days.start.date(), kept.day < days.end.date()
        )
    )
    rows = [_row(tenant, line, now) for line in lines]
    if rows:
        connection.execute(sa.insert(reconciliations), rows)


def _row(tenant: str, line: Line, now: datetime) -> dict[str, Any]:
    nothing = Sums()
    return {
        "tenant_id": tenant, "vendor": line.vendor, "day": line.day, "model": line.model, "is_final": line.is_final,
        **{f"our_{name}": getattr(line.ours or nothing, name) for name in _FIELDS},
        **{f"their_{name}": getattr(line.theirs or nothing, name) for name in _FIELDS},
        "in_logs": line.ours is not None, "in_report": line.theirs is not None, "computed_at": now,
    }  # fmt: skip


def lines(connection: sa.Connection, tenant: str, days: Window) -> list[Line]:
    """Return what is kept of some days, by vendor, day and model."""
    kept = reconciliations.c
    rows = connection.execute(
        sa.select(reconciliations)
        .where(kept.tenant_id == tenant, kept.day >= days.start.date(), kept.day < days.end.date())
        .order_by(kept.vendor, kept.day, kept.model)
    )
    return [_line(row._asdict()) for row in rows]


def _line(row: Mapping[str, Any]) -> Line:
    return Line(
        vendor=row["vendor"], day=row["day"], model=row["model"], is_final=row["is_final"],
        ours=_side(row, "our") if row["in_logs"] else None, theirs=_side(row, "their") if row["in_report"] else None,
    )  # fmt: skip


def _side(row: Mapping[str, Any], side: str) -> Sums:
    amounts: dict[str, int | Decimal | None] = {name: row[f"{side}_{name}"] for name in _FIELDS}
    return Sums(**amounts)  # type: ignore[arg-type]  # counts and dollars, as the columns hold them
