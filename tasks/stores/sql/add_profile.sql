-- Count a day's events by source, hour and size of the input: -1 unknown, 0 none, k from 2^(k-1) tokens on.
INSERT INTO watchkeeper.event_profiles (tenant_id, source, hour, size, events)
SELECT tenant_id, source, date_trunc('hour', occurred_at, 'UTC'),
       CASE WHEN input_tokens > 0 THEN floor(log(input_tokens) / log(2)) + 1 WHEN input_tokens IS NULL THEN -1 ELSE 0 END,
       count(*)
  FROM watchkeeper.usage_events
 WHERE tenant_id = :tenant AND occurred_at >= :start AND occurred_at < :end
 GROUP BY 1, 2, 3, 4
