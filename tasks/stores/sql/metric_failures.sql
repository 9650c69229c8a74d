-- Count the failures of a window's sent requests by type, and by one of their columns or all together (NULL).
SELECT CASE CAST(:by AS text) WHEN 'model' THEN model WHEN 'release' THEN release WHEN 'feature' THEN feature
                              WHEN 'vendor' THEN vendor END AS key,
       CASE WHEN error_type IN ('timeout', 'rate_limit', 'content_filter', 'server', 'client') THEN error_type
            ELSE 'other' END AS error_type,
       count(*) AS n
  FROM watchkeeper.usage_events
 WHERE tenant_id = :tenant AND occurred_at >= :start AND occurred_at < :end
   AND status = 'failure' AND cache_hit IS NOT TRUE
 GROUP BY 1, 2
