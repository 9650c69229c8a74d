-- Per model: how many requests of a span have no price, and both costs of those that have both.
SELECT vendor || '/' || model AS model, sum(events)::bigint AS events, sum(failures)::bigint AS failures,
       sum(unpriced_events)::bigint AS unpriced_events, sum(compared_cost_usd) AS our_usd,
       sum(compared_reported_usd) AS reported_usd
  FROM watchkeeper.usage_hourly
 WHERE tenant_id = :tenant AND hour >= :start AND hour < :end
 GROUP BY vendor, model
 ORDER BY 1
