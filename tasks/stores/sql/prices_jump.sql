-- Cards in use whose price is many times, or a small part of, one in use on a day of the week before.
WITH used AS (
    SELECT DISTINCT vendor, model, tier, price_snapshot, date_trunc('day', occurred_at, 'UTC') AS day
      FROM watchkeeper.usage_events
     WHERE tenant_id = :tenant AND occurred_at >= :start AND occurred_at < :now
       AND cost_usd IS NOT NULL AND cache_hit IS NOT TRUE
)
SELECT DISTINCT ON (n.vendor, n.model, n.tier)
       n.vendor || '/' || n.model || ': ' || trim_scale(b.input_usd * 1000000) || ' and ' || trim_scale(b.output_usd * 1000000)
       || ' USD per million input and output tokens became ' || trim_scale(n.input_usd * 1000000) || ' and '
       || trim_scale(n.output_usd * 1000000) AS finding
  FROM used AS u
  JOIN watchkeeper.rate_cards AS n
       ON n.vendor = u.vendor AND n.model = u.model AND n.tier IS NOT DISTINCT FROM u.tier
      AND n.price_snapshot = u.price_snapshot AND n.valid_from < u.day + interval '1 day' AND n.valid_to > u.day
  JOIN watchkeeper.rate_cards AS b
       ON b.vendor = n.vendor AND b.model = n.model AND b.tier IS NOT DISTINCT FROM n.tier
      AND b.from_input_tokens = n.from_input_tokens
      AND b.valid_from < n.valid_from AND b.valid_from >= n.valid_from - interval '7 days'
 WHERE greatest(n.input_usd / nullif(b.input_usd, 0), b.input_usd / nullif(n.input_usd, 0),
                n.output_usd / nullif(b.output_usd, 0), b.output_usd / nullif(n.output_usd, 0)) > :price_factor
   AND EXISTS (
       SELECT FROM watchkeeper.usage_events AS e
        WHERE e.tenant_id = :tenant AND e.vendor = b.vendor AND e.model = b.model
          AND e.tier IS NOT DISTINCT FROM b.tier AND e.price_snapshot = b.price_snapshot
          AND e.occurred_at >= b.valid_from AND e.occurred_at < b.valid_to
          AND e.occurred_at >= CAST(:start AS timestamptz) - interval '8 days' AND e.occurred_at < :now)
 ORDER BY n.vendor, n.model, n.tier, b.valid_from DESC
