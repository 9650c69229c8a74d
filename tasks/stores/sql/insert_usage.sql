-- Insert the staged events that are new, priced by rate card, and add them to the roll-ups, in one statement.
WITH priced AS (
    SELECT s.*,
           CASE
               WHEN s.cache_hit THEN 0
               WHEN r.vendor IS NULL OR (s.input_tokens IS NULL AND r.input_usd > 0)
                    OR (s.output_tokens IS NULL AND r.output_usd > 0) THEN NULL
               ELSE coalesce(r.request_usd, 0)
                  + watchkeeper.tokens_cost(coalesce(s.input_tokens, 0) - coalesce(s.cached_tokens, 0)
                                            - coalesce(s.cache_write_tokens, 0), r.input_usd)
                  + watchkeeper.tokens_cost(s.cached_tokens, r.cached_usd)
                  + watchkeeper.tokens_cost(s.cache_write_tokens - coalesce(s.cache_write_1h_tokens, 0),
                                            r.cache_write_usd)
                  + watchkeeper.tokens_cost(s.cache_write_1h_tokens, r.cache_write_1h_usd)
                  + watchkeeper.tokens_cost(s.output_tokens, r.output_usd)
           END AS cost_usd,
           CASE WHEN s.cache_hit THEN 'gateway-cache' ELSE r.price_source END AS price_source,
           r.price_snapshot
      FROM usage_staging AS s
      LEFT JOIN watchkeeper.rate_cards AS r
        ON r.vendor = s.vendor AND r.model = s.model AND r.tier IS NOT DISTINCT FROM s.tier
       AND r.valid_from <= s.occurred_at AND s.occurred_at < r.valid_to
       AND r.from_input_tokens <= coalesce(s.input_tokens, 0)
       AND (r.to_input_tokens IS NULL OR coalesce(s.input_tokens, 0) < r.to_input_tokens)
),
inserted AS (
    INSERT INTO watchkeeper.usage_events (
        tenant_id, event_id, occurred_at, source, vendor, model, operation, status, error_type, user_id, team_id,
        feature, service, release, prompt_version, tier, input_tokens, cached_tokens, cache_write_tokens,
        cache_write_1h_tokens, output_tokens, reasoning_tokens, latency_ms, ttft_ms, cache_hit, reported_cost_usd,
        prompt_hash, cost_usd, price_source, price_snapshot)
    SELECT tenant_id, event_id, occurred_at, source, vendor, model, operation, status, error_type, user_id, team_id,
           feature, service, release, prompt_version, tier, input_tokens, cached_tokens, cache_write_tokens,
           cache_write_1h_tokens, output_tokens, reasoning_tokens, latency_ms, ttft_ms, cache_hit, reported_cost_usd,
           prompt_hash, cost_usd, CASE WHEN cost_usd IS NOT NULL THEN price_source END,
           CASE WHEN cost_usd IS NOT NULL THEN price_snapshot END
      FROM priced
     ORDER BY event_id
    ON CONFLICT DO NOTHING
    RETURNING *
),
hourly AS (
    INSERT INTO watchkeeper.usage_hourly AS h (
        tenant_id, hour, vendor, model, operation, service, release, feature, team_id, events, failures,
        unpriced_events, cost_usd, reported_cost_usd, input_tokens, cached_tokens, cache_write_tokens, output_tokens,
        cache_hits, cache_eligible)
    SELECT tenant_id, date_trunc('hour', occurred_at, 'UTC') AS hour, vendor, model, operation, service, release,
           feature, team_id, count(*), count(*) FILTER (WHERE status = 'failure'),
           count(*) FILTER (WHERE cost_usd IS NULL), coalesce(sum(cost_usd), 0), coalesce(sum(reported_cost_usd), 0),
           coalesce(sum(input_tokens), 0), coalesce(sum(cached_tokens), 0), coalesce(sum(cache_write_tokens), 0),
           coalesce(sum(output_tokens), 0), count(*) FILTER (WHERE cache_hit), count(cache_hit)
      FROM inserted
     GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9
     ORDER BY 1, 2, 3, 4, 5, 6, 7, 8, 9
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
        cache_eligible = h.cache_eligible + excluded.cache_eligible
),
latency AS (
    INSERT INTO watchkeeper.latency_hourly AS l (tenant_id, hour, vendor, model, service, release, bin, n)
    SELECT tenant_id, date_trunc('hour', occurred_at, 'UTC'), vendor, model, service, release,
           watchkeeper.latency_bin(latency_ms), count(*)
      FROM inserted
     WHERE status = 'success' AND latency_ms IS NOT NULL AND cache_hit IS NOT TRUE
     GROUP BY 1, 2, 3, 4, 5, 6, 7
     ORDER BY 1, 2, 3, 4, 5, 6, 7
    ON CONFLICT (tenant_id, hour, vendor, model, service, release, bin) DO UPDATE SET n = l.n + excluded.n
),
texts AS (
    INSERT INTO watchkeeper.prompt_texts (tenant_id, prompt_hash, text)
    SELECT DISTINCT tenant_id, prompt_hash, prompt_text FROM usage_staging
     WHERE prompt_text IS NOT NULL AND prompt_hash IS NOT NULL
     ORDER BY 1, 2
    ON CONFLICT DO NOTHING
)
SELECT count(*) FROM inserted
