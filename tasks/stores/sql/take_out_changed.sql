-- Delete the stored events that a staged one of the same id corrects, and return them. A source corrects only what it
-- told itself: where two tell of the same events, the one that knows less would make the other's forgotten.
DELETE FROM watchkeeper.usage_events AS u
 USING usage_staging AS s
 WHERE u.tenant_id = s.tenant_id AND u.event_id = s.event_id
   AND u.occurred_at BETWEEN s.occurred_at - interval '1 day' AND s.occurred_at + interval '1 day'
   AND u.source = s.source AND u.ingested_at <= :seen_at
   AND ROW(
       u.occurred_at, u.vendor, u.model, u.operation, u.status, u.error_type, u.user_id, u.team_id, u.feature,
       u.service, u.release, u.prompt_version, u.tier, u.input_tokens, u.cached_tokens, u.cache_write_tokens,
       u.cache_write_1h_tokens, u.output_tokens, u.reasoning_tokens, u.latency_ms, u.ttft_ms, u.cache_hit,
       u.reported_cost_usd, u.prompt_hash)
       IS DISTINCT FROM ROW(
       s.occurred_at, s.vendor, s.model, s.operation, s.status, s.error_type, s.user_id, s.team_id, s.feature,
       s.service, s.release, s.prompt_version, s.tier, s.input_tokens, s.cached_tokens, s.cache_write_tokens,
       s.cache_write_1h_tokens, s.output_tokens, s.reasoning_tokens, s.latency_ms, s.ttft_ms, s.cache_hit,
       s.reported_cost_usd, s.prompt_hash)
RETURNING u.*
