-- The models and days of the staged events that no rate card covers yet.
SELECT DISTINCT s.vendor, s.model, s.tier, (s.occurred_at AT TIME ZONE 'UTC')::date AS day
  FROM usage_staging AS s
 WHERE NOT EXISTS (
       SELECT FROM watchkeeper.rate_cards AS r
        WHERE r.vendor = s.vendor AND r.model = s.model AND r.tier IS NOT DISTINCT FROM s.tier
          AND r.valid_from <= s.occurred_at AND s.occurred_at < r.valid_to)
 ORDER BY 1, 2, 3, 4
