-- Models whose events have a cost by a card that is not kept: nobody could explain it.
SELECT u.vendor || '/' || u.model || ': ' || sum(u.events) || ' events by ' || coalesce(u.price_snapshot, 'no card') AS finding
  FROM (SELECT vendor, model, tier, price_snapshot, date_trunc('day', occurred_at, 'UTC') AS day, count(*) AS events
          FROM watchkeeper.usage_events
         WHERE tenant_id = :tenant AND occurred_at >= :start AND occurred_at < :now
           AND cost_usd IS NOT NULL AND cache_hit IS NOT TRUE AND vendor IS NOT NULL AND model IS NOT NULL
         GROUP BY 1, 2, 3, 4, 5) AS u
 WHERE NOT EXISTS (
       SELECT FROM watchkeeper.rate_cards AS c
        WHERE c.vendor = u.vendor AND c.model = u.model AND c.tier IS NOT DISTINCT FROM u.tier
          AND c.price_snapshot = u.price_snapshot AND c.valid_from < u.day + interval '1 day' AND c.valid_to > u.day)
 GROUP BY u.vendor, u.model, u.price_snapshot
 ORDER BY sum(u.events) DESC
