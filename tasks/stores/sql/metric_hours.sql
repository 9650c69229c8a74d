-- Add up the histogram of whole hours by a column (or NULL) and bin. The largest latency is in an hour that has the
-- highest bin: of the events only those of such hours are looked at.
WITH hours AS (
    SELECT CASE CAST(:by AS text) WHEN 'model' THEN model WHEN 'release' THEN release WHEN 'vendor' THEN vendor END AS key,
           hour, bin, n
      FROM watchkeeper.latency_hourly
     WHERE tenant_id = :tenant AND hour >= :start AND hour < :end
), bins AS (
    SELECT key, bin, sum(n)::bigint AS n, max(bin) OVER (PARTITION BY key) AS highest FROM hours GROUP BY key, bin
), tops AS (
    SELECT DISTINCT h.hour
      FROM hours AS h
      JOIN (SELECT DISTINCT key, highest FROM bins) AS b
        ON h.key IS NOT DISTINCT FROM b.key AND h.bin = b.highest
), largest AS (
    SELECT e.key, max(e.ms) AS ms
      FROM tops
     CROSS JOIN LATERAL (
           SELECT CASE CAST(:by AS text) WHEN 'model' THEN model WHEN 'release' THEN release WHEN 'vendor' THEN vendor
                  END AS key, max(latency_ms) AS ms
             FROM watchkeeper.usage_events
            WHERE tenant_id = :tenant AND occurred_at >= tops.hour AND occurred_at < tops.hour + interval '1 hour'
              AND status = 'success' AND cache_hit IS NOT TRUE
            GROUP BY 1) AS e
     GROUP BY e.key
)
SELECT b.key, b.bin, b.n, l.ms AS largest
  FROM bins AS b
  LEFT JOIN largest AS l ON l.key IS NOT DISTINCT FROM b.key
