-- A tenant's events of a UTC day with what they cost now and what they would by these cards. `changed` is written so
-- that the cost is worked out once an event.
SELECT e.tenant_id, e.tableoid AS part, e.ctid AS spot, date_trunc('hour', e.occurred_at, 'UTC') AS hour,
       e.vendor, e.model, e.operation, e.service, e.release, e.feature, e.team_id, e.user_id, e.tier, e.reported_cost_usd,
       e.cost_usd AS old_usd, p.cost_usd AS new_usd,
       CASE WHEN e.cache_hit THEN 'gateway-cache' ELSE c.price_source END AS price_source,
       CASE WHEN e.cache_hit THEN NULL ELSE c.price_snapshot END AS price_snapshot,
       e.cost_usd IS DISTINCT FROM p.cost_usd
       OR (e.cost_usd IS NOT NULL AND e.price_source IS DISTINCT FROM
           CASE WHEN e.cache_hit THEN 'gateway-cache' ELSE c.price_source END) AS changed
  FROM watchkeeper.usage_events AS e
  LEFT JOIN unnest(
        CAST(:card_vendor AS text[]), CAST(:card_model AS text[]), CAST(:card_tier AS text[]),
        CAST(:card_valid_from AS timestamptz[]), CAST(:card_valid_to AS timestamptz[]),
        CAST(:card_from_input_tokens AS bigint[]), CAST(:card_to_input_tokens AS bigint[]),
        CAST(:card_input_usd AS numeric[]), CAST(:card_cached_usd AS numeric[]), CAST(:card_cache_write_usd AS numeric[]),
        CAST(:card_cache_write_1h_usd AS numeric[]), CAST(:card_output_usd AS numeric[]),
        CAST(:card_request_usd AS numeric[]),
        CAST(:card_price_source AS text[]), CAST(:card_snapshot AS text[])
       ) AS c (
        vendor, model, tier, valid_from, valid_to, from_input_tokens, to_input_tokens, input_usd, cached_usd,
        cache_write_usd, cache_write_1h_usd, output_usd, request_usd, price_source, price_snapshot)
       ON c.vendor = e.vendor AND c.model = e.model AND c.tier IS NOT DISTINCT FROM e.tier
      AND e.occurred_at >= c.valid_from AND e.occurred_at < c.valid_to
      AND coalesce(e.input_tokens, 0) >= c.from_input_tokens
      AND (c.to_input_tokens IS NULL OR coalesce(e.input_tokens, 0) < c.to_input_tokens)
 CROSS JOIN LATERAL (
       SELECT watchkeeper.call_cost(
              e.cache_hit, e.input_tokens, e.cached_tokens, e.cache_write_tokens, e.cache_write_1h_tokens,
              e.output_tokens, c.input_usd, c.cached_usd, c.cache_write_usd, c.cache_write_1h_usd, c.output_usd,
              c.request_usd)) AS p (cost_usd)
 WHERE e.tenant_id = :tenant AND e.occurred_at >= :start AND e.occurred_at < :end
   AND (CAST(:only AS text) IS NULL OR :only IN (e.model, e.vendor || '/' || e.model))
