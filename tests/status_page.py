"""A vendor's status page: a `summary.json` as Atlassian's Statuspage writes it, and as the tests bend it."""

from __future__ import annotations

from typing import Any

_TIMES = {"created_at": "2026-03-05T11:40:00.000Z", "updated_at": "2026-03-05T11:50:00.000Z"}
_INDICATORS = {"none": "All Systems Operational", "minor": "Minor Service Outage", "major": "Partial System Outage",
               "critical": "Major Service Outage", "maintenance": "Service Under Maintenance"}  # fmt: skip


def component(name: str, status: str = "operational", **fields: Any) -> dict[str, Any]:
    """Make a component; `group` and `group_id` are those of a flat list."""
    made = {"id": f"id-{name}", "name": name, "status": status, "position": 1, "description": None, **_TIMES}
    made |= {"page_id": "p1", "group": False, "group_id": None, "only_show_if_degraded": False, "showcase": True}
    return {**made, **fields}


def incident(name: str, impact: str = "major", status: str = "investigating", *affected: str) -> dict[str, Any]:
    """Make an incident of these components."""
    update = {"id": "u1", "status": status, "body": "We are looking into it.", "incident_id": "i1", **_TIMES}
    made = {"id": "i1", "name": name, "impact": impact, "status": status, "monitoring_at": None, "resolved_at": None}
    shown = {"shortlink": "https://stspg.io/i1", "started_at": "2026-03-05T11:40:00.000Z", "page_id": "p1", **_TIMES}
    return {**made, **shown, "incident_updates": [update], "components": [component(one) for one in affected]}


def maintenance(name: str, status: str = "scheduled") -> dict[str, Any]:
    """Make a maintenance of tomorrow's night."""
    times = {"scheduled_for": "2026-03-06T02:00:00.000Z", "scheduled_until": "2026-03-06T04:00:00.000Z"}
    return {**incident(name, "maintenance", status), **times}


def summary_json(
    indicator: str = "none", components: list[dict[str, Any]] | None = None,
    incidents: list[dict[str, Any]] | None = None, maintenances: list[dict[str, Any]] | None = None,
) -> dict[str, Any]:  # fmt: skip
    """Make a page; by default two components, and all is well."""
    parts = [component("Messages API"), component("Console")] if components is None else components
    return {
        "page": {"id": "p1", "name": "Vendor", "url": "https://status.vendor.test", "time_zone": "Etc/UTC",
                 "updated_at": "2026-03-05T11:50:00.000Z"},
        "components": parts, "incidents": incidents or [], "scheduled_maintenances": maintenances or [],
        "status": {"indicator": indicator, "description": _INDICATORS.get(indicator, indicator)},
    }  # fmt: skip
