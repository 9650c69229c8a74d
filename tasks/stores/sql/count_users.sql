-- Count a tenant's events of a day anew, by user: what the additive sums of usage_daily_users must equal.
SELECT tenant_id, date_trunc('day', occurred_at, 'UTC') AS day, user_id,
       count(*) AS events,
       count(*) - count(cost_usd) AS unpriced_events,
       coalesce(sum(cost_usd), 0) AS cost_usd,
       coalesce(sum(input_tokens), 0) AS input_tokens,
       coalesce(sum(output_tokens), 0) AS output_tokens
  FROM watchkeeper.usage_events
 WHERE tenant_id = :tenant AND occurred_at >= :start AND occurred_at < :end AND user_id IS NOT NULL
 GROUP BY 1, 2, 3
