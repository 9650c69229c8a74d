-- Add sums to the hours; sorted, so that two loaders never wait for each other in a circle.
INSERT INTO watchkeeper.usage_hourly AS h (
    tenant_id, hour, vendor, model, operation, service, release, feature, team_id, events, failures,
    unpriced_events, cost_usd, reported_cost_usd, input_tokens, cached_tokens, cache_write_tokens,
    output_tokens, cache_hits, cache_eligible, compared_cost_usd, compared_reported_usd)
SELECT %(tenant)s, d.*
  FROM unnest(
        CAST(%(hour)b AS timestamptz[]),
        CAST(%(vendor)b AS text[]),
        CAST(%(model)b AS text[]),
        CAST(%(operation)b AS text[]),
        CAST(%(service)b AS text[]),
        CAST(%(release)b AS text[]),
        CAST(%(feature)b AS text[]),
        CAST(%(team_id)b AS text[]),
        CAST(%(events)b AS bigint[]),
        CAST(%(failures)b AS bigint[]),
        CAST(%(unpriced_events)b AS bigint[]),
        CAST(%(cost_usd)b AS numeric[]),
        CAST(%(reported_cost_usd)b AS numeric[]),
        CAST(%(input_tokens)b AS bigint[]),
        CAST(%(cached_tokens)b AS bigint[]),
        CAST(%(cache_write_tokens)b AS bigint[]),
        CAST(%(output_tokens)b AS bigint[]),
        CAST(%(cache_hits)b AS bigint[]),
        CAST(%(cache_eligible)b AS bigint[]),
        CAST(%(compared_cost_usd)b AS numeric[]),
        CAST(%(compared_reported_usd)b AS numeric[])
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
