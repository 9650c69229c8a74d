-- Sum up the sent requests of a window by one of their columns, or all of them (NULL): how they failed, and what else no
-- roll-up has.
SELECT CASE CAST(:by AS text) WHEN 'model' THEN model WHEN 'release' THEN release WHEN 'feature' THEN feature
                              WHEN 'vendor' THEN vendor END AS key,
       count(*) AS sent,
       count(*) FILTER (WHERE error = 'timeout') AS timeout,
       count(*) FILTER (WHERE error = 'rate_limit') AS rate_limit,
       count(*) FILTER (WHERE error = 'content_filter') AS content_filter,
       count(*) FILTER (WHERE error = 'server') AS server,
       count(*) FILTER (WHERE error = 'client') AS client,
       count(*) FILTER (WHERE error NOT IN ('timeout', 'rate_limit', 'content_filter', 'server', 'client')) AS other,
       coalesce(sum(latency_ms), 0) AS busy_ms,
       count(latency_ms) AS timed,
       coalesce(sum(cached_tokens) FILTER (WHERE input_tokens IS NOT NULL), 0)::bigint AS cached_tokens,
       coalesce(sum(input_tokens) FILTER (WHERE cached_tokens IS NOT NULL), 0)::bigint AS input_tokens,
       count(*) FILTER (WHERE input_tokens + cached_tokens IS NOT NULL) AS prompts
  FROM (SELECT *, CASE WHEN status = 'failure' THEN coalesce(error_type, 'other') END AS error
          FROM watchkeeper.usage_events
         WHERE tenant_id = :tenant AND occurred_at >= :start AND occurred_at < :end AND cache_hit IS NOT TRUE) AS requests
 GROUP BY 1
