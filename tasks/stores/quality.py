"""Quality as rows: the results of data checks."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from ops.monitoring.status import CheckResult
from tasks.stores.tables import quality_checks


def save_checks(connection: sa.Connection, rows: Sequence[dict[str, Any]]) -> None:
    """Keep the outcome of every check of a run; a run repeated for the same time replaces it."""
    if not rows:
        return
    statement = insert(quality_checks)
    changed = {name: statement.excluded[name] for name in ("severity", "outcome", "observed", "detail")}
    connection.execute(
        statement.on_conflict_do_update(index_elements=["tenant_id", "as_of", "name"], set_=changed), list(rows)
    )


def last_results(connection: sa.Connection, tenant: str, since: datetime) -> list[CheckResult]:
    """Return the last outcome of every check that was made since then."""
    kept = quality_checks.c
    rows = connection.execute(
        sa.select(kept.name, kept.severity, kept.outcome, kept.detail, kept.as_of)
        .where(kept.tenant_id == tenant, kept.as_of >= since)
        .distinct(kept.name)
        .order_by(kept.name, kept.as_of.desc())
    )
    return [CheckResult(**row) for row in rows.mappings()]
