-- Count a tenant's events of a day anew, hour by hour: what the additive sums of usage_hourly must equal.
SELECT tenant_id, date_trunc('hour', occurred_at, 'UTC') AS hour, vendor, model, operation, service, release, feature,
       team_id,
       count(*) AS events,
       count(*) FILTER (WHERE status <> 'success') AS failures,
       count(*) - count(cost_usd) AS unpriced_events,
       coalesce(sum(cost_usd), 0) AS cost_usd,
       coalesce(sum(reported_cost_usd), 0) AS reported_cost_usd,
       coalesce(sum(input_tokens), 0) AS input_tokens,
       coalesce(sum(cached_tokens), 0) AS cached_tokens,
       coalesce(sum(cache_write_tokens), 0) AS cache_write_tokens,
       coalesce(sum(output_tokens), 0) AS output_tokens,
       count(*) FILTER (WHERE cache_hit) AS cache_hits,
       count(cache_hit) AS cache_eligible,
       coalesce(sum(cost_usd) FILTER (WHERE reported_cost_usd IS NOT NULL), 0) AS compared_cost_usd,
       coalesce(sum(reported_cost_usd) FILTER (WHERE cost_usd IS NOT NULL), 0) AS compared_reported_usd
  FROM watchkeeper.usage_events
 WHERE tenant_id = :tenant AND occurred_at >= :start AND occurred_at < :end
 GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9
