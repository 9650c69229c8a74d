-- Add sums to the users' days; sorted, as the hours.
INSERT INTO watchkeeper.usage_daily_users AS u (
    tenant_id, day, user_id, events, unpriced_events, cost_usd, input_tokens, output_tokens)
SELECT %(tenant)s, d.*
  FROM unnest(
        CAST(%(day)b AS timestamptz[]),
        CAST(%(user_id)b AS text[]),
        CAST(%(events)b AS bigint[]),
        CAST(%(unpriced_events)b AS bigint[]),
        CAST(%(cost_usd)b AS numeric[]),
        CAST(%(input_tokens)b AS bigint[]),
        CAST(%(output_tokens)b AS bigint[])
       ) AS d (day, user_id, events, unpriced_events, cost_usd, input_tokens, output_tokens)
 ORDER BY day, user_id
ON CONFLICT (tenant_id, day, user_id) DO UPDATE SET
    events = u.events + excluded.events,
    unpriced_events = u.unpriced_events + excluded.unpriced_events,
    cost_usd = u.cost_usd + excluded.cost_usd,
    input_tokens = u.input_tokens + excluded.input_tokens,
    output_tokens = u.output_tokens + excluded.output_tokens
