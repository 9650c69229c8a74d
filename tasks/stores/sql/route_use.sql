-- How many tokens the calls of each route use: the quantiles are values that some call has.
SELECT coalesce(feature, '') AS route, count(*) AS requests,
       percentile_disc(CAST(:quantiles AS float8[])) WITHIN GROUP (ORDER BY input_tokens) AS input,
       percentile_disc(CAST(:quantiles AS float8[])) WITHIN GROUP (ORDER BY output_tokens) AS output
  FROM watchkeeper.usage_events
 WHERE tenant_id = :tenant AND occurred_at >= :start AND occurred_at < :end AND status = 'success'
   AND operation IN ('chat', 'completion') AND cache_hit IS NOT TRUE
 GROUP BY route
 ORDER BY route
