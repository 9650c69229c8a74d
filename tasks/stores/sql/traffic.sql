-- Requests of the last 5 minutes, hour and 6 hours per vendor, model, service and outcome; without those that a cache
-- answered.
SELECT vendor, model, coalesce(service, 'unknown service') AS service,
       CASE WHEN status = 'failure' THEN coalesce(error_type, 'other') ELSE 'success' END AS outcome,
       count(*) FILTER (WHERE occurred_at >= :now - interval '5 minutes') AS n5m,
       count(*) FILTER (WHERE occurred_at >= :now - interval '1 hour') AS n1h,
       count(*) AS n6h
  FROM watchkeeper.usage_events
 WHERE tenant_id = :tenant AND occurred_at >= :now - interval '6 hours' AND occurred_at < :now
   AND cache_hit IS NOT TRUE
 GROUP BY 1, 2, 3, 4
 ORDER BY 1, 2, 3, 4
