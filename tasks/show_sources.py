"""Show how every source is doing, as plain values.

Before it: `tasks/stores/source_states.py`. After it: `watchkeeper ingest sources` and `watchkeeper status`.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

import sqlalchemy as sa

from ops.monitoring.alerts import Tier
from tasks.settings import Settings, Source
from tasks.stores.measures import source_sample


def source_rows(settings: Settings, known: dict[str, sa.Row[Any]], now: datetime) -> list[dict[str, Any]]:
    """Return the configured sources in their order, then those that once were."""
    configured = {source.name: source for source in settings.sources}
    names = [*configured, *(name for name in known if name not in configured)]
    return [_row(name, configured.get(name), known.get(name), now) for name in names]


def _row(name: str, source: Source | None, state: sa.Row[Any] | None, now: datetime) -> dict[str, Any]:
    newest = state.newest_event_at if state else None
    tier = source_sample(state, now).tier if source and state else None
    return {
        "source": name,
        "kind": source.kind if source else state.kind if state else None,
        "state": _state(source, state, tier),
        "tier": tier,  # of the alert on its silence
        "last_success_at": state.last_success_at if state else None,
        "last_tried_at": state.last_tried_at if state else None,
        "last_new_at": state.last_new_at if state else None,
        "newest_event_at": newest,
        "lag_s": round((now - newest).total_seconds()) if newest else None,
        "failures": state.failures if state else 0,
        "last_error": state.last_error if state else None,
    }


def _state(source: Source | None, state: sa.Row[Any] | None, tier: Tier | None) -> str:
    if source is None:
        return "not configured"
    if tier is not None:
        return "silent"
    if state is None or state.last_success_at is None:
        return "failing" if state is not None and state.failures else "never loaded"
    return "failing" if state.failures else "loaded"
