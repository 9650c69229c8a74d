-- What went to the vendors by UTC day and model: our own cache's answers are left out, failures' tokens are not.
SELECT vendor, (occurred_at AT TIME ZONE 'UTC')::date AS day, model,
       count(*) FILTER (WHERE status = 'success') AS requests,
       coalesce(sum(input_tokens), 0)::bigint AS input_tokens, coalesce(sum(cached_tokens), 0)::bigint AS cached_tokens,
       coalesce(sum(output_tokens), 0)::bigint AS output_tokens, coalesce(sum(cost_usd), 0) AS cost_usd,
       bool_or(cost_usd IS NULL AND status = 'success') AS unpriced
  FROM watchkeeper.usage_events
 WHERE tenant_id = :tenant AND occurred_at >= :start AND occurred_at < :end AND vendor = ANY(:vendors)
   AND cache_hit IS NOT TRUE
 GROUP BY vendor, day, model
