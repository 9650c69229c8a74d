"""What the loader remembers: how far each file and source was read; scores, and what vendors report."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from ops.scores import Score
from ops.vendor_usage import COUNTS, VendorCost, VendorUsage
from ops.window import Window
from tasks.stores.tables import (
    ingest_files,
    ingest_sources,
    scores,
    vendor_costs,
    vendor_usage,
    watermarks,
)

if TYPE_CHECKING:
    from tasks.sources.interface import Batch  # every kind of source comes with it, and httpx


def known_files(connection: sa.Connection, tenant: str, source: str, head: str) -> list[sa.Row[Any]]:
    """Return the files of a source that begin alike, the one that was read the furthest first."""
    files = ingest_files.c
    return list(
        connection.execute(
            sa.select(ingest_files)
            .where(files.tenant_id == tenant, files.source == source, files.head == head)
            .order_by(files.byte_offset.desc(), files.file_id)
        )
    )


def set_read_to_end(connection: sa.Connection, tenant: str, source: str, file_id: str, file_size: int) -> None:
    """Remember that a file of this size was read to its end, so that it is opened again only when it has grown."""
    files = ingest_files.c
    is_it = (files.tenant_id == tenant, files.source == source, files.file_id == file_id)
    connection.execute(sa.update(ingest_files).where(*is_it).values(file_size=file_size))


def set_position(connection: sa.Connection, row: dict[str, Any]) -> None:
    """Remember how far a file was read; never moves backwards."""
    statement = insert(ingest_files).values(**row)
    fresh = statement.excluded
    moved = ("path", "byte_offset", "lines", "chain", "tail", "updated_at")
    statement = statement.on_conflict_do_update(
        index_elements=["tenant_id", "source", "file_id"],
        set_={name: fresh[name] for name in moved},
        where=fresh.byte_offset >= ingest_files.c.byte_offset,
    )
    connection.execute(statement)


def hold_source(connection: sa.Connection, tenant: str, source: str) -> None:
    """Let nobody else correct what a source told until the transaction ends.

    A delete does not see what another transaction inserts meanwhile: of two corrections at once the older one could
    stay, or both of them.
    """
    lock = f"watchkeeper.source/{tenant}/{source}"
    connection.execute(sa.select(sa.func.pg_advisory_xact_lock(sa.func.hashtextextended(lock, 0))))


def add_scores(connection: sa.Connection, tenant: str, marks: Sequence[Score]) -> int:
    """Insert scores that are not there yet, and return how many were new."""
    if not marks:
        return 0
    ordered = sorted(marks, key=lambda mark: mark.score_id)  # so that two loaders do not deadlock
    rows = [{"tenant_id": tenant, **msgspec.structs.asdict(mark)} for mark in ordered]
    statement = insert(scores).on_conflict_do_nothing().returning(scores.c.score_id)
    return len(connection.execute(statement, rows).all())


def correct_scores(connection: sa.Connection, tenant: str, marks: Sequence[Score]) -> tuple[int, int]:
    """Insert scores, or put them in place of what was there under their ids; return how many were new, and changed."""
    rows = [{"tenant_id": tenant, **msgspec.structs.asdict(mark)} for mark in marks]
    latest = sorted({row["score_id"]: row for row in rows}.values(), key=lambda row: str(row["score_id"]))
    if not latest:
        return 0, 0
    statement = insert(scores)
    names = [column.name for column in scores.c if not column.primary_key]
    are_other = sa.tuple_(*(scores.c[name] for name in names)).is_distinct_from(
        sa.tuple_(*(statement.excluded[name] for name in names))
    )
    corrected = statement.on_conflict_do_update(
        index_elements=["tenant_id", "score_id"],
        set_={name: statement.excluded[name] for name in names},
        where=are_other,
    ).returning(sa.literal_column("(xmax = 0)", sa.Boolean).label("is_new"))
    found = list(connection.execute(corrected, latest).scalars())
    return sum(found), len(found) - sum(found)


def replace_reports(
    connection: sa.Connection, tenant: str, source: str, batch: Batch, now: datetime
) -> tuple[int, int]:
    """Put what a vendor reports in place of all that is stored of the days it covers; return how many new and changed.

    A row that the vendor reports no more goes. A report that was asked for before the stored one changes nothing.
    """
    if batch.covers is None:
        return 0, 0
    hold_source(connection, tenant, source)
    tables = (vendor_usage, vendor_costs)
    stored = [_reports_of(table, tenant, source, batch.covers) for table in tables]
    newer = [sa.exists().where(*where, table.c.fetched_at > now) for table, where in zip(tables, stored, strict=True)]
    if connection.execute(sa.select(sa.or_(*newer))).scalar_one():
        return 0, 0
    usage = [
        {**_report(tenant, source, item, now), "endpoint": item.endpoint, "model": item.model,
         **{name: getattr(item, name) for name in COUNTS}}
        for item in batch.usage
    ]  # fmt: skip
    costs = [
        {**_report(tenant, source, item, now), "line_item": item.line_item, "cost_usd": item.cost_usd}
        for item in batch.costs
    ]
    done = [_replace(connection, *each) for each in zip(tables, stored, (usage, costs), strict=True)]
    return sum(new for new, _ in done), sum(changed for _, changed in done)


def _report(tenant: str, source: str, item: VendorUsage | VendorCost, now: datetime) -> dict[str, Any]:
    return {
        "tenant_id": tenant, "source": source, "bucket_key": item.key, "vendor": item.vendor, "fetched_at": now,
        "starts_at": item.window.start, "ends_at": item.window.end, "dimensions": item.dimensions,
    }  # fmt: skip


def _reports_of(table: sa.Table, tenant: str, source: str, days: Window) -> list[sa.ColumnElement[bool]]:
    is_source = (table.c.tenant_id == tenant, table.c.source == source)
    return [*is_source, table.c.starts_at >= days.start, table.c.starts_at < days.end]


def _replace(
    connection: sa.Connection, table: sa.Table, where: list[sa.ColumnElement[bool]], rows: list[dict[str, Any]]
) -> tuple[int, int]:
    """Return how many rows are new, and how many were there with other contents."""
    taken_out = connection.execute(sa.delete(table).where(*where).returning(*table.c)).mappings()
    before = {row["bucket_key"]: {**row, "fetched_at": None} for row in taken_out}
    if rows:
        connection.execute(sa.insert(table), rows)
    known = [row for row in rows if row["bucket_key"] in before]
    changed = sum(before[row["bucket_key"]] != {**row, "fetched_at": None} for row in known)
    return len(rows) - len(known), changed


def watermark(connection: sa.Connection, tenant: str, step: str) -> datetime | None:
    """Return how far a step has come; None when it never ran."""
    return connection.execute(
        sa.select(watermarks.c.reached_at).where(watermarks.c.tenant_id == tenant, watermarks.c.step == step)
    ).scalar_one_or_none()


def all_watermarks(connection: sa.Connection, tenant: str) -> dict[str, datetime]:
    """Return the time that every step has reached."""
    rows = connection.execute(
        sa.select(watermarks.c.step, watermarks.c.reached_at).where(watermarks.c.tenant_id == tenant)
    )
    return {row.step: row.reached_at for row in rows}


def set_watermark(connection: sa.Connection, tenant: str, step: str, reached_at: datetime) -> None:
    """Remember how far a step has come."""
    statement = insert(watermarks).values(tenant_id=tenant, step=step, reached_at=reached_at)
    statement = statement.on_conflict_do_update(
        index_elements=["tenant_id", "step"], set_={"reached_at": statement.excluded.reached_at}
    )
    connection.execute(statement)


def cursor(connection: sa.Connection, tenant: str, source: str) -> datetime | None:
    """Return how far a polled source has been read; None before the first poll."""
    sources = ingest_sources.c
    return connection.execute(
        sa.select(sources.cursor_at).where(sources.tenant_id == tenant, sources.source == source)
    ).scalar_one_or_none()


def move_cursor(connection: sa.Connection, tenant: str, source: str, kind: str, reached_at: datetime) -> None:
    """Remember how far a polled source has been read; never moves backwards."""
    statement = insert(ingest_sources).values(
        tenant_id=tenant, source=source, kind=kind, cursor_at=reached_at,
        first_tried_at=reached_at, last_tried_at=reached_at,
    )  # fmt: skip
    later = sa.func.greatest(ingest_sources.c.cursor_at, statement.excluded.cursor_at)
    connection.execute(
        statement.on_conflict_do_update(index_elements=["tenant_id", "source"], set_={"cursor_at": later})
    )


def record_success(
    connection: sa.Connection, tenant: str, source: str, kind: str, now: datetime, *, found_new: bool
) -> None:
    """Remember that a source was loaded; `found_new` when it had something that we had not."""
    statement = insert(ingest_sources).values(
        tenant_id=tenant, source=source, kind=kind, first_tried_at=now, last_tried_at=now, last_success_at=now,
        last_new_at=now if found_new else None,
    )  # fmt: skip
    sources = ingest_sources.c
    changed: dict[str, Any] = {
        "kind": kind,
        "last_tried_at": sa.func.greatest(sources.last_tried_at, now),  # a day that is replayed is no news
        "last_success_at": sa.func.greatest(sources.last_success_at, now),
        "failures": 0,
        "last_error": None,
    }
    changed |= {"last_new_at": now} if found_new else {}
    connection.execute(statement.on_conflict_do_update(index_elements=["tenant_id", "source"], set_=changed))


def record_failure(connection: sa.Connection, tenant: str, source: str, kind: str, now: datetime, error: str) -> None:
    """Remember that a source could not be loaded, and why."""
    text = storable(error, 2000)
    statement = insert(ingest_sources).values(
        tenant_id=tenant, source=source, kind=kind, first_tried_at=now, last_tried_at=now, failures=1, last_error=text
    )
    changed = {"last_tried_at": now, "failures": ingest_sources.c.failures + 1, "last_error": text}
    connection.execute(statement.on_conflict_do_update(index_elements=["tenant_id", "source"], set_=changed))


def storable(text: str, limit: int) -> str:
    """Return what Postgres can hold of a text, at most so many characters."""
    return text[:limit].encode("utf-8", errors="replace").decode().replace("\x00", "\\0")
