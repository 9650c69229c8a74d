-- What was used and paid by UTC day, route, model, tier and price bracket: as it was, and kept within the routes' limits
-- (what is cut from the input was cached as far as anything was). Answers of our own cache are left out: they cost nothing.
WITH calls AS (
    SELECT (e.occurred_at AT TIME ZONE 'UTC')::date AS day, coalesce(e.feature, '') AS route, e.vendor, e.model, e.tier,
           e.operation, r.event_id IS NOT NULL AS repeats, e.cost_usd,
           coalesce(e.input_tokens, 0) AS input, coalesce(e.cached_tokens, 0) AS cached,
           coalesce(e.cache_write_tokens, 0) AS written, coalesce(e.cache_write_1h_tokens, 0) AS written_1h,
           coalesce(e.output_tokens, 0) AS output,
           least(coalesce(e.input_tokens, 0), l.max_input) AS kept_input,
           least(coalesce(e.output_tokens, 0), l.max_output) AS kept_output
      FROM watchkeeper.usage_events AS e
      LEFT JOIN repeated_calls AS r USING (event_id, occurred_at)
      LEFT JOIN unnest(CAST(:routes AS text[]), CAST(:inputs AS bigint[]), CAST(:outputs AS bigint[]))
             AS l (route, max_input, max_output)
             ON l.route = coalesce(e.feature, '') AND e.operation IN ('chat', 'completion')
     WHERE e.tenant_id = :tenant AND e.occurred_at >= :start AND e.occurred_at < :end
       AND e.cost_usd IS NOT NULL AND e.cache_hit IS NOT TRUE
), kept AS (
    SELECT *, greatest(cached - (input - kept_input), 0) AS kept_cached,
           least(written, kept_input - greatest(cached - (input - kept_input), 0)) AS kept_written
      FROM calls
)
SELECT day, route, vendor, model, tier, operation, repeats,
       (CAST(:edges AS bigint[]))[width_bucket(input, CAST(:edges AS bigint[]))] AS size,
       (CAST(:edges AS bigint[]))[width_bucket(kept_input, CAST(:edges AS bigint[]))] AS kept_size,
       sum(cost_usd) AS cost_usd, count(*) AS requests,
       sum(input)::bigint AS input, sum(cached)::bigint AS cached, sum(written)::bigint AS written,
       sum(written_1h)::bigint AS written_1h, sum(output)::bigint AS output,
       sum(kept_input)::bigint AS kept_input, sum(kept_cached)::bigint AS kept_cached,
       sum(kept_written)::bigint AS kept_written, sum(least(written_1h, kept_written))::bigint AS kept_written_1h,
       sum(kept_output)::bigint AS kept_output
  FROM kept
 GROUP BY day, route, vendor, model, tier, operation, repeats, size, kept_size
