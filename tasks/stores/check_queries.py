"""The SQL that data checks run, written out with its values: Great Expectations takes no parameters."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from ops.monitoring.data_quality.checks import Suite
from tasks.stores.sql import statement
from tasks.stores.tables import cost_projections, event_profiles, usage_events, usage_hourly

_TYPES: Mapping[type, Any] = {
    str: sa.Text(), int: sa.BigInteger(), datetime: sa.DateTime(timezone=True), list: sa.ARRAY(sa.Text()),
}  # fmt: skip


def finding_query(engine: sa.Engine, name: str, values: Mapping[str, Any]) -> str:
    """Write the statement of that name; the library formats it and reads it as SQLAlchemy's text."""
    text = statement(name)
    wanted = [sa.bindparam(key, values[key], type_=_TYPES[type(values[key])]) for key in text.compile().params]
    sql = _written(engine, text.bindparams(*wanted))
    return re.sub(r"(?<![:\w\\]):(?=\w)", r"\\:", sql.replace("{", "{{").replace("}", "}}"))


def batch_query(engine: sa.Engine, suite: Suite, values: Mapping[str, Any]) -> str:
    """Write the rows and columns that a suite's other checks look at."""
    tenant, start, now = values["tenant"], values["start"], values["now"]
    events, hourly, profiles, latest = usage_events.c, usage_hourly.c, event_profiles.c, cost_projections.c
    window = (events.tenant_id == tenant, events.occurred_at >= start, events.occurred_at < now)
    newest = sa.select(sa.func.max(latest.as_of)).where(latest.tenant_id == tenant, latest.as_of <= now)
    rows = {
        "events": sa.select(usage_events).where(*window),
        "prices": sa.select(usage_events).where(*window),
        "rollups": sa.select(usage_hourly).where(
            hourly.tenant_id == tenant, hourly.hour >= values["first_hour"], hourly.hour < values["end_hour"]
        ),
        "traffic": sa.select(event_profiles).where(
            profiles.tenant_id == tenant, profiles.hour >= values["history"], profiles.hour < now
        ),
        "projections": sa.select(cost_projections).where(
            latest.tenant_id == tenant, latest.as_of == newest.scalar_subquery()
        ),
    }
    chosen = rows[suite.name]
    names = sorted(set().union(*(check.columns for check in suite.checks)))
    return _written(engine, chosen.with_only_columns(*(chosen.selected_columns[name] for name in names)))


def _written(engine: sa.Engine, query: sa.Executable) -> str:
    return str(query.compile(engine, compile_kwargs={"literal_binds": True}))  # type: ignore[attr-defined]
