-- Add up the latency histogram of whole hours by a column (or NULL) and bin.
SELECT CASE CAST(:by AS text) WHEN 'model' THEN model WHEN 'release' THEN release WHEN 'vendor' THEN vendor END AS key,
       bin, sum(n)::bigint AS n
  FROM watchkeeper.latency_hourly
 WHERE tenant_id = :tenant AND hour >= :start AND hour < :end
 GROUP BY 1, 2
