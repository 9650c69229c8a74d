-- Models whose cost is not what the card that it names says of the tokens; what our own cache answered is free.
SELECT e.vendor || '/' || e.model || ': ' || count(*) || ' events cost ' || sum(e.cost_usd)::numeric(20, 6) || ' USD, by price '
       || sum(p.cost_usd)::numeric(20, 6) AS finding
  FROM watchkeeper.usage_events AS e
  LEFT JOIN watchkeeper.rate_cards AS c
       ON c.vendor = e.vendor AND c.model = e.model AND c.price_snapshot = e.price_snapshot
      AND c.tier IS NOT DISTINCT FROM e.tier
      AND e.occurred_at >= c.valid_from AND e.occurred_at < c.valid_to
      AND coalesce(e.input_tokens, 0) >= c.from_input_tokens
      AND (c.to_input_tokens IS NULL OR coalesce(e.input_tokens, 0) < c.to_input_tokens)
      AND e.cache_hit IS NOT TRUE
 CROSS JOIN LATERAL (
       SELECT watchkeeper.call_cost(
              e.cache_hit, e.input_tokens, e.cached_tokens, e.cache_write_tokens, e.cache_write_1h_tokens,
              e.output_tokens, c.input_usd, c.cached_usd, c.cache_write_usd, c.cache_write_1h_usd, c.output_usd,
              c.request_usd)) AS p (cost_usd)
 WHERE e.tenant_id = :tenant AND e.occurred_at >= :start AND e.occurred_at < :now
   AND e.cost_usd <> p.cost_usd
 GROUP BY e.vendor, e.model
 ORDER BY count(*) DESC
