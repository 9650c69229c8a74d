-- Per model: the P95 of the 7 days before today from the histogram, and how many requests of the last hour were slower
-- than twice that.
WITH counts AS (
    SELECT model, bin, sum(n) AS n
      FROM watchkeeper.latency_hourly
     WHERE tenant_id = :tenant AND hour >= :today - interval '7 days' AND hour < :today
     GROUP BY model, bin
),
ranked AS (
    SELECT model, bin, sum(n) OVER (PARTITION BY model ORDER BY bin) AS reached, sum(n) OVER (PARTITION BY model) AS total
      FROM counts
),
baselines AS (
    SELECT model, watchkeeper.latency_of_bin(min(bin)) AS p95_ms
      FROM ranked
     WHERE reached >= 0.95 * total AND total >= 1000
     GROUP BY model
)
SELECT e.model, b.p95_ms, count(*) AS n, count(*) FILTER (WHERE e.latency_ms > 2 * b.p95_ms) AS slow
  FROM watchkeeper.usage_events AS e
  LEFT JOIN baselines AS b ON b.model = e.model
 WHERE e.tenant_id = :tenant AND e.occurred_at >= :now - interval '1 hour' AND e.occurred_at < :now
   AND e.status = 'success' AND e.cache_hit IS NOT TRUE AND e.latency_ms IS NOT NULL
 GROUP BY e.model, b.p95_ms
 ORDER BY e.model
