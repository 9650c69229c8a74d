-- Sum up the requests of a window by one of their columns, or all of them (NULL): what most metrics are worked out from.
SELECT CASE CAST(:by AS text) WHEN 'model' THEN model WHEN 'release' THEN release WHEN 'feature' THEN feature
                              WHEN 'vendor' THEN vendor END AS key,
       count(*) AS requests,
       count(*) FILTER (WHERE sent) AS sent,
       count(*) FILTER (WHERE error = 'timeout') AS timeout,
       count(*) FILTER (WHERE error = 'rate_limit') AS rate_limit,
       count(*) FILTER (WHERE error = 'content_filter') AS content_filter,
       count(*) FILTER (WHERE error = 'server') AS server,
       count(*) FILTER (WHERE error = 'client') AS client,
       count(*) FILTER (WHERE error NOT IN ('timeout', 'rate_limit', 'content_filter', 'server', 'client')) AS other,
       coalesce(sum(latency_ms) FILTER (WHERE sent), 0) AS busy_ms,
       count(latency_ms) FILTER (WHERE sent) AS timed,
       coalesce(sum(cost_usd), 0) AS cost_usd,
       count(cost_usd) AS priced,
       count(*) FILTER (WHERE cache_hit AND operation IN ('chat', 'completion')) AS answer_hits,
       count(cache_hit) FILTER (WHERE operation IN ('chat', 'completion')) AS answers_told,
       count(*) FILTER (WHERE operation IN ('chat', 'completion')) AS answers,
       count(*) FILTER (WHERE cache_hit AND operation = 'embedding') AS embedding_hits,
       count(cache_hit) FILTER (WHERE operation = 'embedding') AS embeddings_told,
       count(*) FILTER (WHERE operation = 'embedding') AS embeddings,
       coalesce(sum(cached_tokens) FILTER (WHERE sent AND input_tokens IS NOT NULL), 0)::bigint AS cached_tokens,
       coalesce(sum(input_tokens) FILTER (WHERE sent AND cached_tokens IS NOT NULL), 0)::bigint AS input_tokens,
       count(*) FILTER (WHERE sent AND input_tokens + cached_tokens IS NOT NULL) AS prompts
  FROM (SELECT *, cache_hit IS NOT TRUE AS sent,
               CASE WHEN cache_hit IS NOT TRUE AND status = 'failure' THEN coalesce(error_type, 'other') END AS error
          FROM watchkeeper.usage_events
         WHERE tenant_id = :tenant AND occurred_at >= :start AND occurred_at < :end) AS requests
 GROUP BY 1
