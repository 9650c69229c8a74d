-- Count a duration of the successful requests of a window that our cache did not answer, by a column (or NULL) and bin,
-- with the largest of each bin: what the hourly histogram has no hours or no columns of.
SELECT CASE CAST(:by AS text) WHEN 'model' THEN model WHEN 'release' THEN release WHEN 'feature' THEN feature
                              WHEN 'vendor' THEN vendor END AS key,
       watchkeeper.latency_bin(ms) AS bin, count(*) AS n, max(ms) AS largest
  FROM (SELECT *, CASE CAST(:duration AS text) WHEN 'latency_ms' THEN latency_ms WHEN 'ttft_ms' THEN ttft_ms END AS ms
          FROM watchkeeper.usage_events
         WHERE tenant_id = :tenant AND occurred_at >= :start AND occurred_at < :end
           AND status = 'success' AND cache_hit IS NOT TRUE) AS requests
 WHERE ms IS NOT NULL
 GROUP BY 1, 2
