-- Add sums to the hours; sorted, so that two loaders never wait for each other in a circle.
INSERT INTO watchkeeper.usage_hourly AS h (
    tenant_id, hour, vendor, model, operation, service, release, feature, team_id, events, failures,
    unpriced_events, cost_usd, reported_cost_usd, input_tokens, cached_tokens, cache_write_tokens,
    output_tokens, cache_hits, cache_eligible, compared_cost_usd, compared_reported_usd)
SELECT :tenant, d.*
  FROM unnest(
        CAST(:hour AS timestamptz[]),
        CAST(:vendor AS text[]),
        CAST(:model AS text[]),
        CAST(:operation AS text[]),
        CAST(:service AS text[]),
        CAST(:release AS text[]),
        CAST(:feature AS text[]),
        CAST(:team_id AS text[]),
        CAST(:events AS bigint[]),
        CAST(:failures AS bigint[]),
        CAST(:unpriced_events AS bigint[]),
        CAST(:cost_usd AS numeric[]),
        CAST(:reported_cost_usd AS numeric[]),
        CAST(:input_tokens AS bigint[]),
        CAST(:cached_tokens AS bigint[]),
        CAST(:cache_write_tokens AS bigint[]),
        CAST(:output_tokens AS bigint[]),
        CAST(:cache_hits AS bigint[]),
        CAST(:cache_eligible AS bigint[]),
        CAST(:compared_cost_usd AS numeric[]),
        CAST(:compared_reported_usd AS numeric[])
       ) AS d (
        hour, vendor, model, operation, service, release, feature, team_id, events, failures, unpriced_events,
        cost_usd, reported_cost_usd, input_tokens, cached_tokens, cache_write_tokens, output_tokens,
        cache_hits, cache_eligible, compared_cost_usd, compared_reported_usd)
 ORDER BY hour, vendor, model, operation, service, release, feature, team_id
ON CONFLICT (tenant_id, hour, vendor, model, operation, service, release, feature, team_id) DO UPDATE SET
    events = h.events + excluded.events,
    failures = h.failures + excluded.failures,
    unpriced_events = h.unpriced_events + excluded.unpriced_events,
    cost_usd = h.cost_usd + excluded.cost_usd,
    reported_cost_usd = h.reported_cost_usd + excluded.reported_cost_usd,
    input_tokens = h.input_tokens + excluded.input_tokens,
    cached_tokens = h.cached_tokens + excluded.cached_tokens,
    cache_write_tokens = h.cache_write_tokens + excluded.cache_write_tokens,
    output_tokens = h.output_tokens + excluded.output_tokens,
    cache_hits = h.cache_hits + excluded.cache_hits,
    cache_eligible = h.cache_eligible + excluded.cache_eligible,
    compared_cost_usd = h.compared_cost_usd + excluded.compared_cost_usd,
    compared_reported_usd = h.compared_reported_usd + excluded.compared_reported_usd
