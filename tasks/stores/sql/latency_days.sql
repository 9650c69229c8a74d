-- The latency of each UTC day from the histogram: within 1 % of what half, and 95 %, of its requests stay under.
WITH counts AS (
    SELECT date_trunc('day', hour, 'UTC') AS day, bin, sum(n) AS n
      FROM watchkeeper.latency_hourly
     WHERE tenant_id = :tenant AND hour >= :start AND hour < :end
     GROUP BY 1, 2
),
ranked AS (
    SELECT day, bin, sum(n) OVER (PARTITION BY day ORDER BY bin) AS reached, sum(n) OVER (PARTITION BY day) AS total
      FROM counts
)
SELECT day, watchkeeper.latency_of_bin(min(bin) FILTER (WHERE reached >= 0.5 * total)) AS p50_ms,
       watchkeeper.latency_of_bin(min(bin) FILTER (WHERE reached >= 0.95 * total)) AS p95_ms
  FROM ranked
 WHERE total > 0
 GROUP BY day
 ORDER BY day
