-- Requests and failures per service and per vendor in the last 5 minutes, hour and 6 hours; the client's own errors
-- and filtered contents are not failures of ours.
SELECT coalesce('vendor:' || vendor, service) AS key,
       count(*) AS n6h,
       count(*) FILTER (WHERE failed) AS failed6h,
       count(*) FILTER (WHERE occurred_at >= :now - interval '1 hour') AS n1h,
       count(*) FILTER (WHERE failed AND occurred_at >= :now - interval '1 hour') AS failed1h,
       count(*) FILTER (WHERE occurred_at >= :now - interval '5 minutes') AS n5m,
       count(*) FILTER (WHERE failed AND occurred_at >= :now - interval '5 minutes') AS failed5m
  FROM (SELECT vendor, coalesce(service, 'unknown service') AS service, occurred_at,
               status = 'failure' AND coalesce(error_type, 'other') NOT IN ('client', 'content_filter') AS failed
          FROM watchkeeper.usage_events
         WHERE tenant_id = :tenant AND occurred_at >= :now - interval '6 hours' AND occurred_at < :now
           AND cache_hit IS NOT TRUE) AS requests
 GROUP BY GROUPING SETS ((vendor), (service))
 ORDER BY 1
