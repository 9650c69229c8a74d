-- Sum up the requests of a window by one of their columns, or all of them (NULL), and by model where that is asked for:
-- whole hours, [:first, :last), from the roll-up, the rest from the window's own events.
WITH parts AS (
    SELECT vendor, model, release, feature, operation, events, unpriced_events, cost_usd, cache_hits, cache_eligible
      FROM watchkeeper.usage_hourly
     WHERE tenant_id = :tenant AND hour >= :first AND hour < :last
     UNION ALL
    SELECT vendor, model, release, feature, operation, count(*), count(*) - count(cost_usd), coalesce(sum(cost_usd), 0),
           count(*) FILTER (WHERE cache_hit), count(cache_hit)
      FROM watchkeeper.usage_events
     WHERE tenant_id = :tenant
       AND (occurred_at >= :start AND occurred_at < :first OR occurred_at >= :last AND occurred_at < :end)
     GROUP BY 1, 2, 3, 4, 5
)
SELECT CASE CAST(:by AS text) WHEN 'model' THEN model WHEN 'release' THEN release WHEN 'feature' THEN feature
                              WHEN 'vendor' THEN vendor END AS key,
       CASE WHEN :is_by_version THEN model END AS version,
       sum(events)::bigint AS requests,
       sum(cost_usd) AS cost_usd,
       sum(events - unpriced_events)::bigint AS priced,
       coalesce(sum(events) FILTER (WHERE operation IN ('chat', 'completion')), 0)::bigint AS answers,
       coalesce(sum(cache_eligible) FILTER (WHERE operation IN ('chat', 'completion')), 0)::bigint AS answers_told,
       coalesce(sum(cache_hits) FILTER (WHERE operation IN ('chat', 'completion')), 0)::bigint AS answer_hits,
       coalesce(sum(events) FILTER (WHERE operation = 'embedding'), 0)::bigint AS embeddings,
       coalesce(sum(cache_eligible) FILTER (WHERE operation = 'embedding'), 0)::bigint AS embeddings_told,
       coalesce(sum(cache_hits) FILTER (WHERE operation = 'embedding'), 0)::bigint AS embedding_hits
  FROM parts
 GROUP BY 1, 2
