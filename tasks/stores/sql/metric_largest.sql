-- Find the largest latency of whole hours by a column (or NULL). It is in an hour that has the key's highest bin: only
-- the events of such hours are looked at.
WITH hours AS (
    SELECT CASE CAST(:by AS text) WHEN 'model' THEN model WHEN 'release' THEN release WHEN 'vendor' THEN vendor END AS key,
           hour, max(bin) AS highest
      FROM watchkeeper.latency_hourly
     WHERE tenant_id = :tenant AND hour >= :start AND hour < :end
     GROUP BY 1, 2
), tops AS (
    SELECT DISTINCT hour FROM (SELECT hour, highest, max(highest) OVER (PARTITION BY key) AS top FROM hours) AS ranked
     WHERE highest = top
)
SELECT e.key, max(e.largest) AS largest
  FROM tops
 CROSS JOIN LATERAL (
       SELECT CASE CAST(:by AS text) WHEN 'model' THEN model WHEN 'release' THEN release WHEN 'vendor' THEN vendor END
              AS key, max(latency_ms) AS largest
         FROM watchkeeper.usage_events
        WHERE tenant_id = :tenant AND occurred_at >= tops.hour AND occurred_at < tops.hour + interval '1 hour'
          AND status = 'success' AND cache_hit IS NOT TRUE
        GROUP BY 1) AS e
 GROUP BY e.key
