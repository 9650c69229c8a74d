-- Cost, requests and tokens of every hour of the last 4 weeks, in total and per feature; hours without events are absent.
SELECT coalesce('feature:' || feature, 'total') AS key, hour, sum(cost_usd) AS cost_usd, sum(events) AS events,
       sum(input_tokens + output_tokens) AS tokens
  FROM watchkeeper.usage_hourly
 WHERE tenant_id = :tenant AND hour >= :now - interval '29 days' AND hour < date_trunc('hour', :now, 'UTC')
 GROUP BY GROUPING SETS ((hour), (hour, feature))
HAVING grouping(feature) = 1 OR feature IS NOT NULL
 ORDER BY key, hour
