"""The roll-ups once more, counted from the events themselves: what additive ones must equal after any loads."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

_HOURLY = """
SELECT tenant_id, date_trunc('hour', occurred_at, 'UTC') AS hour, vendor, model, operation, service, release, feature,
       team_id, count(*) AS events, sum((status = 'failure')::int) AS failures,
       sum((cost_usd IS NULL)::int) AS unpriced_events, sum(coalesce(cost_usd, 0)) AS cost_usd,
       sum(coalesce(reported_cost_usd, 0)) AS reported_cost_usd, sum(coalesce(input_tokens, 0)) AS input_tokens,
       sum(coalesce(cached_tokens, 0)) AS cached_tokens, sum(coalesce(cache_write_tokens, 0)) AS cache_write_tokens,
       sum(coalesce(output_tokens, 0)) AS output_tokens, sum((cache_hit IS TRUE)::int) AS cache_hits,
       sum((cache_hit IS NOT NULL)::int) AS cache_eligible,
       sum(CASE WHEN reported_cost_usd IS NULL THEN 0 ELSE coalesce(cost_usd, 0) END) AS compared_cost_usd,
       sum(CASE WHEN cost_usd IS NULL THEN 0 ELSE coalesce(reported_cost_usd, 0) END) AS compared_reported_usd
  FROM watchkeeper.usage_events GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9
"""
# gamma = (1 + 1 %) / (1 - 1 %)
_LATENCY = """
SELECT tenant_id, date_trunc('hour', occurred_at, 'UTC') AS hour, vendor, model, service, release,
       ceil(ln(greatest(latency_ms, 0.001)) / ln(1.01::float8 / 0.99))::smallint AS bin, count(*) AS n
  FROM watchkeeper.usage_events
 WHERE status = 'success' AND latency_ms IS NOT NULL AND cache_hit IS NOT TRUE GROUP BY 1, 2, 3, 4, 5, 6, 7
"""
_USERS = """
SELECT tenant_id, date_trunc('day', occurred_at, 'UTC') AS day, user_id, count(*) AS events,
       sum((cost_usd IS NULL)::int) AS unpriced_events, sum(coalesce(cost_usd, 0)) AS cost_usd,
       sum(coalesce(input_tokens, 0)) AS input_tokens, sum(coalesce(output_tokens, 0)) AS output_tokens
  FROM watchkeeper.usage_events WHERE user_id IS NOT NULL GROUP BY 1, 2, 3
"""
_ROLLUPS = {
    "watchkeeper.usage_hourly": _HOURLY, "watchkeeper.latency_hourly": _LATENCY, "watchkeeper.usage_daily_users": _USERS
}  # fmt: skip


def differences(engine: sa.Engine) -> list[Any]:
    """Return the rows that only the roll-ups or only the events tell of; none when they agree."""
    with engine.connect() as connection:
        return [
            row
            for table, counted in _ROLLUPS.items()
            for row in connection.execute(sa.text(_both_ways(table, counted)))
        ]


def _both_ways(table: str, counted: str) -> str:
    return (
        f"WITH kept AS (TABLE {table}), counted AS ({counted}) "  # noqa: S608  the constants above
        "(SELECT 'rolled up' AS side, * FROM (TABLE kept EXCEPT ALL TABLE counted) AS a) UNION ALL "
        "(SELECT 'counted' AS side, * FROM (TABLE counted EXCEPT ALL TABLE kept) AS b)"
    ).replace("::", "\\:\\:")
