-- Insert the staged events that are not there yet.
INSERT INTO watchkeeper.usage_events (
    tenant_id, source, cost_usd, price_source, price_snapshot, event_id, occurred_at, vendor, model,
    operation, status, error_type, user_id, team_id, feature, service, release, prompt_version, tier,
    input_tokens, cached_tokens, cache_write_tokens, cache_write_1h_tokens, output_tokens, reasoning_tokens,
    latency_ms, ttft_ms, cache_hit, reported_cost_usd, prompt_hash, ingested_at)
SELECT
    tenant_id, source, cost_usd, price_source, price_snapshot, event_id, occurred_at, vendor, model,
    operation, status, error_type, user_id, team_id, feature, service, release, prompt_version, tier,
    input_tokens, cached_tokens, cache_write_tokens, cache_write_1h_tokens, output_tokens, reasoning_tokens,
    latency_ms, ttft_ms, cache_hit, reported_cost_usd, prompt_hash, :seen_at
  FROM usage_staging
 ORDER BY tenant_id, event_id, occurred_at
ON CONFLICT DO NOTHING
RETURNING event_id, occurred_at
