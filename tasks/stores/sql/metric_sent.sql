-- Sum up what no roll-up has of the sent requests of a window, by one of their columns, or of all of them (NULL).
SELECT CASE CAST(:by AS text) WHEN 'model' THEN model WHEN 'release' THEN release WHEN 'feature' THEN feature
                              WHEN 'vendor' THEN vendor END AS key,
       coalesce(sum(latency_ms), 0) AS busy_ms,
       count(latency_ms) AS timed,
       coalesce(sum(cached_tokens) FILTER (WHERE input_tokens IS NOT NULL), 0)::bigint AS cached_tokens,
       coalesce(sum(input_tokens) FILTER (WHERE cached_tokens IS NOT NULL), 0)::bigint AS input_tokens,
       count(*) FILTER (WHERE input_tokens + cached_tokens IS NOT NULL) AS prompts
  FROM watchkeeper.usage_events
 WHERE tenant_id = :tenant AND occurred_at >= :start AND occurred_at < :end AND cache_hit IS NOT TRUE
 GROUP BY 1
