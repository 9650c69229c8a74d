-- Hours whose roll-up is not the sum of its events, both read at one moment.
SELECT to_char(hour AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI') || ' UTC: ' || coalesce(h.events, 0) || ' events rolled up, '
       || coalesce(e.events, 0) || ' stored' AS finding
  FROM (SELECT hour, sum(events) AS events, sum(failures) AS failures, sum(cost_usd) AS cost_usd,
               sum(input_tokens) AS input_tokens, sum(cached_tokens) AS cached_tokens,
               sum(output_tokens) AS output_tokens
          FROM watchkeeper.usage_hourly
         WHERE tenant_id = :tenant AND hour >= :first_hour AND hour < :end_hour
         GROUP BY hour) AS h
  FULL JOIN
       (SELECT date_trunc('hour', occurred_at, 'UTC') AS hour, count(*) AS events,
               count(*) FILTER (WHERE status <> 'success') AS failures, coalesce(sum(cost_usd), 0) AS cost_usd,
               coalesce(sum(input_tokens), 0) AS input_tokens, coalesce(sum(cached_tokens), 0) AS cached_tokens,
               coalesce(sum(output_tokens), 0) AS output_tokens
          FROM watchkeeper.usage_events
         WHERE tenant_id = :tenant AND occurred_at >= :first_hour AND occurred_at < :end_hour
         GROUP BY 1) AS e USING (hour)
 WHERE (h.events, h.failures, h.cost_usd, h.input_tokens, h.cached_tokens, h.output_tokens)
       IS DISTINCT FROM (e.events, e.failures, e.cost_usd, e.input_tokens, e.cached_tokens, e.output_tokens)
 ORDER BY hour
