-- Add sums to the users' days; sorted, as the hours.
INSERT INTO watchkeeper.usage_daily_users AS u (
    tenant_id, day, user_id, events, unpriced_events, cost_usd, input_tokens, output_tokens)
SELECT :tenant, d.*
  FROM unnest(
        CAST(:day AS timestamptz[]),
        CAST(:user_id AS text[]),
        CAST(:events AS bigint[]),
        CAST(:unpriced_events AS bigint[]),
        CAST(:cost_usd AS numeric[]),
        CAST(:input_tokens AS bigint[]),
        CAST(:output_tokens AS bigint[])
       ) AS d (day, user_id, events, unpriced_events, cost_usd, input_tokens, output_tokens)
 ORDER BY day, user_id
ON CONFLICT (tenant_id, day, user_id) DO UPDATE SET
    events = u.events + excluded.events,
    unpriced_events = u.unpriced_events + excluded.unpriced_events,
    cost_usd = u.cost_usd + excluded.cost_usd,
    input_tokens = u.input_tokens + excluded.input_tokens,
    output_tokens = u.output_tokens + excluded.output_tokens
