-- Count the latencies of a tenant's day anew: successful requests that the gateway's cache did not answer, by bin.
SELECT tenant_id, date_trunc('hour', occurred_at, 'UTC') AS hour, vendor, model, service, release,
       watchkeeper.latency_bin(latency_ms) AS bin, count(*) AS n
  FROM watchkeeper.usage_events
 WHERE tenant_id = :tenant AND occurred_at >= :start AND occurred_at < :end
   AND status = 'success' AND latency_ms IS NOT NULL AND cache_hit IS NOT TRUE
 GROUP BY 1, 2, 3, 4, 5, 6, 7
